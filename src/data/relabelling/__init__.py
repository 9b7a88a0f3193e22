"""Repair masks that are listed as bad: detect, segment, merge with the old mask, gate."""
