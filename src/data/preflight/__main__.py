"""Print the table of every kind of finding: `python -m seglab.data.preflight`."""

from seglab.data.preflight.faults import describe_kinds

print(describe_kinds(), end="")
