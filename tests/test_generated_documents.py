"""Documents that are generated are up to date (`make docs` writes them)."""

from pathlib import Path

from seglab.data.preflight.__main__ import document


def test_the_list_of_findings(project_root: Path) -> None:
    assert (project_root / "reports" / "preflight.md").read_text() == document()
