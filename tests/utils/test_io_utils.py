"""Atomic files and plain JSON."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from seglab.utils.errors import UserError
from seglab.utils.io_utils import (
    atomic_path,
    read_json,
    require_new,
    sha256_file,
    to_plain,
    whole_folder,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "set"
    with pytest.raises(RuntimeError), whole_folder(out) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for content in ("first", "second"):  # an earlier one is replaced
        with whole_folder(out) as folder:
            assert not any(folder.iterdir())
            (folder / content).write_text(content)
        assert [path.name for path in out.iterdir()] == [content]
    with (
        pytest.raises(UserError, match=r"cannot write .*below"),
        whole_folder(out / "second/below"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_only_a_new_or_empty_folder_is_new(tmp_path: Path) -> None:
    require_new(tmp_path)
    require_new(tmp_path / "nowhere")
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match=r"is not empty \(it holds mine.txt\)"):
        require_new(tmp_path)
    with pytest.raises(UserError, match=r"mine.txt is a file"):
        require_new(tmp_path / "mine.txt")


def test_a_kill_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    code = f"""
import os, signal
from seglab.utils.io_utils import atomic_path
with atomic_path({str(target)!r}) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"


def test_the_result_is_as_readable_as_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        path = write_json(tmp_path / "a.json", {})
        assert path.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)


def test_folders_are_made_and_suffix_is_kept(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "new" / "folder" / "x.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"x")
    assert (tmp_path / "new" / "folder" / "x.png").read_bytes() == b"x"


def test_numbers_of_numpy_and_torch_become_plain() -> None:
    data = {
        "a": np.float32(0.5),
        "b": np.arange(3),
        "c": torch.tensor([1.0, float("nan")]),
        "d": (Path("x"), True, None, 7),
        1: float("inf"),
    }
    plain = to_plain(data)
    assert plain == {
        "a": 0.5,
        "b": [0, 1, 2],
        "c": [1.0, None],
        "d": ["x", True, None, 7],
        "1": None,
    }
    json.dumps(plain, allow_nan=False)


def test_a_disk_without_space_names_the_file(tmp_path: Path) -> None:
    """The system's limit on the size of files stands in for a full disk."""
    path = tmp_path / "result.json"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            write_json(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_bad_json_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    for text in ('{"a": ', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(UserError, match=r"broken\.json is not valid JSON"):
            read_json(path)
    with pytest.raises(UserError, match=r"cannot read .*missing\.json"):
        read_json(tmp_path / "missing.json")


def test_sha256_reads_every_block(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    content = os.urandom((1 << 20) + 17)
    path.write_bytes(content)
    assert sha256_file(path) == hashlib.sha256(content).hexdigest()


def test_a_link_in_place_of_an_unfinished_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / ".out.partial").symlink_to(tmp_path / "outside")
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("x")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    assert not (tmp_path / "out").is_symlink() and list((tmp_path / "outside").iterdir()) == []
