"""`seglab lab-report` as a person meets it: which runs it takes, what it writes and refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seglab.tools import lab_report
from seglab.utils.script import run_tool

MakeRun = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]
CLASSES = ("background", "animal")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the tool: exit code, output, errors."""

    def call(*options: object) -> tuple[int, str, str]:
        arguments = ["--experiments", str(tmp_path / "experiments"), "--resamples", "1000"]
        arguments += ["--output-dir", str(tmp_path / "out"), *map(str, options)]
        code = run_tool(lab_report.main, arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def lab_run(make_run: MakeRun, tmp_path: Path) -> MakeRun:
    """`lab_run("unet/a", "U-Lite", seed=0, began=...)` below the experiments."""

    def write(folder: str, name: str, seed: int = 0, **options: object) -> Path:
        loaders = dict.fromkeys(("train_dataloader", "val_dataloader", "test_dataloader"))
        return make_run(
            tmp_path / "experiments" / folder,
            name,
            seed,
            **{"split": "test", "classes": CLASSES, "config": loaders, **options},
        )

    return write


def refused(result: tuple[int, str, str]) -> str:
    """A user's mistake: exit code 2, one `error:`, a fix, no traceback."""
    code, _, err = result
    assert code == 2 and err.count("error:") == 1 and "fix:" in err and "Traceback" not in err
    return err


def report_of(tmp_path: Path) -> str:
    return (tmp_path / "out" / "lab_report.md").read_text()


def test_a_users_runs_come_before_the_shipped_ones(
    run: Run, lab_run: MakeRun, tmp_path: Path
) -> None:
    lab_run("reference_lab/unet_s0", "U-Lite")
    lab_run("reference/lite", "Lite")
    code, out, _ = run("--title", "Mine")
    assert code == 0 and "lab_report.html" in out
    assert "reference\\_lab" in report_of(tmp_path) or "reference_lab" in report_of(tmp_path)
    assert report_of(tmp_path).startswith("# Mine\n")
    # The config's stage stands in for a run that states none.
    lab_run("lab_simple_cnn/a", "Lab-CNN")
    assert run()[0] == 0
    text = report_of(tmp_path)
    assert "Run Lab-CNN" in text and "Run U-Lite" not in text


def test_the_newest_run_of_every_seed(run: Run, lab_run: MakeRun, tmp_path: Path) -> None:
    lab_run("unet_lite/a", "U-Lite", 0, began="2026-01-01T00:00:00+0000")
    newest = lab_run("unet_lite/b", "U-Lite", 0, began="2026-01-02T00:00:00+0000")
    lab_run("unet_lite/c", "U-Lite", 0, began="2026-01-03T00:00:00+0000", tested=False)
    other = lab_run("deeper/unet_lite/d", "U-Lite", 1)
    lab_run("else/e", "Other")
    ids = ["Lab-CNN", "U-Lite"]
    experiments = tmp_path / "experiments"
    assert lab_report.default_runs(experiments, "test", ids) == [newest, other]
    assert run()[0] == 0
    assert "2 training seeds" in report_of(tmp_path)


def test_ids_and_folders_may_be_named(run: Run, lab_run: MakeRun, tmp_path: Path) -> None:
    lab_run("unet_lite/a", "U-Lite")
    own = lab_run("cnn/a", "Lab-CNN")
    assert run("--runs", "U-Lite", own)[0] == 0
    text = report_of(tmp_path)
    assert "**Lab-CNN** has 1,234,567 parameters" in text
    assert "Lab-R34" in text and "weights of resnet34" in text


def test_mistakes_get_one_message_and_nothing_is_written(
    run: Run, lab_run: MakeRun, make_run: MakeRun, tmp_path: Path
) -> None:
    assert "was tested on test" in refused(run())
    unet = lab_run("unet_lite/a", "U-Lite")
    assert "was tested on val" in refused(run("--split", "val"))
    assert "Nothing" in refused(run("--runs", "Nothing"))
    assert "too few" in refused(run("--resamples", "10"))
    assert "--margin" in refused(run("--margin", "0"))
    assert "names no stage" in refused(run("--runs", lab_run("x/a", "X")))
    three = make_run(tmp_path / "h1", "H1", split="test")
    assert "3 classes" in refused(run("--runs", three))
    other = lab_run("unet_lite_improved/a", "U-Lite+", data_seed=9)
    assert "not comparable" in refused(run("--runs", unet, other))
    (unet / "test_test" / "lab_scores.json").write_text("{")
    assert "lab_scores.json" in refused(run("--runs", unet))
    assert not (tmp_path / "out").exists()
    shutil.rmtree(other)
    (unet / "test_test" / "lab_scores.json").unlink()
    (tmp_path / "out").write_text("a file")
    assert "is a file" in refused(run("--runs", unet))
