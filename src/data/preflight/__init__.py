"""Preflight: find what would spoil a run before any compute is spent on it.

Faults stop a run, doubts only warn; all are reported at once, with file names and a fix.
`python -m seglab.data.preflight` prints the table of every kind of finding.
"""

from seglab.data.preflight.faults import FAULTS, Finding, FindingKind, describe_kinds
from seglab.data.preflight.run import raise_on_faults, report, run_preflight

__all__ = [
    "FAULTS",
    "Finding",
    "FindingKind",
    "describe_kinds",
    "raise_on_faults",
    "report",
    "run_preflight",
]
