"""COCO objects cut into a data set: a hand-made file whose masks are known pixel by pixel."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from seglab.data import prepare_coco_pets
from seglab.data.preflight import run_preflight
from seglab.data.preparing.coco_crops import draw_labels, square_around
from seglab.data.preparing.coco_objects import CocoObject, read_photographs
from seglab.data.preparing.coco_pets import CocoOptions, prepare, split_photographs
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json

CAT, DOG, BIRD = 17, 18, 16
HEIGHT, WIDTH = 60, 100


def rectangle(left: int, top: int, right: int, bottom: int) -> list[float]:
    """A polygon that covers the pixels left..right-1, top..bottom-1."""
    return [left, top, right, top, right, bottom, left, bottom]


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed encoding: run lengths down the columns, zeros first."""
    flat = mask.flatten(order="F").astype(int)
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, flat.size]).tolist()
    return {"counts": ([0] if flat[0] else []) + counts, "size": list(mask.shape)}


def annotation(identifier: int, image: int, category: int, segmentation: Any, **more: Any) -> dict:
    return {
        "id": identifier,
        "image_id": image,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": 0,
        **more,
    }


def crowd_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[30:60, 60:100] = True
    return mask


def coco() -> dict[str, Any]:
    """Three photographs: crowd and overlap, a cat in two parts with a tiny dog, a bird."""
    return {
        "images": [
            {"id": 1, "file_name": "000001.jpg", "height": HEIGHT, "width": WIDTH},
            {"id": 2, "file_name": "000002.jpg", "height": HEIGHT, "width": WIDTH},
            {"id": 3, "file_name": "000003.jpg", "height": HEIGHT, "width": WIDTH},
        ],
        "annotations": [
            # A large dog, a smaller cat over its corner, and a crowd of dogs under both.
            annotation(11, 1, DOG, [rectangle(20, 10, 70, 50)]),
            annotation(12, 1, CAT, [rectangle(60, 30, 80, 55)]),
            annotation(13, 1, DOG, run_lengths(crowd_mask()), iscrowd=1),
            # A cat behind a post, in two parts; a dog of 3x3 pixels.
            annotation(21, 2, CAT, [rectangle(10, 10, 30, 40), rectangle(40, 10, 55, 40)]),
            annotation(22, 2, DOG, [rectangle(32, 20, 35, 23)]),
            annotation(31, 3, BIRD, [rectangle(10, 10, 40, 40)]),
        ],
        "categories": [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"},
                       {"id": BIRD, "name": "bird"}],
    }  # fmt: skip


def expected_labels(image: int) -> np.ndarray:
    """What the photographs show, painted by slices."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    if image == 1:
        labels[crowd_mask()] = 255
        labels[10:50, 20:70] = 2
        labels[30:55, 60:80] = 1
    else:
        labels[10:40, 10:30] = 1
        labels[10:40, 40:55] = 1
        labels[20:23, 32:35] = 2
    return labels


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """`instances.json` and the folder `photographs`."""
    random = np.random.default_rng(0)
    (tmp_path / "photographs").mkdir()
    for name in ("000001", "000002", "000003"):
        pixels = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photographs" / f"{name}.jpg", quality=95)
    write(tmp_path, coco())
    return tmp_path


def write(root: Path, content: Any, name: str = "instances.json") -> Path:
    (root / name).write_text(json.dumps(content))
    return root / name


def options(source: Path, **more: Any) -> CocoOptions:
    settings: dict[str, Any] = {
        "instances": (source / "instances.json",),
        "images": (source / "photographs",),
        "out": source / "out",
        "size": 64,
        "min_area": 100,
        "val": 0.5,
        "test": 0.0,
        **more,
    }
    return CocoOptions(**settings)


def test_one_crop_for_each_single_object_that_is_large_enough(source: Path) -> None:
    counts = prepare(options(source))
    record = read_json(source / "out/dataset.json")
    crops = {fact["name"]: fact for fact in record["images"]}
    assert set(crops) == {"000001_11", "000001_12", "000002_21"}  # no crowd, no tiny, no bird
    assert sum(counts.values()) == 3
    assert {name: fact["area"] for name, fact in crops.items()} == {
        "000001_11": 50 * 40,
        "000001_12": 20 * 25,
        "000002_21": 20 * 30 + 15 * 30,
    }
    assert {fact["label"] for fact in crops.values()} == {1, 2}
    with_tiny = prepare(options(source, min_area=9, out=source / "tiny"))
    assert sum(with_tiny.values()) == 4


def test_labels_of_crowd_parts_tiny_and_overlap(source: Path) -> None:
    prepare(options(source))
    for fact in read_json(source / "out/dataset.json")["images"]:
        left, top, right, bottom = fact["box"]
        assert right - left == bottom - top
        whole = np.pad(
            expected_labels(int(fact["photograph"][5])), 200, constant_values=255
        )  # beyond the photograph
        part = whole[top + 200 : bottom + 200, left + 200 : right + 200]
        # Pixel centres of the crop, back in the photograph.
        centres = ((np.arange(64) + 0.5) * (right - left) / 64).astype(int)
        stem = f"{fact['split']}/{fact['name']}"
        mask = Image.open(source / "out/labels" / f"{stem}.png")
        assert mask.mode == "L"
        assert np.array_equal(np.asarray(mask), part[np.ix_(centres, centres)])
        image = Image.open(source / "out/img" / f"{stem}.jpg")
        assert (image.mode, image.size) == ("RGB", (64, 64))


def test_the_crop_shows_the_same_part_as_its_mask(source: Path) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    pixels[expected_labels(2) == 1] = 240
    Image.fromarray(pixels).save(source / "photographs/000002.jpg", quality=100)
    prepare(options(source))
    (image,) = (source / "out").rglob("000002_21.jpg")
    (mask,) = (source / "out").rglob("000002_21.png")
    bright = np.asarray(Image.open(image).convert("L")) > 130
    cat = np.asarray(Image.open(mask)) == 1
    assert (bright == cat).mean() > 0.97


def test_crops_of_one_photograph_never_contradict_each_other() -> None:
    masks = [np.zeros((4, 6), bool) for _ in range(3)]
    masks[0][:, :4] = True
    masks[1][:, 3:5] = True  # the smaller lies above the larger, whatever their order
    masks[2][:] = True
    objects = [CocoObject(i, 1 + i % 2, i == 2, [], "") for i in range(3)]
    row = draw_labels(objects, masks)[0].tolist()
    assert row == [1, 1, 1, 2, 2, 255]
    assert draw_labels(objects[::-1], masks[::-1])[0].tolist() == row


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ((40, 20, 60, 40), 0.5, (30, 10, 70, 50)),  # room on every side
        ((0, 0, 20, 20), 0.5, (0, 0, 40, 40)),  # moved inside
        ((90, 50, 100, 60), 1.0, (70, 30, 100, 60)),
        ((30, 0, 80, 50), 0.5, (25, 0, 85, 60)),  # the margin shrinks to what there is
        ((10, 20, 90, 40), 0.2, (10, -10, 90, 70)),  # longer than the photograph is high
    ],
)
def test_the_square_holds_the_object(
    box: tuple[int, ...], margin: float, expected: tuple[int, ...]
) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    assert square_around(mask, margin) == expected


def test_a_photograph_is_in_one_split_whatever_its_place(source: Path) -> None:
    names = [f"{i:012d}.jpg" for i in range(200)]
    asked = options(source, val=0.2, test=0.1)
    splits = split_photographs(names, asked)
    assert Counter(splits.values()) == {"train": 140, "val": 40, "test": 20}
    assert split_photographs(names[::-1], asked) == splits
    assert split_photographs(names, options(source, val=0.2, test=0.1, seed=1)) != splits


def test_the_same_options_give_the_same_files(source: Path) -> None:
    for name in ("out", "again"):
        prepare(options(source, out=source / name))
    files = {
        name: {
            path.relative_to(source / name): path.read_bytes()
            for path in (source / name).rglob("*")
            if path.is_file()
        }
        for name in ("out", "again")
    }
    assert files["out"] == files["again"] and len(files["out"]) == 7


def test_what_is_written_can_be_trained_on(source: Path) -> None:
    prepare(options(source))
    loaders = {
        f"{split}_dataloader": {
            "dataset": {
                "type": "MaskFolderDataset",
                "data_root": str(source / "out"),
                "split": split,
                "metainfo": {"classes": ("background", "cat", "dog")},
            }
        }
        for split in ("train", "val")
    }
    findings = run_preflight({**loaders, "train_cfg": {}})
    assert [f for f in findings if f.severity == "fault"] == []


def test_the_program(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = coco()
    more["images"] = [{"id": 1, "file_name": "9.jpg", "height": HEIGHT, "width": WIDTH}]
    more["annotations"] = [annotation(91, 1, CAT, [rectangle(0, 0, 50, 50)])]
    write(source, more, "more.json")
    (source / "elsewhere").mkdir()
    Image.new("L", (WIDTH, HEIGHT)).save(source / "elsewhere/9.jpg")  # a grey photograph
    arguments = ["--instances", "instances.json", "more.json", "--images", "photographs",
                 "elsewhere", "--out", "out"]  # fmt: skip
    places = [str(source / each) if not each.startswith("--") else each for each in arguments]
    assert prepare_coco_pets.main([*places, "--min-area", "1000", "--classes", "dog", "cat"]) == 0
    assert "train" in capsys.readouterr().out
    record = read_json(source / "out/dataset.json")
    labels = {fact["name"]: fact["label"] for fact in record["images"]}
    assert labels == {"000001_11": 1, "000002_21": 2, "9_91": 2}
    (grey,) = (source / "out/img").rglob("9_91.jpg")
    assert Image.open(grey).mode == "RGB"


def broken(**changes: Any) -> dict[str, Any]:
    """The hand-made file with something else in the first record of each list named."""
    content = coco()
    for name, change in changes.items():
        content[name][0].update(change)
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "it is no instances_*.json, it has no list of images, annotations, categories"),
        ({"images": [1], "annotations": [], "categories": []}, "no list of images"),
        (broken(categories={"name": "lion"}), "no category 'cat'"),
        (broken(images={"file_name": "../../x.jpg"}), "'../../x.jpg' is no name of a file"),
        (broken(images={"height": "60"}), "its height and width are '60' and 100"),
        (broken(images={"id": None}), "its id is no number"),
        (broken(images={"id": 2}), "its id is there twice"),
        (broken(annotations={"image_id": 99}), "no image has the id 99"),
        (broken(annotations={"image_id": [1]}), "no image has the id [1]"),
        (broken(annotations={"id": "a"}), "annotations[0]: it has no id"),
        (broken(annotations={"id": 12}), "its id is there twice"),
        (broken(annotations={"segmentation": None}), "it has no segmentation"),
        (broken(annotations={"segmentation": []}), "its segmentation is empty"),
        (broken(annotations={"segmentation": [[1, 1, 2]]}), "is no polygon"),
        (broken(annotations={"segmentation": [[1, 1, 2, 2, 3, 1e9]]}), "impossible corners"),
        (broken(annotations={"segmentation": {"counts": [3], "size": [9, 9]}}), "of size [9, 9]"),
        (
            broken(annotations={"segmentation": {"counts": [3], "size": [60, 100]}}),
            "do not add up",
        ),
        (
            broken(annotations={"segmentation": {"counts": "zzzz", "size": [60, 100]}}),
            "annotations[0]: its run lengths do not add up",
        ),
        (  # one number of five million bits: putting it together would take minutes
            broken(annotations={"segmentation": {"counts": "o" * 10**6, "size": [60, 100]}}),
            "annotations[0]: its run lengths do not add up",
        ),
    ],
)
def test_annotations_that_cannot_be_used_are_named(source: Path, content: Any, words: str) -> None:
    write(source, content)
    with pytest.raises(UserError) as caught:
        prepare(options(source))
    assert words in str(caught.value) and "instances.json" in str(caught.value)
    assert not (source / "out").exists()


def test_all_faults_of_annotations_at_once(source: Path) -> None:
    content = broken(annotations={"image_id": 99})
    content["annotations"][1]["segmentation"] = "none"
    content["images"].append({"id": 4, "file_name": "/etc/passwd", "height": 1, "width": 1})
    write(source, content)
    _, faults = read_photographs([source / "instances.json"], ("cat", "dog"))
    assert len(faults) == 3
    twice = (source / "instances.json", write(source, coco(), "b.json"),
             write(source, coco(), "c.json"))  # fmt: skip
    _, faults = read_photographs(twice[1:], ("cat", "dog"))
    assert [fault.split(": ")[1] for fault in faults] == [
        "000001.jpg is listed twice", "000002.jpg is listed twice",
    ]  # fmt: skip


def test_faults_of_annotations_and_of_photographs_are_said_together(source: Path) -> None:
    write(source, broken(annotations={"segmentation": [[1, 1, 2]]}))
    (source / "photographs/000002.jpg").unlink()
    with pytest.raises(UserError) as caught:
        prepare(options(source))
    assert "(2 faults)" in str(caught.value)
    assert "annotations[0]: a part of it is no polygon" in str(caught.value)
    assert "000002.jpg: is in none of the folders" in str(caught.value)


def test_photographs_that_cannot_be_used_are_all_named(source: Path) -> None:
    (source / "photographs/000001.jpg").unlink()
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(source / "photographs/000002.jpg")
    with pytest.raises(UserError) as caught:
        prepare(options(source))
    assert "000001.jpg: is in none of the folders" in str(caught.value)
    assert "it has 100x61 pixels, its annotations are of 100x60" in str(caught.value)
    path = source / "photographs/000002.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"000002\.jpg: .*[Tt]runcated"):
        prepare(options(source))


def test_the_compressed_form_of_a_mask_is_read_too(source: Path) -> None:
    mask = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.2
    mask[20:40, 30:70] = True
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    compressed = {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}
    for segmentation in (compressed, run_lengths(mask)):
        drawn = CocoObject(1, 1, False, segmentation, "x").mask(HEIGHT, WIDTH)
        assert np.array_equal(drawn, mask)
    compressed["counts"] = compressed["counts"][:-1]
    with pytest.raises(UserError, match="x: its run lengths do not add up"):
        CocoObject(1, 1, False, compressed, "x").mask(HEIGHT, WIDTH)


def test_a_photograph_with_an_exif_turn_is_read_as_it_was_annotated(source: Path) -> None:
    path = source / "photographs/000001.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif, quality=95)
    prepare(options(source))
    (crop,) = (source / "out").rglob("000001_11.jpg")
    assert Image.open(crop).getexif().get(0x0112) is None


def test_options_that_cannot_be_served_are_all_named(source: Path) -> None:
    asked = options(
        source, images=(source / "nowhere",), classes=("cat", "cat"), size=8, min_area=0,
        margin=float("nan"), val=0.6, test=0.4,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"\(6 faults\)"):
        prepare(asked)
    with pytest.raises(UserError, match="no object is large enough"):
        prepare(options(source, min_area=100_000))
    with pytest.raises(UserError, match="no object of bird"):
        content = coco()
        content["annotations"].pop()
        write(source, content)
        prepare(options(source, classes=("bird",)))
    (source / "out").mkdir()
    (source / "out/mine.txt").write_text("x")
    with pytest.raises(UserError, match="is not empty"):
        prepare(options(source))
