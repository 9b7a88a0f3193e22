"""Files to resume from: whole or not, newest first."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from seglab.utils import resume_files
from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.errors import UserError
from seglab.utils.io_utils import atomic_path, sha256_file
from seglab.utils.resume_files import (
    Place,
    checksum_path,
    fault_of,
    newest_valid,
    place_of,
    remove,
    remove_leftovers,
    superseded,
    write_checked,
)

STATE = {"optimizer": {}, "state_dict": {"weight": torch.arange(3.0)}}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("epoch_12.pth", Place(12)),
        ("epoch_3_step_7.pth", Place(3, 7)),
        ("iter_40.pth", Place(0, 40, by_epoch=False)),
        ("iter_40_step_3.pth", None),
        ("best_val_mDice_epoch_12.pth", None),
        ("epoch_12.pth.sha256", None),
        (".epoch_12.x.pth", None),
    ],
)
def test_a_name_tells_the_place(name: str, place: Place | None) -> None:
    assert place_of(name) == place
    if place is not None:
        assert place.file_name == name


def test_the_newest_comes_first(tmp_path: Path) -> None:
    for name in ("epoch_9", "epoch_10", "epoch_9_step_3", "epoch_9_step_20", "best_epoch_99"):
        (tmp_path / f"{name}.pth").touch()
    found = [path.stem for path in resume_files.resume_files(tmp_path)]
    assert found == ["epoch_10", "epoch_9_step_20", "epoch_9_step_3", "epoch_9"]


def test_the_checksum_is_one_that_sha256sum_reads(tmp_path: Path) -> None:
    path = tmp_path / "epoch_1.pth"
    write_checked(path, STATE)
    line = checksum_path(path).read_text()
    assert line == f"{sha256_file(path)}  epoch_1.pth\n"
    assert fault_of(path) is None
    assert torch.equal(torch.load(path)["state_dict"]["weight"], torch.arange(3.0))


def test_what_does_not_read_back_does_not_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "epoch_1.pth"
    write_checked(path, STATE)
    before = path.read_bytes()
    monkeypatch.setattr(resume_files, "sha256_file", lambda _: "0" * 64)
    with pytest.raises(OSError, match="reads back otherwise"):
        write_checked(path, {"optimizer": {}, "more": 1})
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name, f"{path.name}.sha256"]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "epoch_1.pth"
    write_checked(path, STATE)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checked(tmp_path / "epoch_2.pth", STATE)
    assert [each.name for each in resume_files.resume_files(tmp_path)] == ["epoch_1.pth"]
    assert fault_of(path) is None


def test_damaged_files_are_passed_over_and_kept(tmp_path: Path) -> None:
    for epoch in (1, 2, 3, 4):
        write_checked(tmp_path / f"epoch_{epoch}.pth", STATE)
    (tmp_path / "epoch_4.pth").write_bytes(b"")
    cut = tmp_path / "epoch_3.pth"
    cut.write_bytes(cut.read_bytes()[:-1])
    checksum_path(tmp_path / "epoch_2.pth").write_text("")
    point = newest_valid(tmp_path)
    assert point is not None
    assert point.path.name == "epoch_1.pth"
    assert [line.split(":")[0] for line in point.skipped] == [
        f"epoch_{epoch}.pth" for epoch in (4, 3, 2)
    ]
    assert len(resume_files.resume_files(tmp_path)) == 4


def test_a_checkpoint_that_is_not_what_its_checksum_says_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "epoch_1.pth"
    write_checked(path, STATE)
    torch.save({**STATE, "state_dict": {"weight": torch.arange(3.0) + 1}}, path)
    with pytest.raises(UserError, match=r"epoch_1\.pth is damaged: it does not match epoch_1"):
        load_checkpoint_file(path)
    checksum_path(path).unlink()
    assert float(load_checkpoint_file(path)["state_dict"]["weight"][0]) == 1.0


def test_states_of_earlier_versions_have_no_checksum(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "epoch_1.pth")
    torch.save({"state_dict": {}}, tmp_path / "epoch_2.pth")
    (tmp_path / "epoch_3.pth").write_bytes(b"not a checkpoint")
    point = newest_valid(tmp_path)
    assert point is not None
    assert point.path.name == "epoch_1.pth"
    assert "no optimizer state" in point.skipped[1]


def test_nothing_to_resume(tmp_path: Path) -> None:
    assert newest_valid(tmp_path) is None


def test_a_removed_file_takes_its_checksum_along(tmp_path: Path) -> None:
    path = tmp_path / "epoch_1.pth"
    write_checked(path, STATE)
    remove(path)
    remove(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("replaced", [False, True])
def test_a_kill_while_a_file_takes_the_place_of_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    path = tmp_path / "epoch_1.pth"
    write_checked(path, STATE)
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if Path(target) == path:
            if replaced:
                replace(self, target)
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_checked(path, {"optimizer": {}, "new": True})
    monkeypatch.undo()
    assert fault_of(path) is None and ("new" in load_checkpoint_file(path)) == replaced
    path.write_bytes(path.read_bytes()[:-1])
    assert fault_of(path) is not None
    write_checked(path, STATE)
    assert fault_of(path) is None
    assert len(checksum_path(path).read_text().splitlines()) == 1


def test_states_that_are_not_needed_any_more(tmp_path: Path) -> None:
    for name in ("epoch_1", "epoch_2", "epoch_2_step_4", "epoch_3"):
        (tmp_path / f"{name}.pth").touch()
    place = Place(2, 4)  # the run went on from before epoch 3: that file is damaged
    assert superseded(tmp_path, place, -1) == []
    assert superseded(tmp_path, place, 3) == []
    assert superseded(tmp_path, place, 1) == [tmp_path / "epoch_2.pth", tmp_path / "epoch_1.pth"]


def test_what_a_kill_left_unfinished_goes(tmp_path: Path) -> None:
    mine = [
        ".epoch.pth",
        ".hidden",
        ".config.json",
        ".run.backup",
        ".best_friend.json",
        "epoch_1.pth",
        ".epoch_1.backup.pth",
    ]
    for name in mine:
        (tmp_path / name).touch()
    unfinished = (
        *("epoch_1.pth", "epoch_1.pth.sha256", "best_val_mDice_epoch_1.safetensors"),
        *("not_finite_step.pth", "not_finite_step.pth.sha256", "history.jsonl", "run.json"),
        *("config.py", "config.json", "last_checkpoint"),
    )
    for name in unfinished:
        with suppress(KeyboardInterrupt), atomic_path(tmp_path / name) as temporary:
            temporary.rename(f"{temporary}.kept")
            raise KeyboardInterrupt
        Path(f"{temporary}.kept").rename(temporary)
    assert len(list(tmp_path.iterdir())) == len(mine) + len(unfinished)
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(mine)
