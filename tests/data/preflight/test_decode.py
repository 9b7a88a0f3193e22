from __future__ import annotations

from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image, ImageFile

from seglab.data.preflight.decode import decode_file, decode_files


@pytest.fixture
def photo() -> Image.Image:
    smooth = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(smooth).resize((64, 48), Image.Resampling.BICUBIC)


def test_facts_of_a_sound_mask(tmp_path):
    pixels = np.array([[0, 0, 7], [255, 7, 7]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    facts = decode_file(tmp_path / "m.png")
    assert facts.readable
    assert facts.size == (3, 2)
    assert facts.mode == "L"
    assert facts.values == tuple(np.unique(pixels))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_truncated_jpeg_is_seen_at_every_length(tmp_path, photo, progressive, kept):
    path = tmp_path / "a.jpg"
    photo.save(path, progressive=progressive)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert decode_file(path).problem


def test_jpeg_whose_tail_is_zeros_is_seen_though_decoders_pass_it(tmp_path, photo):
    path = tmp_path / "a.jpg"
    photo.save(path, comment=b"an end marker \xff\xd9 before the pixels counts for nothing")
    data = path.read_bytes()
    path.write_bytes(data[:-200] + bytes(200))
    assert cv2.imread(str(path)) is not None  # the fault is silent in training
    assert "no end-of-image marker" in decode_file(path).problem


def test_bytes_after_the_end_of_a_jpeg_are_no_fault(tmp_path, photo):
    path = tmp_path / "a.jpg"
    photo.save(path)
    path.write_bytes(path.read_bytes() + b"\xff\xda trailer of a phone" + bytes(100))
    assert decode_file(path).readable


@pytest.mark.parametrize("cut", [8, 13, 20, 100, 400])
def test_truncated_png_is_seen(tmp_path, photo, cut):
    path = tmp_path / "m.png"
    photo.convert("L").save(path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert decode_file(path).problem


def test_no_flipped_bit_in_a_png_passes_with_other_pixels(tmp_path):
    path = tmp_path / "m.png"
    mask = np.zeros((32, 32), np.uint8)
    mask[4:20, 8:30] = 1
    Image.fromarray(mask).save(path)
    sound, data = decode_file(path), path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(8, len(data), 150):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        facts = decode_file(path)
        assert facts.problem or facts.digest == sound.digest


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "0 bytes"), (b"<html>404</html>", "not an image")]
)
def test_other_content_is_named(tmp_path, content, problem):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert problem in decode_file(path).problem


def test_a_missing_file_and_a_folder_have_a_problem(tmp_path):
    assert "No such file" in decode_file(tmp_path / "none.jpg").problem
    assert "directory" in decode_file(tmp_path).problem


def test_oversized_files_are_not_decoded(tmp_path, monkeypatch):
    Image.new("L", (2000, 600)).save(tmp_path / "big.png")
    assert decode_file(tmp_path / "big.png").readable
    monkeypatch.setenv("SEGLAB_MAX_MEGAPIXELS", "1")
    facts = decode_file(tmp_path / "big.png")
    assert facts.oversized
    assert not facts.readable


def test_decompression_bomb_is_oversized(tmp_path, monkeypatch):
    Image.new("L", (2000, 600)).save(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode_file(tmp_path / "big.png").oversized


@pytest.mark.parametrize("orientation", range(10))
def test_exif_size_is_the_one_mmseg_loads(tmp_path, photo, orientation):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(path, exif=exif)
    facts = decode_file(path)
    height, width = mmcv.imread(str(path)).shape[:2]
    assert facts.size == (width, height)
    assert facts.orientation == (orientation if 1 <= orientation <= 8 else 1)


def test_digest_is_equal_for_equal_pixels_only(tmp_path, photo):
    photo.save(tmp_path / "a.png", compress_level=1)
    photo.save(tmp_path / "b.png", compress_level=9)
    changed = np.array(photo)
    changed[0, 0, 0] ^= 1
    Image.fromarray(changed).save(tmp_path / "c.png")
    Image.new("L", (4, 2)).save(tmp_path / "d.png")
    Image.new("L", (2, 4)).save(tmp_path / "e.png")
    a, b, c, d, e = (decode_file(tmp_path / f"{name}.png").digest for name in "abcde")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
    assert a == b
    assert len({a, c, d, e}) == 4


def test_decode_files_ignores_and_restores_pillows_tolerance(tmp_path, photo, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    paths: list[Path] = []
    for index in range(5):
        paths.append(tmp_path / f"{index}.bmp")
        photo.save(paths[-1])
    paths[3].write_bytes(paths[3].read_bytes()[:-500])
    facts = decode_files([*paths, paths[0]])
    assert list(facts) == paths
    assert [bool(facts[path].problem) for path in paths] == [False, False, False, True, False]
    assert ImageFile.LOAD_TRUNCATED_IMAGES
