"""Draw a toy data set into a folder: all of it, or nothing.

The set is drawn in a hidden folder beside its destination and renamed into place when it is
complete, so that a kill never leaves half a set where training would find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from seglab.data.toy.contact_sheet import write_contact_sheet
from seglab.data.toy.faults import mask_iou, spoil
from seglab.data.toy.options import CLASSES, SPLITS, ToyOptions
from seglab.data.toy.scene import Scene, draw_scene
from seglab.data.toy.shapes import ByteArray
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, whole_folder, write_json

FORMAT = "seglab-toy"
VERSION = 1  # of the JSON files and of the drawing: raise it when either changes
_OWN_ENTRIES = frozenset(
    {"img", "labels", "labels_true", "dataset.json", "faults.json", "contact_sheet.png"}
)
_SHEET_CELLS = 40
_JPEG_QUALITY = 92
# Last words of a seed, so that contents, drawing, choice and making of faults do not share numbers.
_CONTENTS, _DRAWING, _FAULT_RANK, _FAULT_MAKING = range(4)


def contents(seed: int, split: int, index: int) -> tuple[str, ...]:
    """Which animals image `index` of a split shows.

    Every 32 images hold 13 cats, 13 dogs, 4 pairs (two of them mixed, one of each species) and 2
    pictures without an animal. Cats and dogs come in twos of random order, so that any first N
    images are balanced as well.
    """
    rng = np.random.default_rng([seed, split, index // 32, _CONTENTS])
    singles: list[tuple[str, ...]] = []
    for _ in range(13):
        two = [("cat",), ("dog",)]
        singles += two if rng.random() < 0.5 else two[::-1]
    block = singles
    special = [("cat", "dog"), ("dog", "cat"), ("cat", "cat"), ("dog", "dog"), (), ()]
    for content in special:
        # The very first two stay a cat and a dog: even a tiny set has both.
        block.insert(int(rng.integers(2, len(block) + 1)), content)
    return block[index % 32]


def image_name(index: int) -> str:
    """File name without suffix; it says nothing of the content."""
    return f"toy_{index:05d}"


def _chosen_faults(options: ToyOptions) -> dict[int, str]:
    """Index of each training image to spoil, with the kind of its fault."""
    shown = [i for i in range(options.train) if contents(options.seed, 0, i)]
    count = min(round(options.faults * options.train), len(shown))
    rank = {i: np.random.default_rng([options.seed, 0, i, _FAULT_RANK]).random() for i in shown}
    chosen = sorted(shown, key=rank.__getitem__)[:count]
    kinds = options.fault_kinds
    return {index: kinds[place % len(kinds)] for place, index in enumerate(chosen)}


def draw_image(seed: int, split: int, index: int, size: int) -> Scene:
    """Image `index` of split number `split`, drawn from its own random stream."""
    rng = np.random.default_rng([seed, split, index, _DRAWING])
    return draw_scene(rng, size, contents(seed, split, index))


def _encode(path: Path, image: ByteArray, *parameters: int) -> None:
    """Write an image; its suffix chooses the format."""
    done, data = cv2.imencode(path.suffix, image, parameters)
    if not done:
        raise RuntimeError(f"OpenCV could not encode {path.name}")
    path.write_bytes(data.tobytes())


def _write_image(
    root: Path, options: ToyOptions, faults: dict[int, str], task: tuple[str, int]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Draw and write one image with its masks; returns its facts and those of its fault."""
    cv2.setNumThreads(1)  # the pictures are small: handing rows to threads costs more than it saves
    split, index = task
    scene = draw_image(options.seed, SPLITS.index(split), index, options.size)
    name = image_name(index)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _encode(root / "img" / split / f"{name}.jpg", scene.image[..., ::-1], *quality)
    facts = {"name": name, "split": split, "animals": scene.animals}
    mask, fault = scene.mask, None
    if split == "train" and options.faults > 0:
        _encode(root / "labels_true" / split / f"{name}.png", scene.mask)
        if index in faults and scene.mask.any():  # a tiny animal may be hidden altogether
            rng = np.random.default_rng([options.seed, 0, index, _FAULT_MAKING])
            mask, parameters = spoil(rng, scene, faults[index])
            fault = {
                "path": f"labels/{split}/{name}.png",
                "true_path": f"labels_true/{split}/{name}.png",
                "kind": faults[index],
                "iou": round(mask_iou(mask, scene.mask), 6),
                "parameters": parameters,
            }
    _encode(root / "labels" / split / f"{name}.png", mask)
    return facts, fault


def _draw_all(
    root: Path, options: ToyOptions, tasks: list[tuple[str, int]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Results of `_write_image` in the order of `tasks`, from one process or several."""
    work = partial(_write_image, root, options, _chosen_faults(options))
    if options.workers == 1:
        yield from map(work, tasks)
        return
    # Spawned, not forked: a fork of a process that runs torch's threads can hang.
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        yield from pool.map(work, tasks, chunksize=8)


def _write_sheet(root: Path, tasks: list[tuple[str, int]]) -> None:
    """Contact sheet of the first images with the true masks."""
    pairs = []
    for split, index in tasks[:_SHEET_CELLS]:
        true = root / "labels_true" / split
        labels = true if true.is_dir() else root / "labels" / split
        image = cv2.imread(str(root / "img" / split / f"{image_name(index)}.jpg"))
        mask = cv2.imread(str(labels / f"{image_name(index)}.png"), cv2.IMREAD_UNCHANGED)
        assert image is not None
        assert mask is not None
        pairs.append((np.asarray(image[..., ::-1], np.uint8), np.asarray(mask, np.uint8)))
    write_contact_sheet(pairs, root / "contact_sheet.png")


def _build(root: Path, options: ToyOptions) -> None:
    """Draw the whole set into the new folder `root`."""
    for split in SPLITS:
        (root / "img" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
    if options.faults > 0:
        (root / "labels_true" / "train").mkdir(parents=True)
    tasks = [(split, i) for split, count in options.counts().items() for i in range(count)]
    threads = cv2.getNumThreads()
    try:
        results = list(tqdm(_draw_all(root, options, tasks), "drawing", len(tasks), unit="image"))
    finally:
        cv2.setNumThreads(threads)
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    if options.faults > 0:
        faults = [fault for _, fault in results if fault]
        write_json(root / "faults.json", {**head, "faults": faults})
    _write_sheet(root, tasks)
    facts = [image for image, _ in results]
    libraries = {"numpy": np.__version__, "opencv": cv2.__version__}
    record = {
        **head,
        "recipe": options.recipe(),
        "classes": list(CLASSES),
        "libraries": libraries,
        "images": facts,
    }
    write_json(root / "dataset.json", record)


def _read_recipe(out: Path) -> dict[str, Any] | None:
    """The record of the toy set in `out`, or None if there is no toy set."""
    path = out / "dataset.json"
    if not path.is_file():
        return None
    record = read_json(path)
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def _is_complete(out: Path, record: dict[str, Any], options: ToyOptions) -> bool:
    """Whether `out` holds every file of the set that `options` ask for."""
    if record.get("version") != VERSION or record.get("recipe") != options.recipe():
        return False
    wanted = [out / "contact_sheet.png"]
    for split, count in options.counts().items():
        for name in map(image_name, range(count)):
            wanted += [out / "img" / split / f"{name}.jpg", out / "labels" / split / f"{name}.png"]
            if split == "train" and options.faults > 0:
                wanted.append(out / "labels_true" / split / f"{name}.png")
    if options.faults > 0:
        wanted.append(out / "faults.json")
    return all(path.is_file() and path.stat().st_size > 0 for path in wanted)


def _check_destination(out: Path, options: ToyOptions) -> bool:
    """Whether the set is there already.

    Raises:
        UserError: Drawing would destroy something that is not a toy set, or another toy set.
    """
    if not out.exists():
        return False
    if not out.is_dir():
        raise UserError(f"{out} is a file", "name a new folder with --out")
    entries = sorted(entry.name for entry in out.iterdir())
    record = _read_recipe(out)
    if record is None:
        if entries:
            raise UserError(
                f"{out} is not empty and not a toy set (it holds {', '.join(entries[:5])})",
                "name a new folder with --out",
            )
        return False
    if _is_complete(out, record, options):
        return True
    foreign = [name for name in entries if name not in _OWN_ENTRIES]
    if foreign:
        raise UserError(
            f"{out} is an earlier toy set, but also holds {', '.join(foreign)}, "
            "which drawing anew would delete",
            "move it away, or name a new folder with --out",
        )
    same = record.get("version") == VERSION and record.get("recipe") == options.recipe()
    if not same and not options.force:
        raise UserError(
            f"{out} holds a toy set drawn with other options: {record.get('recipe')}",
            "replace it with --force, or name a new folder with --out",
        )
    return False


def generate(options: ToyOptions) -> Path:
    """Draw the data set, unless it is there already.

    Args:
        options: What to draw and where.

    Returns:
        The folder of the set.

    Raises:
        UserError: The options cannot be served, or the folder holds something else.
    """
    options.check()
    out = options.out
    if _check_destination(out, options):
        print(f"{out} already holds this toy set: left as it is")
        return out
    with whole_folder(out) as folder:
        _build(folder, options)
    return out
