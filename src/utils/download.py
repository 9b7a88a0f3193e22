"""Published files over HTTP: bounded waits, downloads that go on where they broke off."""

from __future__ import annotations

import http.client
import shutil
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file

_BLOCK = 1 << 20
_FRUITLESS = 3  # attempts in a row that bring nothing new
_RANGE_REFUSED = 416


@dataclass(frozen=True)
class PublishedFile:
    """One file on the net whose content is known.

    Attributes:
        name: Its base name.
        url: Where it is published.
        sha256: Its checksum, 64 hexadecimal digits.
        size: Its length in bytes.
    """

    name: str
    url: str
    sha256: str
    size: int

    def fault(self, path: Path) -> str:
        """What tells the file at `path` from the published one; empty if nothing does."""
        size = path.stat().st_size
        if size < self.size:
            return f"{path} is truncated: it has {size:,} of {self.size:,} bytes"
        digest = sha256_file(path)
        if size != self.size or digest != self.sha256:
            return (
                f"{path} is not the published {self.name}: its sha256 is {digest} ({size:,} "
                f"bytes), published is {self.sha256} ({self.size:,} bytes)"
            )
        return ""


def open_url(request: str | urllib.request.Request, seconds: float) -> Any:
    """Open a URL within a time, whatever the resolver or a firewall does.

    Args:
        request: The URL, or a request for it.
        seconds: How long to wait, name resolution included, and for each later read.

    Raises:
        OSError: There is no answer, or an error (`urllib.error.URLError`, `TimeoutError`).
    """
    outcome: list[Any] = []
    address = request if isinstance(request, str) else request.full_url
    if not address.startswith(("https://", "http://")):  # urllib would open files of this disk too
        raise urllib.error.URLError(f"{address} is no address on the net")

    def connect() -> None:
        try:
            outcome.append(urllib.request.urlopen(request, timeout=seconds))  # noqa: S310  # nosec B310
        except Exception as error:  # handed to the caller's thread
            outcome.append(error)

    # A socket time-out does not bound name resolution, so the wait is bounded here; the thread
    # is a daemon: left behind, it does not keep the process alive.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def failure_reason(error: Exception) -> str:
    """Why there was no download, without the file that it would have become."""
    said = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(said or next(iter(error.args), type(error).__name__))


def fetch(file: PublishedFile, folder: Path, way_out: str, seconds: float = 20.0) -> Path:
    """Download a file, unless it is there already; what broke off is gone on with.

    Half a file is kept as `NAME.part`. The file gets its name when its checksum is right.

    Args:
        file: What is published.
        folder: Where it goes; made if need be.
        way_out: What else the user can do, for the message where it cannot be had.
        seconds: How long to wait for an answer, and for each block.

    Returns:
        Its path.

    Raises:
        UserError: It cannot be had, it is damaged, or the disk is full.
    """
    target, part = folder / file.name, folder / f"{file.name}.part"
    if target.is_file():
        fault = file.fault(target)
        if fault:
            raise UserError(fault, "move it away and run again")
        return target
    folder.mkdir(parents=True, exist_ok=True)
    missing = file.size - _size(part)
    if shutil.disk_usage(folder).free < missing:
        raise UserError(
            f"{folder}: no room for the {missing:,} bytes of {file.name}", "name another folder"
        )
    reason, failures = "", 0
    while failures < _FRUITLESS:
        before = _size(part)
        try:
            _go_on(file, part, seconds)
        # URLError, TimeoutError and socket errors are all OSErrors.
        except (OSError, http.client.HTTPException) as error:
            reason = failure_reason(error)
            failures = 0 if _size(part) > before else failures + 1
            continue
        fault = file.fault(part)
        if fault:
            part.unlink()
            raise UserError(f"the download of {file.url} is damaged: {fault}", "run again")
        part.replace(target)
        return target
    raise _unfinished(file, part, reason, way_out)


def _go_on(file: PublishedFile, part: Path, seconds: float) -> None:
    """Download what is missing from `part`.

    Raises:
        OSError: The server cannot be reached or broke off; what came is kept.
    """
    have = _size(part)
    if have == file.size:
        return
    request = urllib.request.Request(file.url)  # noqa: S310 - our own addresses
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = open_url(request, seconds)
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_REFUSED:
            part.unlink(missing_ok=True)  # longer than what the server has: begin anew
        raise
    with response:
        # A server that knows no ranges sends all of it.
        goes_on = response.status == http.HTTPStatus.PARTIAL_CONTENT and str(
            response.headers.get("Content-Range", "")
        ).startswith(f"bytes {have}-")
        have = have if goes_on else 0
        bar = tqdm(total=file.size, initial=have, unit="B", unit_scale=True, desc=file.name)
        with part.open("ab" if goes_on else "wb") as stream, bar:
            while have <= file.size and (block := response.read(_BLOCK)):
                stream.write(block)
                have += len(block)
                bar.update(len(block))
    if have < file.size:
        raise OSError(f"it broke off after {have:,} of {file.size:,} bytes")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _unfinished(file: PublishedFile, part: Path, reason: str, way_out: str) -> UserError:
    kept = _size(part)
    state = f"\n  kept:   {part}, {kept:,} bytes" if kept else ""
    again = "run again to go on, or " if kept else ""
    return UserError(
        f"{file.name} could not be downloaded ({reason})\n"
        f"  url:    {file.url}\n"
        f"  size:   {file.size:,} bytes\n"
        f"  sha256: {file.sha256}{state}",
        f"{again}{way_out}",
    )
