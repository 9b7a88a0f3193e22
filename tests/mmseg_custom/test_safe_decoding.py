"""What mmcv decodes is bounded, and what it cannot decode is named."""

from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
from hostile import huge_png, truncated_jpeg
from mmseg.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from seglab.utils.errors import UserError

pytestmark = pytest.mark.usefixtures("mmseg_scope")


def load(kind: str, path: Path) -> Any:
    key = {"LoadImageFromFile": "img_path", "LoadAnnotations": "seg_map_path"}[kind]
    results = {key: str(path), "reduce_zero_label": False, "label_map": None, "seg_fields": []}
    return TRANSFORMS.build(dict(type=kind))(results)


def hostile(path: Path, what: str) -> Path:
    if what == "huge":
        return huge_png(path)
    if what == "postscript":  # Pillow would start Ghostscript for it
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "text":
        path.write_text("no image")
    return path


@pytest.mark.parametrize("what", ["huge", "postscript", "empty", "text", "absent"])
@pytest.mark.parametrize("kind", ["LoadImageFromFile", "LoadAnnotations"])
def test_what_cannot_be_read_is_named(tmp_path: Path, kind: str, what: str) -> None:
    path = hostile(tmp_path / f"{what}.png", what)
    with pytest.raises(UserError, match=f"cannot read .*{what}.png: .") as caught:
        load(kind, path)
    assert "seglab check" in caught.value.fix
    if (kind, what) == ("LoadAnnotations", "huge"):
        assert "asks for more than 100 megapixels" in caught.value.message
    if what == "absent":
        assert "No such file" in caught.value.message


def test_what_can_be_read_is_read_as_before(tmp_path: Path) -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(mask).save(tmp_path / "a.png")
    assert np.array_equal(load("LoadAnnotations", tmp_path / "a.png")["gt_seg_map"], mask)
    assert np.array_equal(load("LoadImageFromFile", tmp_path / "a.png")["img"][..., 0], mask)
    assert np.array_equal(mmcv.imread(tmp_path / "a.png", "unchanged", backend="pillow"), mask)


@pytest.mark.parametrize("backend", ["pillow", "tifffile"])
def test_other_decoders_have_the_same_limit(tmp_path: Path, backend: str) -> None:
    content = huge_png(tmp_path / "a.png").read_bytes()
    with pytest.raises(UserError, match="more than 100 megapixels"):
        mmcv.imfrombytes(content, backend=backend)


class OneImage(Dataset[Any]):
    """A data set of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return load("LoadImageFromFile", self.path)


def test_a_loading_process_says_it_as_plainly(tmp_path: Path) -> None:
    path = tmp_path / "torn.jpg"
    path.write_bytes(truncated_jpeg(path).read_bytes()[:20])
    said = []
    for workers in (0, 1):
        with pytest.raises(UserError) as caught:
            next(iter(DataLoader(OneImage(path), num_workers=workers, collate_fn=list)))
        said.append(str(caught.value))
    assert said[0] == said[1] and "torn.jpg" in said[0] and "Traceback" not in said[0]
