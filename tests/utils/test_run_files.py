"""What run folders say about themselves, the damaged ones included."""

import json
import os
import time
from pathlib import Path

import pytest

from seglab.utils.errors import UserError
from seglab.utils.run_files import (
    best_checkpoint_file,
    dig,
    is_silent,
    last_sign,
    load_history,
    read_object,
    run_hypothesis,
    run_monitor,
    run_seed,
    run_stamp,
    session_began,
)


def test_dig_goes_as_far_as_there_are_dicts() -> None:
    content = {"a": {"b": 0, "c": [1]}}
    assert dig(content, "a", "b") == 0
    assert dig(content, "a", "x", "y") is None
    assert dig(content, "a", "c", "d") is None
    assert dig(None, "a") is None


def test_history_leaves_out_what_was_no_number(tmp_path: Path) -> None:
    lines = [{"epoch": 1, "val/mDice": None, "loss": 0.5}, {"epoch": 2, "val/mDice": 70.0}]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert load_history(tmp_path) == [{"epoch": 1, "loss": 0.5}, lines[1]]


@pytest.mark.parametrize("damage", ["{", "[1]", "7", "[" * 100_000, '{"epoch": 1}\n{"epo'])
def test_damaged_history_names_the_line(damage: str, tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text('{"epoch": 1}\n' + damage)
    with pytest.raises(UserError, match=r"history.jsonl, line \d: not a JSON object"):
        load_history(tmp_path)


def test_history_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load_history(tmp_path)
    (tmp_path / "history.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot read"):
        load_history(tmp_path)


def test_an_object_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(UserError, match="run.json holds no JSON object"):
        read_object(tmp_path / "run.json")


def test_seed_hypothesis_and_monitor_where_a_run_says_little(tmp_path: Path) -> None:
    assert run_seed({"randomness": {"seed": 3}}, {}) == 3
    assert run_seed({"randomness": {"seed": 3}}, {"seed": 0}) == 0
    assert run_seed({}, {"seed": "x"}) is None
    assert run_hypothesis({}, {"hypothesis": "lite"}, tmp_path).id == "lite"
    assert run_hypothesis({}, {}, tmp_path).id == tmp_path.name
    assert run_monitor({}, {}) == "val/mDice"
    hooks = {"checkpoint": {"save_best": ["val/HD95/dog", "val/mDice"]}}
    assert run_monitor({"default_hooks": hooks}, {}) == "val/HD95/dog"
    assert run_monitor({"default_hooks": hooks}, {"monitor": "val/ECE"}) == "val/ECE"
    assert run_monitor({"default_hooks": {"checkpoint": {"save_best": []}}}, {}) == "val/mDice"


def test_the_best_checkpoint_is_that_of_the_latest_epoch(tmp_path: Path) -> None:
    for name in (
        "best_val_mDice_epoch_9.pth",
        "best_val_mDice_epoch_12.pth",
        "best_x_epoch_99.pth",
    ):
        (tmp_path / name).touch()
    found = best_checkpoint_file(tmp_path, "val/mDice")
    assert found is not None and found.name == "best_val_mDice_epoch_12.pth"
    assert best_checkpoint_file(tmp_path, "val/IoU/cat") is None


@pytest.mark.parametrize(
    "record",
    [{}, {"sessions": []}, {"sessions": None}, {"sessions": [{"began": "yesterday"}]},
     {"sessions": {"a": 1}}, {"sessions": [{"began": 7}]}],
)  # fmt: skip
def test_a_record_that_does_not_say_when_it_began(record: dict, tmp_path: Path) -> None:
    assert session_began(record) is None
    assert run_stamp(tmp_path, record) == tmp_path.name


def test_the_stamp_is_the_folders_or_that_of_the_first_session(tmp_path: Path) -> None:
    sessions = [{"began": "2026-01-02T03:04:05+0000"}, {"began": "2026-02-02T03:04:05+0000"}]
    record = {"sessions": sessions}
    assert session_began(record) == session_began(record, 0) + 31 * 86400
    assert run_stamp(tmp_path / "20251231_235959", record) == "20251231_235959"
    assert run_stamp(tmp_path / "20251231_235959_4711", record) == "20251231_235959_4711"
    local = time.strftime("%Y%m%d_%H%M%S", time.localtime(session_began(record, 0)))
    assert run_stamp(tmp_path / "seed_0", record) == local


def test_a_run_is_silent_after_five_of_its_longest_epochs(tmp_path: Path) -> None:
    assert last_sign(tmp_path / "absent") == 0.0
    (tmp_path / "20260102_030405").mkdir()
    for name, age in (("run.json", 9000), ("20260102_030405/x.log", 4000), ("notes.txt", 0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert last_sign(tmp_path) == 1e9 - 4000  # not that of other people's files
    assert is_silent(tmp_path, [], now=1e9)
    assert is_silent(tmp_path, [{"seconds": 700.0}, {"seconds": 5}], now=1e9)
    assert not is_silent(tmp_path, [{"seconds": 900.0}, {"seconds": 5}], now=1e9)
    assert not is_silent(tmp_path, [{"seconds": float("inf")}], now=1e9 - 3200)
    assert is_silent(tmp_path, [{"seconds": "?"}], now=1e9 - 3000)


def test_an_object_can_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{"a": "\\ud83d\\ude00"}')  # two halves make a whole
    assert read_object(path) == {"a": "\U0001f600"}
    path.write_text('{"a": ["\\ud83d"]}')
    with pytest.raises(UserError, match=r"run\.json cannot be written again"):
        read_object(path)
