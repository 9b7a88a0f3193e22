"""Two folders of masks, compared pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data.exploration.listing import split_folder
from seglab.data.exploration.mask_change import mask_change
from seglab.utils.errors import UserError


def test_it_counts_pixels_and_names_masks(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    expected = {}
    for number in range(6):
        old = random.integers(0, 3, (9, 7)).astype(np.uint8)
        new = old.copy()
        if number % 2:
            new[random.random(new.shape) < 0.3] = 255
        name = f"sub/{number}"
        for folder, values in (("labels", old), ("labels_fixed", new)):
            path = tmp_path / folder / "train" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            # Other bytes of the same pixels are no difference.
            Image.fromarray(values).save(path, compress_level=1 if folder == "labels" else 9)
        image = tmp_path / "img/train" / f"{name}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (7, 9)).save(image)
        expected[f"{name}.jpg"] = sum(a != b for a, b in zip(old.flat, new.flat, strict=True))
    before, after = (split_folder(tmp_path, "train", "img", n) for n in ("labels", "labels_fixed"))
    found = mask_change(before, after)
    assert found.changed == tuple(name for name, count in expected.items() if count)
    assert (found.masks, found.pixels) == (6, 6 * 63)
    assert found.changed_pixels == sum(expected.values())

    Image.new("L", (3, 3)).save(after.masks / "sub/0.png")
    (before.masks / "sub/1.png").unlink()
    (after.masks / "sub/2.png").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        mask_change(before, after)
    assert all(f"sub/{number}.png" in str(caught.value) for number in range(3))
