"""Files that would hurt a careless reader, made while the tests run."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image


class Touches:
    """Unpickling this creates a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = str(victim)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.victim, "w")


def python_that_touches(victim: Path) -> str:
    """Python that creates a file."""
    return f"open({str(victim)!r}, 'w').close()\n"


def hostile_pickle(path: Path, victim: Path) -> Path:
    """A plain pickle."""
    path.write_bytes(pickle.dumps(Touches(victim)))
    return path


def hostile_checkpoint(path: Path, victim: Path, weights: Any = None) -> Path:
    """A checkpoint that holds, beside its weights, an object that creates a file."""
    torch.save({"state_dict": weights or {}, "extra": Touches(victim)}, path)
    return path


def huge_png(path: Path, width: int = 60_000, height: int = 60_000) -> Path:
    """A whole PNG of a few kilobytes that claims to be of 3.6 gigapixels; its rows are zeros."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20), 9)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def truncated_jpeg(path: Path) -> Path:
    """A photograph whose second half was never written."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=95)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def zip_bomb(path: Path, member: str, megabytes: int = 2000) -> Path:
    """A zip of a thousandth of the size that its one member unpacks to."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open(member, "w", force_zip64=True) as stream,
    ):
        for _ in range(megabytes):
            stream.write(bytes(1 << 20))
    return path
