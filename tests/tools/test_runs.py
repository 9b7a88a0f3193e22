"""`seglab runs`: what a person sees, in terminals wide and narrow, and what programs read."""

import errno
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from seglab.tools import runs
from seglab.utils.errors import UserError
from seglab.utils.tracking.journal import Journal, Text
from seglab.utils.tracking.upload_state import UploadState

MakeRun = Callable[..., Path]


@pytest.fixture
def experiments(make_run: MakeRun, tmp_path: Path) -> Path:
    """A sent run whose test is not, a silent one, a damaged one."""
    root = tmp_path / "experiments"
    first = make_run(root / "h1" / "20260101_000000", "H1", began="2026-01-01T00:00:00+0000")
    second = make_run(root / "h1" / "20260102_000000", "H1", seed=1, tested=False)
    broken = make_run(root / "h2" / "20260103_000000", "H2", tested=False)
    for folder in (first / "tracking", first / "test_val" / "tracking", second / "tracking"):
        journal = Journal(folder)
        journal.add(Text("x"))
        journal.close()
    state = UploadState(first / "tracking" / "upload.json", server="https://api.clear.ml")
    state.task, state.status = "0123abc", "completed"
    state.save()
    record = json.loads((second / "run.json").read_text())
    record["status"] = "running"
    (second / "run.json").write_text(json.dumps(record))
    for path in second.iterdir():
        os.utime(path, (1e9, 1e9))
    (broken / "config.json").write_text("{")
    return root


def test_the_table(experiments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.main(["--experiments", str(experiments)]) == 0
    printed = capsys.readouterr().out
    assert f"3 runs in {experiments}" in printed
    lines = {line.split()[1]: line for line in printed.splitlines() if "/2026010" in line[:30]}
    sent = lines["h1/20260101_000000"]
    assert "sent to api.clear.ml as 0123abc; test val: offline" in sent
    assert "finished" in sent and "0:00:12" in sent and "*" in sent
    assert "offline, not sent" in lines["h1/20260102_000000"]
    assert "silent" in lines["h1/20260102_000000"]
    assert "damaged" in lines["h2/20260103_000000"] and "off" in lines["h2/20260103_000000"]
    beware = printed[printed.index("beware") :]
    assert "config.json is not valid JSON" in beware
    assert "has written nothing for long" in beware and "--resume" in beware


def test_json_is_for_programs(experiments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.main(["--experiments", str(experiments), "--json", "--sort", "id"]) == 0
    rows = json.loads(capsys.readouterr().out)
    by_name = {Path(row["folder"]).name: row for row in rows}
    first = by_name["20260101_000000"]
    record = json.loads((Path(first["folder"]) / "run.json").read_text())
    assert first["best"] == record["best"]["val/mDice"]  # unrounded
    assert first["began"][:4] == "2026" or first["began"][:4] == "2025"  # in local time
    assert first["tracked"] == {"state": "sent", "host": "api.clear.ml", "task": "0123abc"}
    assert first["tests"][0]["tracked"]["state"] == "offline"
    assert by_name["20260103_000000"]["faults"]
    assert by_name["20260103_000000"]["status"] == "damaged"


def test_filter_sort_and_limit(experiments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--experiments", str(experiments), "--json"]
    runs.main([*where, "--hypothesis", "H1", "--sort", "best", "--limit", "1"])
    (row,) = json.loads(capsys.readouterr().out)
    assert row["id"] == "H1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hypothesis", "H7"], "no run of H7"),
        (["--limit", "0"], "--limit 0"),
        (["--limit", "-3"], "--limit -3"),
        (["--json", "--tensorboard"], "exclude each other"),
    ],
)
def test_refusals(arguments: list[str], message: str, experiments: Path) -> None:
    with pytest.raises(UserError, match=message):
        runs.main(["--experiments", str(experiments), *arguments])


def test_no_folder_and_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="is no folder"):
        runs.main(["--experiments", str(tmp_path / "absent")])
    assert runs.main(["--experiments", str(tmp_path)]) == 0
    assert "no runs under" in capsys.readouterr().out
    assert runs.main(["--experiments", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert runs.main(["--experiments", str(tmp_path), "--tensorboard"]) == 0  # nothing to show
    assert "no runs under" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_fault(experiments: Path) -> None:
    command = f"{sys.executable} {runs.__file__} --experiments {experiments} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == "" and "runs in" in done.stdout


@pytest.mark.parametrize("columns", [40, 80, 130, 250])
def test_in_terminals_of_any_width_no_line_is_too_long_and_nothing_is_cut(
    columns: int, experiments: Path
) -> None:
    shown = in_terminal([sys.executable, runs.__file__, "--experiments", str(experiments)], columns)
    table = [line for line in shown.splitlines() if line[:1] in "┏┃┡│└"]
    assert table and max(map(len, table)) <= columns
    assert "…" not in shown
    first = "".join(line.split("│")[1].strip() for line in table if line.startswith("│"))
    assert "h1/20260101_000000" in first
    assert ("too narrow for" in shown) == (columns < 200)


def in_terminal(command: list[str], columns: int) -> str:
    """What a command prints into a terminal of so many columns."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    names = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    environment |= {"NO_COLOR": "1", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                block = os.read(screen, 1 << 16)
            except OSError as error:  # the other side is closed
                assert error.errno == errno.EIO
                break
            if not block:
                break
            shown += block
    os.close(screen)
    assert process.returncode == 0, shown
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode().replace("\r\n", "\n"))


def test_tensorboards_files_alone(
    experiments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    logdir = tmp_path / "logs"
    where = ["--experiments", str(experiments), "--logdir", str(logdir)]
    assert runs.main([*where, "--tensorboard", "--no-serve"]) == 0
    assert f"tensorboard --logdir {logdir}" in capsys.readouterr().out
    assert list((logdir / "h1" / "20260101_000000" / "test_val").glob("events*"))
