"""`seglab compare` as a person meets it: what it prints, writes and refuses."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from seglab.tools import compare
from seglab.utils.script import run_tool

MakeRun = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the tool on val: exit code, output, errors."""

    def call(runs: Sequence[object], *options: str) -> tuple[int, str, str]:
        arguments = ["--runs", *map(str, runs), "--split", "val", "--resamples", "1000"]
        arguments += ["--experiments", str(tmp_path / "experiments")]
        arguments += ["--output-dir", str(tmp_path / "out"), *options]
        code = run_tool(compare.main, arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def refused(result: tuple[int, str, str]) -> str:
    """A user's mistake: exit code 2, one `error:`, a fix, no traceback."""
    code, _, err = result
    assert code == 2 and err.count("error:") == 1 and "fix:" in err and "Traceback" not in err
    return err


def test_by_id_it_prints_and_writes_the_comparison(
    run: Run, family: list[Path], tmp_path: Path
) -> None:
    code, out, err = run(["H1", "H2", "H3"])
    assert code == 0 and err == ""
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    for item in content["hypotheses"]:
        assert f"{item['figures']['mDice']['value']:.2f}" in out
    difference = content["pairs"][0]["differences"]["mDice"]
    interval = difference["interval"]
    assert f"{difference['value']:+.2f}" in out
    assert f"{interval['low']:+.2f} to {interval['high']:+.2f}" in out
    for part in (
        "val, 24 images", "run of H2  h2/a", "verdict on H2: supported",
        "verdict on H3: undecided", "what these images can show", "were chosen on this split",
        "H2 against H1 (its parent)", "nothing but the seed", "comparison.json",
    ):  # fmt: skip
        assert part in out
    best = f"*{content['hypotheses'][1]['figures']['mDice']['value']:.2f}"
    assert best in out


def test_by_folder_and_with_seeds(
    run: Run, family: list[Path], make_run: MakeRun, tmp_path: Path
) -> None:
    make_run(tmp_path / "experiments" / "h1" / "b", "H1", seed=1, began="2025-01-01T00:00:00+0000")
    code, out, _ = run(family[:2])
    assert code == 0 and "seed)" not in out
    code, out, _ = run(family[:2], "--seeds")
    assert code == 0 and "resamples of the images," in out
    code, out, _ = run(["H1", "H2"], "--seeds")
    assert "resamples of the seeds and the images," in out
    assert code == 0 and "H1 (2 seeds)" in out and "H2 (1 seed)" in out
    message = refused(run([family[0], tmp_path / "experiments" / "h1" / "b"]))
    assert "2 runs of H1" in message and "--seeds" in message


def test_other_data_is_refused_until_forced(
    run: Run, family: list[Path], make_run: MakeRun, tmp_path: Path
) -> None:
    other = make_run(tmp_path / "x", "X", images=10)
    message = refused(run([family[0], other]))
    assert "14 images only in H1" in message and "and 4 more" in message
    assert not (tmp_path / "out").exists()
    code, out, _ = run([family[0], other], "--force")
    assert code == 0 and "FORCED" in out and "10 images" in out


def test_every_fault_is_said_at_once(run: Run, family: list[Path], tmp_path: Path) -> None:
    (family[0] / "run.json").write_text("{")
    (family[1] / "test_val" / "image_results.npz").write_bytes(b"PK")
    message = refused(run([*family, "H9"]))
    assert "3 faults" in message
    for part in (str(family[0]), str(family[1]), "H9 is neither"):
        assert part in message


@pytest.mark.parametrize(
    ("option", "value"),
    [("--resamples", "10"), ("--resamples", "1000000000"), ("--seed", "-1"),
     ("--margin", "0"), ("--margin", "nan"), ("--reference", "H7")],
)  # fmt: skip
def test_options_that_make_no_sense(option: str, value: str, run: Run, family: list[Path]) -> None:
    assert option in refused(run(["H1", "H2"], option, value))


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compare.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for part in ("95 % interval", "undecided", "Holm", "not test_SPLIT_NAME", "examples:"):
        assert part in text


def test_what_cannot_be_printed_is_written_all_the_same(family: list[Path], tmp_path: Path) -> None:
    """`compare | head`: the reader goes away while the tables are printed."""
    arguments = ["--runs", "H1", "H2", "--split", "val", "--resamples", "1000"]
    arguments += ["--experiments", str(tmp_path / "experiments")]
    arguments += ["--output-dir", str(tmp_path / "out")]
    program = subprocess.Popen(
        [sys.executable, compare.__file__, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout and program.stderr
    program.stdout.close()
    assert (program.stderr.read(), program.wait(timeout=120)) == (b"", 0)
    assert len(list((tmp_path / "out").glob("comparison.*"))) == 3


def test_an_output_folder_that_is_a_file_is_refused_before_anything_is_said(
    run: Run, family: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    result = run(["H1", "H2"])
    assert "is a file" in refused(result) and result[1] == ""
    assert (tmp_path / "out").read_text() == "mine"
