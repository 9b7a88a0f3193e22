"""Archives of friends and of others."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from seglab.data.preparing import archives
from seglab.data.preparing.archives import unpack
from seglab.utils.errors import UserError


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def write(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for each in members:
            info, content = each if isinstance(each, tuple) else (each, b"")
            info = member(info) if isinstance(info, str) else info
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_files_under_the_folder_are_unpacked_by_their_bytes(tmp_path: Path) -> None:
    odd = member("images/b.jpg")
    odd.mode, odd.uid = 0o4777, 1234
    path = write(
        tmp_path / "x.tar.gz",
        member("images", tarfile.DIRTYPE),
        ("images/a.jpg", b"a" * 3000),
        (odd, b"b"),
        ("./images/deep/c.jpg", b"c"),
        ("images/._a.jpg", b"of macOS"),
        ("README", b"beside"),
    )
    assert unpack(path, tmp_path / "out", "images") == 3
    out = tmp_path / "out/images"
    assert (out / "a.jpg").read_bytes() == b"a" * 3000
    assert (out / "deep/c.jpg").read_bytes() == b"c"
    assert (out / "b.jpg").stat().st_mode & 0o7111 == 0
    assert sorted(each.name for each in out.rglob("*")) == ["a.jpg", "b.jpg", "c.jpg", "deep"]
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["images"]


def test_hostile_members_are_all_named_and_nothing_leaves_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "victim"
    path = write(
        tmp_path / "evil.tar.gz",
        ("images/good.jpg", b"1"),
        ("images/../../climbs", b"2"),
        (str(target), b"3"),
        ("images\\..\\windows", b"4"),
        ("C:/windows", b"4"),
        member("images/soft", tarfile.SYMTYPE, "/etc"),
        ("images/soft/passwd", b"5"),
        member("images/hard", tarfile.LNKTYPE, "../../etc/passwd"),
        member("images/pipe", tarfile.FIFOTYPE),
        member("images/device", tarfile.CHRTYPE),
        ("images/good.jpg", b"again"),
    )
    with pytest.raises(UserError) as caught:
        unpack(path, tmp_path / "out", "images")
    said = str(caught.value)
    assert "evil.tar.gz" in said and "(9 faults)" in said
    for line in (
        "images/../../climbs: climbs out",
        f"{target}: climbs out",
        "windows: climbs out",
        "images/soft: is a link to /etc",
        "images/hard: is a link to ../../etc/passwd",
        "images/pipe: is neither a file nor a folder",
        "images/device: is neither",
        "images/good.jpg: is in the archive twice",
    ):
        assert line in said
    assert not target.exists() and not (tmp_path / "climbs").exists()
    assert not any(each.is_symlink() for each in tmp_path.rglob("*"))
    assert (tmp_path / "out/images/good.jpg").read_bytes() == b"1"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_archive_is_named(tmp_path: Path, share: float) -> None:
    import os

    path = write(tmp_path / "x.tar.gz", *((f"images/{i}", os.urandom(2000)) for i in range(9)))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match=r"x\.tar\.gz is truncated or damaged"):
        unpack(path, tmp_path / "out", "images")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x1f\x8b\x08\x00garbage" * 50])
def test_no_archive_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.tar\.gz is truncated or damaged"):
        unpack(path, tmp_path / "out", "images")


def test_an_archive_that_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST", 5000)
    path = write(tmp_path / "x.tar.gz", *((f"images/{i}", b"0" * 2000) for i in range(3)))
    with pytest.raises(UserError, match=r"x\.tar\.gz unpacks to more than"):
        unpack(path, tmp_path / "out", "images")
