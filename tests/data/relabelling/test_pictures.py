"""Pictures stay of a size that a browser opens, whatever the size of the photograph."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data.relabelling.pictures import before_after, person_page
from seglab.utils.bad_masks import BadMask
from seglab.utils.masks import class_colors


@pytest.mark.parametrize(
    ("shape", "height", "panel"),
    [((64, 64), 256, 256), ((256, 256), 256, 256), ((1, 900), 1, 900), ((700, 400), 700, 400)],
)
def test_small_images_are_enlarged(shape: tuple[int, int], height: int, panel: int) -> None:
    image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    mask[0, :2] = 1, 7
    picture = before_after(image, mask, mask, class_colors(2), ignore_index=7)
    assert picture.shape == (height + 18, 3 * (panel + 4), 3)
    # The second panel shows the object's colour and the ignored pixel's grey, the first neither.
    assert picture[18, 0].tolist() == [0, 0, 0]
    object_, ignored = picture[18, panel + 4], picture[18, panel + 4 + panel // shape[1]]
    assert object_[0] > object_[2] and ignored[0] == ignored[1] == ignored[2] > 100


def test_large_pictures_are_shrunk_on_the_page_alone(tmp_path: Path) -> None:
    sizes = {"large": (6000, 1000), "small": (300, 100)}
    paths = [tmp_path / f"{name}.png" for name in sizes]
    for path, size in zip(paths, sizes.values(), strict=True):
        Image.new("RGB", size).save(path)
    record = {"mask": "<b>.png", "reasons": ["a < b"], "detector": "d", "segmenter": "s"}
    mask = BadMask("work/proposed/train/a.png", "0" * 64, "it is right", "person")
    page = person_page([(record, path, mask) for path in paths], 5, ("background", "cat"))
    assert "&lt;b&gt;.png" in page and "a &lt; b" in page and "2 of 5 masks" in page
    found = re.findall(r"base64,([^\"]+)", page)
    shown = [Image.open(io.BytesIO(base64.b64decode(each))).size for each in found]
    assert shown == [(1800, 300), (300, 100)]
    assert Image.open(paths[0]).size == (6000, 1000)
