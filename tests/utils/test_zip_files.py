"""Zip bombs are refused before they are unpacked; what was packed in good faith is not."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile import zip_bomb

from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.errors import UserError
from seglab.utils.zip_files import refuse_bombs


def test_a_bomb_is_refused_and_compressible_data_is_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="claims to unpack to 0.2 GB: a zip bomb"):
        refuse_bombs(zip_bomb(tmp_path / "a.zip", "x", megabytes=200))
    refuse_bombs(zip_bomb(tmp_path / "b.zip", "x", megabytes=20))  # small: no harm in it
    np.savez_compressed(tmp_path / "c.npz", np.eye(3000))  # 72 MB of mostly zeros
    with pytest.raises(ValueError, match="zip bomb"):
        refuse_bombs(tmp_path / "c.npz")
    np.savez_compressed(tmp_path / "d.npz", np.random.default_rng(0).random(100_000))
    refuse_bombs(tmp_path / "d.npz")


def test_members_that_share_their_bytes_count_together(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(40 << 20))
        first = archive.infolist()[0]
        for name in ("b", "c", "d"):  # entries of the directory for the same bytes
            twin = zipfile.ZipInfo(name)
            for key in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(twin, key, getattr(first, key))
            archive.filelist.append(twin)
            archive.NameToInfo[name] = twin
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="0.2 GB"):
        refuse_bombs(tmp_path / "a.zip")


def test_what_is_no_zip_is_no_bomb(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    refuse_bombs(tmp_path / "a")


def test_a_checkpoint_that_is_a_bomb(tmp_path: Path) -> None:
    # torch inflates packed members; it writes none itself.
    torch.save({"a": torch.zeros(30_000_000)}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as plain,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    assert load_checkpoint_file(tmp_path / "a.pth")["a"].numel() == 30_000_000
    with pytest.raises(UserError, match=r"b\.pth cannot be read.*zip bomb"):
        load_checkpoint_file(tmp_path / "b.pth")
