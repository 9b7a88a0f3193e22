"""A crafted image takes neither memory nor time, and is refused in words."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile import huge_png, truncated_jpeg
from PIL import Image, UnidentifiedImageError

from seglab.data.preflight.decode import decode_file, decode_pixels, read_mask
from seglab.data.relabelling.inputs import read_image
from seglab.utils.errors import UserError
from seglab.utils.image_limits import TooLargeError, open_image


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_huge_png_is_refused_by_its_header(tmp_path: Path) -> None:
    path = huge_png(tmp_path / "a.png")
    assert path.stat().st_size < 10_000
    before = peak_megabytes()
    for read in (read_image, read_mask):
        with pytest.raises(UserError, match=r"a\.png.*more than 100 megapixels"):
            read(path)
    assert decode_file(path).oversized
    assert peak_megabytes() - before < 50


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_sizes_between_pillows_limit_and_ours(tmp_path: Path) -> None:
    # 95 megapixels: Pillow would warn; 120: it would warn, we refuse; both claim, none decodes.
    with open_image(huge_png(tmp_path / "a.png", 9_500, 10_000)) as image:
        assert image.size == (9_500, 10_000)
    with (
        pytest.raises(TooLargeError, match="12000x10000"),
        open_image(huge_png(tmp_path / "b.png", 12_000, 10_000)),
    ):
        pass


def test_the_limits_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bmp"
    Image.new("RGB", (1000, 1000)).save(path)  # a megapixel, 3 MB
    monkeypatch.setenv("SEGLAB_MAX_MEGAPIXELS", "0.9")
    with pytest.raises(TooLargeError) as caught, open_image(path):
        pass
    assert "SEGLAB_MAX_MEGAPIXELS" in caught.value.fix
    monkeypatch.setenv("SEGLAB_MAX_MEGAPIXELS", "1.1")
    monkeypatch.setenv("SEGLAB_MAX_IMAGE_MB", "2.9")
    with pytest.raises(TooLargeError, match="3 MB, more than 2.9"), open_image(path):
        pass
    monkeypatch.setenv("SEGLAB_MAX_IMAGE_MB", "3.1")
    with open_image(path) as image:
        assert image.size == (1000, 1000)
    for text in ("", "many", "nan", "-1", "0", "inf"):
        monkeypatch.setenv("SEGLAB_MAX_MEGAPIXELS", text)
        with pytest.raises(UserError, match="is no limit"), open_image(path):
            pass


def test_truncated_and_disguised_files(tmp_path: Path) -> None:
    path = truncated_jpeg(tmp_path / "a.jpg")
    assert "truncated" in decode_file(path).problem
    with pytest.raises(OSError), open_image(path) as image:
        image.load()
    # Pillow would start Ghostscript for this one.
    (tmp_path / "b.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(UnidentifiedImageError), open_image(tmp_path / "b.jpg"):
        pass
    assert decode_file(tmp_path / "b.jpg").problem


@pytest.mark.parametrize("kind", ["GIF", "PNG", "BMP", "WEBP", "TIFF", "JPEG"])
def test_every_usual_format_opens_under_any_name(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "a.jpg", format=kind)  # as in Oxford-IIIT Pet
    facts, picture = decode_pixels(tmp_path / "a.jpg")
    assert facts.size == (5, 4) and picture is not None


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "zero.jpg"):
        assert "no ordinary file" in decode_file(tmp_path / name).problem


@pytest.mark.parametrize(("setting", "limit"), [(None, 100_000_000), ("7", 7_000_000), ("x", None)])
def test_opencv_gets_the_same_limit(tmp_path: Path, setting: str | None, limit: int | None) -> None:
    environment = {k: v for k, v in os.environ.items() if "MAX_IMAGE_PIXELS" not in k}
    if setting is not None:
        environment["SEGLAB_MAX_MEGAPIXELS"] = setting
    code = "import seglab, os; print(os.environ.get('OPENCV_IO_MAX_IMAGE_PIXELS'))"
    if limit == 7_000_000:
        Image.fromarray(np.zeros((3000, 3000), np.uint8)).save(tmp_path / "a.png")
        code += f"\nimport cv2\ntry: cv2.imread({str(tmp_path / 'a.png')!r})\n"
        code += "except cv2.error as error: print('refused')\nelse: print('read')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    lines = done.stdout.split()
    assert lines[0] == str(limit)
    assert lines[1:] == (["refused"] if limit == 7_000_000 else [])
