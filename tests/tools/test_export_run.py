"""`seglab export-run` as a person meets it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seglab.tools import export_run
from seglab.utils.script import run_tool

MakeRun = Callable[..., Path]


def test_it_says_what_it_wrote(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path / "run", "H1")
    arguments = ["--run", str(folder), "--output-dir", str(tmp_path / "out")]
    assert run_tool(export_run.main, arguments) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("8 files, ") and str(tmp_path / "out") in printed.out
    assert run_tool(export_run.main, arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.count("error:") == 1 and "never overwrites" in printed.err
