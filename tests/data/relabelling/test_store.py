"""The output folder: nothing is mixed, lost, linked or written elsewhere."""

import os
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from seglab.data.relabelling import store as module
from seglab.data.relabelling.inputs import Task
from seglab.data.relabelling.store import Store
from seglab.utils.bad_masks import BadMask
from seglab.utils.errors import UserError

NEW = np.full((4, 4), 1, np.uint8)


def task(split: str, name: str) -> Task:
    listed = BadMask(f"labels/{split}/{name}.png", "0" * 64, "odd", "person")
    inside = PurePosixPath(f"{name}.png")
    return Task(listed, split, inside, Path(), Path(), "0" * 64, ())


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Old masks of two splits; the store copies their bytes and looks at none."""
    for name in ("train/a", "train/sub/b", "val/c"):
        path = tmp_path / f"labels/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "labels"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "out")
    made.prepare()
    return made


def save(store: Store, *tasks: Task) -> None:
    for each in tasks:
        store.save(each, {"key": "k"}, NEW, np.zeros((5, 5, 3), np.uint8))


def test_a_split_that_is_no_longer_listed_gets_its_old_masks_back(
    store: Store, originals: Path
) -> None:
    train, val = task("train", "a"), task("val", "c")
    save(store, train, val)
    assert store.assemble(originals, ["train", "val"], [train, val]) == 3
    assert (store.folder / "val/c.png").read_bytes() != b"val/c"
    assert store.forget_others([train], originals) == 1
    assert (store.folder / "val/c.png").read_bytes() == b"val/c"
    assert store.finished(train, "k") and not store.finished(val, "k")
    assert store.assemble(originals, ["train"], [train]) == 2


def test_a_kill_while_forgetting_is_made_good(
    store: Store, originals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    val = task("val", "c")
    save(store, val)
    store.assemble(originals, ["val"], [val])

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module.shutil, "copyfile", kill)
        with pytest.raises(KeyboardInterrupt):
            store.forget_others([], originals)
    assert store.forget_others([], originals) == 1
    assert (store.folder / "val/c.png").read_bytes() == b"val/c"


def test_no_relabel_json_speaks_for_masks_that_are_half_changed(
    store: Store, originals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = task("train", "a")
    save(store, one)
    store.assemble(originals, ["train"], [one])
    written = store.folder / "relabel.json"
    written.write_text("{}")
    times = {path: path.stat().st_mtime_ns for path in (store.folder / "train").rglob("*.png")}
    store.assemble(originals, ["train"], [one])
    assert written.exists(), "nothing changed"
    assert times == {path: path.stat().st_mtime_ns for path in times}, "nothing is written again"
    real = shutil.copyfile

    def kill(source: Path, target: Path) -> None:
        if "sub" in str(source):
            raise KeyboardInterrupt
        real(source, target)

    (originals / "train/sub/b.png").write_bytes(b"changed")
    with monkeypatch.context() as patched:
        patched.setattr(module.shutil, "copyfile", kill)
        with pytest.raises(KeyboardInterrupt):
            store.assemble(originals, ["train"], [])
    assert not written.exists()
    store.assemble(originals, ["train"], [])
    for name in ("a", "sub/b"):
        copy, old = store.folder / f"train/{name}.png", originals / f"train/{name}.png"
        assert copy.read_bytes() == old.read_bytes()


def test_links_to_the_originals_become_real_copies(store: Store, originals: Path) -> None:
    (store.folder / "train/sub").mkdir(parents=True)
    os.link(originals / "train/a.png", store.folder / "train/a.png")
    (store.folder / "train/sub/b.png").symlink_to(originals / "train/sub/b.png")
    store.assemble(originals, ["train"], [])
    for name in ("a", "sub/b"):
        copy, old = store.folder / f"train/{name}.png", originals / f"train/{name}.png"
        assert not copy.is_symlink() and not copy.samefile(old)
        assert copy.read_bytes() == old.read_bytes() == f"train/{name}".encode()


def test_nothing_is_written_through_a_link(store: Store, originals: Path) -> None:
    (store.folder / "train").symlink_to(originals / "train")
    with pytest.raises(UserError, match="train is a link"):
        store.prepare(["train"])
    store.prepare(["val"])


def test_a_folder_that_has_a_work_folder_of_its_own_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "mine/work").mkdir(parents=True)
    (tmp_path / "mine/train").mkdir()
    (tmp_path / "mine/train/x.png").write_text("dear to me")
    with pytest.raises(UserError, match="not from relabelling"):
        Store(tmp_path / "mine").check(tmp_path, "img", "labels")


def test_half_written_files_of_a_killed_run_go_and_count_for_nothing(
    store: Store, originals: Path
) -> None:
    one = task("train", "a")
    save(store, one)
    work = store.folder / "work"
    for kind, suffix in (("records", "json"), ("proposed", "png"), ("pictures", "png")):
        (work / kind / f"train/.a.x7b2.{suffix}").write_bytes(b"half")
    assert store.forget_others([one], originals) == 0
    assert sorted(path.name for path in work.rglob("*.*")) == ["a.json", "a.png", "a.png"]


def test_a_mask_without_its_picture_is_not_finished(store: Store) -> None:
    one = task("train", "a")
    save(store, one)
    assert store.finished(one, "k") and not store.finished(one, "other")
    shutil.rmtree(store.folder / "work/pictures")  # it takes the most room
    assert store.finished(one, "k") is None
