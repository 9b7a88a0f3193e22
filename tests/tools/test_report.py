"""`seglab report` as a person meets it: which runs it takes, what it writes and refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seglab.tools import report
from seglab.utils.script import run_tool

MakeRun = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the tool: exit code, output, errors."""

    def call(*options: object) -> tuple[int, str, str]:
        arguments = ["--experiments", str(tmp_path / "experiments"), "--resamples", "1000"]
        arguments += ["--output-dir", str(tmp_path / "out"), *map(str, options)]
        code = run_tool(report.main, arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def refused(result: tuple[int, str, str]) -> str:
    """A user's mistake: exit code 2, one `error:`, a fix, no traceback."""
    code, _, err = result
    assert code == 2 and err.count("error:") == 1 and "fix:" in err and "Traceback" not in err
    return err


def test_named_runs_are_reported(run: Run, family: list[Path], tmp_path: Path) -> None:
    code, out, _ = run("--runs", "H1", family[1], "--title", "My report")
    text = (tmp_path / "out" / "practicum_report.md").read_text()
    assert code == 0 and "practicum_report.html" in out
    assert text.startswith("# My report\n")
    assert "Hypothesis H2" in text and "Hypothesis H3" not in text


def test_without_runs_a_users_own_come_before_the_reference(
    family: list[Path], make_run: MakeRun, tmp_path: Path
) -> None:
    experiments = tmp_path / "experiments"
    make_run(experiments / "reference" / "lite", "Lite")
    make_run(experiments / "reference_lab" / "unet", "U-Lite")
    make_run(experiments / "untested" / "a", "U", tested=False)
    own = report.default_runs(experiments, "val")
    assert [path.name for path in own] == ["h1", "h2", "h3"]
    only = tmp_path / "clone"
    make_run(only / "reference" / "lite", "Lite")
    assert report.default_runs(only, "val") == [only / "reference" / "lite"]


def test_without_runs_it_reports_on_all(run: Run, family: list[Path], tmp_path: Path) -> None:
    code, _, _ = run()
    text = (tmp_path / "out" / "practicum_report.md").read_text()
    assert code == 0 and all(f"Hypothesis {name}\n" in text for name in ("H1", "H2", "H3"))


def test_without_any_run_it_says_so(run: Run, tmp_path: Path) -> None:
    assert "was tested on val" in refused(run())
    assert "was tested on test" in refused(run("--split", "test"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", None),
        ("run.json", "{"),
        ("history.jsonl", "no json\n"),
        ("test_val/image_results.npz", "PK\x03\x04"),
        ("test_val/test_metrics.json", "{}"),
        ("test_val/provenance.json", None),
    ],
)
def test_a_damaged_run_is_refused_and_nothing_is_written(
    run: Run, family: list[Path], tmp_path: Path, name: str, content: str | None
) -> None:
    path = family[1] / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    message = refused(run("--runs", *family))
    assert "h2" in message and not (tmp_path / "out").exists()


def test_other_mistakes_get_one_message(
    run: Run, family: list[Path], make_run: MakeRun, tmp_path: Path
) -> None:
    assert "H9" in refused(run("--runs", "H1", "H9"))
    assert "no/such/folder" in refused(run("--runs", "no/such/folder"))
    assert "is no folder" in refused(run("--runs", "H1", "--data-root", tmp_path / "no"))
    other = make_run(tmp_path / "x", "X", data_seed=9)
    assert "not comparable" in refused(run("--runs", "H1", other))
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("a file")
    assert "is a file" in refused(run("--runs", "H1"))
