"""Downloads that break off, go on, are false, or cannot be had."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer

from seglab.utils.download import PublishedFile, fetch, open_url
from seglab.utils.errors import UserError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        running.files["/data.bin"] = CONTENT
        yield running


def published(server: FileServer, content: bytes = CONTENT) -> PublishedFile:
    digest = hashlib.sha256(content).hexdigest()
    return PublishedFile("data.bin", server.url("data.bin"), digest, len(content))


def test_a_file_is_fetched_once(server: FileServer, tmp_path: Path) -> None:
    path = fetch(published(server), tmp_path / "new", "give it")
    assert path == tmp_path / "new" / "data.bin" and path.read_bytes() == CONTENT
    assert fetch(published(server), tmp_path / "new", "give it") == path
    assert server.ranges == [""]
    assert list(path.parent.iterdir()) == [path]


def test_what_broke_off_is_gone_on_with_in_the_same_call(
    server: FileServer, tmp_path: Path
) -> None:
    server.breaks_after = 2000  # however often, as long as something comes
    path = fetch(published(server), tmp_path, "give it")
    assert path.read_bytes() == CONTENT
    assert server.ranges == ["", *(f"bytes={start}-" for start in range(2000, 10_001, 2000))]


def test_half_a_file_is_kept_and_gone_on_with_by_the_next_call(
    server: FileServer, tmp_path: Path
) -> None:
    server.holds = 3000
    with pytest.raises(UserError) as caught:
        fetch(published(server), tmp_path, "give it by hand")
    said = str(caught.value)
    assert "data.bin could not be downloaded (it broke off after 3,000 of 10,240 bytes)" in said
    assert str(tmp_path / "data.bin.part") in said and published(server).sha256 in said
    assert "run again to go on, or give it by hand" in said
    assert not (tmp_path / "data.bin").exists()
    assert server.ranges == ["", *["bytes=3000-"] * 3]
    server.holds = None
    assert fetch(published(server), tmp_path, "").read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=3000-"


def test_a_server_without_ranges_sends_all_of_it(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 100)
    server.knows_ranges = False
    assert fetch(published(server), tmp_path, "").read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_begun_anew(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 20_000)
    assert fetch(published(server), tmp_path, "").read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [CONTENT[::-1], CONTENT + b"more"])
def test_other_content_than_published_is_not_kept(
    server: FileServer, tmp_path: Path, sent: bytes
) -> None:
    server.files["/data.bin"] = sent
    with pytest.raises(UserError, match="data.bin is damaged: .* is not the published data.bin"):
        fetch(published(server), tmp_path, "")
    assert list(tmp_path.iterdir()) == []


def test_a_whole_file_that_is_another_stays_where_it_is(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"truncated: it has 4 of 10,240 bytes"):
        fetch(published(server), tmp_path, "")
    assert (tmp_path / "data.bin").read_bytes() == b"mine"
    assert server.ranges == []


def test_nobody_answers(tmp_path: Path) -> None:
    nobody = PublishedFile("x.gz", "http://127.0.0.1:9/x.gz", "0" * 64, 5)
    with pytest.raises(UserError) as caught:
        fetch(nobody, tmp_path, "give it by hand", seconds=2)
    assert "Connection refused" in str(caught.value)
    assert caught.value.fix == "give it by hand"  # there is nothing to go on with
    missing = PublishedFile("x.gz", "http://127.0.0.1:9/x.gz", "0" * 64, 1 << 60)
    free = shutil.disk_usage(tmp_path).free
    assert free < 1 << 60
    with pytest.raises(UserError, match="no room for the 1,152,921,504,606,846,976 bytes of x.gz"):
        fetch(missing, tmp_path, "")


def test_not_found(server: FileServer, tmp_path: Path) -> None:
    gone = PublishedFile("y.gz", server.url("y.gz"), "0" * 64, 5)
    with pytest.raises(UserError, match=r"y.gz could not be downloaded \(Not Found\)"):
        fetch(gone, tmp_path, "")


def test_only_addresses_on_the_net_are_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    for address in ((tmp_path / "secret").as_uri(), "ftp://x.invalid/a", "/etc/passwd"):
        with pytest.raises(OSError, match="no address on the net"):
            open_url(address, 1.0)
