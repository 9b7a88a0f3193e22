"""Photographs that are stored more than once, and their masks."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from seglab.data.auditing.photographs import conflicting_masks, find_photographs, list_samples
from seglab.data.exploration.listing import split_folder
from seglab.data.toy.options import ToyOptions
from seglab.data.toy.writer import generate


def test_copies_are_found_however_they_were_stored(tmp_path: Path) -> None:
    root = Path(generate(ToyOptions(out=tmp_path / "toy", train=12, val=1, test=1, size=96)))
    images = sorted((root / "img/train").glob("*.jpg"))
    masks = root / "labels/train"
    with Image.open(images[0]) as picture:
        smaller = picture.resize((80, 80))
        encoded = io.BytesIO()
        picture.save(encoded, "JPEG", quality=55)
    (images[0].parent / "sub").mkdir()
    (images[0].parent / "sub/again.jpg").write_bytes(encoded.getvalue())
    (masks / "sub").mkdir()
    mask = np.asarray(Image.open(masks / f"{images[0].stem}.png"))
    Image.fromarray(mask).save(masks / "sub/again.png")
    smaller.save(images[0].with_name("small.png"))
    other = np.zeros((80, 80), np.uint8)
    other[:40] = 1
    Image.fromarray(other).save(masks / "small.png")

    samples = list_samples(split_folder(root, "train", "img", "labels"))
    assert len(samples) == 14
    (group,) = find_photographs(samples)
    copies = {images[0].name, "sub/again.jpg", "small.png"}
    assert set(group.files) == copies
    assert not group.exact
    found = conflicting_masks([group], {sample.name: sample for sample in samples})
    assert set(found) == copies
    assert found["small.png"] == tuple(sorted({images[0].name, "sub/again.jpg"}))
    assert found["sub/again.jpg"] == ("small.png",), "equal masks do not conflict"
