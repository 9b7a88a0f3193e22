"""The look at the data: what images and masks hold, how splits differ, what to act on."""
