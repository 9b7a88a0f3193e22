"""A data set of square crops, one for each object, out of COCO."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from seglab.data.preflight.decode import FileFacts, decode_files
from seglab.data.preparing.coco_crops import Crop, cut_crops
from seglab.data.preparing.coco_objects import Photograph, read_photographs
from seglab.utils.errors import UserError, raise_faults, tried
from seglab.utils.image_limits import open_image
from seglab.utils.io_utils import require_new, sha256_file, whole_folder, write_json

FORMAT, VERSION = "seglab-coco-pets", 1
SPLITS = ("train", "val", "test")
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class CocoOptions:
    """What is cut out, and where it goes.

    Attributes:
        instances: `instances_*.json`, one or several.
        images: Folders in which the photographs are looked for, in this order.
        out: Folder to write.
        classes: COCO categories; label 1, 2, ... in this order, 0 is background.
        size: Side of the crops in pixels.
        min_area: Least pixels of an object in the photograph.
        margin: Surroundings on each side, as a share of the object's longer side.
        val: Share of the photographs that is val.
        test: Share of the photographs that is test.
        seed: Another seed, another split.
    """

    instances: tuple[Path, ...]
    images: tuple[Path, ...]
    out: Path
    classes: tuple[str, ...] = ("cat", "dog")
    size: int = 256
    min_area: int = 4096
    margin: float = 0.2
    val: float = 0.15
    test: float = 0.15
    seed: int = 0

    def check(self) -> None:
        """Raise one `UserError` that lists every value that cannot be served."""
        wrong = [f"--images {path} is no folder" for path in self.images if not path.is_dir()]
        if not 1 <= len(set(self.classes)) == len(self.classes) < 255:
            wrong.append(f"--classes {' '.join(self.classes)}: name each category once")
        if not 32 <= self.size <= 2048:
            wrong.append(f"--size {self.size}: must be 32 to 2048 pixels")
        if self.min_area < 1:
            wrong.append(f"--min-area {self.min_area}: must be at least 1 pixel")
        if not 0 <= self.margin <= 5:  # also catches NaN
            wrong.append(f"--margin {self.margin}: must be 0 to 5")
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test < 1):
            wrong.append(f"--val {self.val} --test {self.test}: shares that leave some for train")
        raise_faults("the data set cannot be made as asked", wrong, "mend every option listed")

    def recipe(self) -> dict[str, Any]:
        """What decides over the files."""
        return {
            "instances": {path.name: sha256_file(path) for path in self.instances},
            "classes": ["background", *self.classes],
            "size": self.size,
            "min_area": self.min_area,
            "margin": self.margin,
            "val": self.val,
            "test": self.test,
            "seed": self.seed,
        }


def prepare(options: CocoOptions) -> dict[str, int]:
    """Make the data set: all of it, or nothing.

    Returns:
        Number of crops of each split.

    Raises:
        UserError: Options, annotations or photographs are wrong; names all that are.
    """
    options.check()
    require_new(options.out)
    photographs, faults = read_photographs(options.instances, options.classes)
    files = _find_files(photographs, options.images, faults)
    raise_faults(
        "the annotations or their photographs cannot be used",
        faults,
        "fetch these again or mend them, or add the photographs' folder to --images",
    )
    splits = split_photographs([each.file_name for each in photographs], options)
    facts: list[dict[str, Any]] = []
    with whole_folder(options.out) as root:
        for split in SPLITS:
            for folder in ("img", "labels"):
                (root / folder / split).mkdir(parents=True)
        bar = tqdm(photographs, desc="cutting", unit="photograph")
        for photograph in bar:
            split = splits[photograph.file_name]
            path = files[photograph.file_name]
            found = tried(partial(_cut, photograph, path, options), faults)
            for crop in found or ():
                facts.append(_write(root, split, photograph, crop))
        raise_faults("objects cannot be drawn", faults, "mend or remove these annotations")
        if not facts:
            raise UserError("no object is large enough", f"lower --min-area {options.min_area}")
        record = {"format": FORMAT, "version": VERSION, "recipe": options.recipe(), "images": facts}
        write_json(root / "dataset.json", record)
    counts = Counter(str(fact["split"]) for fact in facts)
    return {split: counts[split] for split in SPLITS}


def split_photographs(names: Sequence[str], options: CocoOptions) -> dict[str, str]:
    """The split of each photograph: all crops of one are in the same.

    Decided by the SHA-256 of seed and name, so that it depends on no library and no order.
    """
    ranked = sorted(
        names, key=lambda name: hashlib.sha256(f"{options.seed} {name}".encode()).digest()
    )
    val = round(options.val * len(ranked))
    test = val + round(options.test * len(ranked))
    return {
        name: "val" if place < val else "test" if place < test else "train"
        for place, name in enumerate(ranked)
    }


def _find_files(
    photographs: Sequence[Photograph], folders: Sequence[Path], faults: list[str]
) -> dict[str, Path]:
    """Where each photograph lies.

    Args:
        photographs: Those that are wanted.
        folders: In which they are looked for, in this order.
        faults: Gets what is missing, cannot be decoded in full, or is of another size.
    """
    found: dict[str, Path] = {}
    for each in photographs:
        there = (folder / each.file_name for folder in folders)
        path = next((path for path in there if path.is_file()), None)
        if path is None:
            faults.append(f"{each.file_name}: is in none of the folders of --images")
        else:
            found[each.file_name] = path
    decoded = decode_files(list(found.values()))
    for each in photographs:
        path = found.get(each.file_name)
        fault = path and _fault(decoded[path], each)
        if fault:
            faults.append(f"{path}: {fault}")
    return found


def _fault(facts: FileFacts, photograph: Photograph) -> str:
    if not facts.readable:
        return facts.problem or "it is too large"
    # The annotations are of the stored pixels, whatever EXIF says of turning them.
    size = facts.size[::-1] if facts.orientation in (5, 6, 7, 8) else facts.size
    if size != (photograph.width, photograph.height):
        expected = f"{photograph.width}x{photograph.height}"
        return f"it has {size[0]}x{size[1]} pixels, its annotations are of {expected}"
    return ""


def _cut(photograph: Photograph, path: Path, options: CocoOptions) -> list[Crop]:
    with open_image(path) as image:
        return list(cut_crops(photograph, image, options.size, options.min_area, options.margin))


def _write(root: Path, split: str, photograph: Photograph, crop: Crop) -> dict[str, Any]:
    """Write one crop; returns its facts."""
    name = f"{Path(photograph.file_name).stem}_{crop.target.identifier}"
    crop.image.save(root / "img" / split / f"{name}.jpg", quality=_JPEG_QUALITY)
    Image.fromarray(crop.mask).save(root / "labels" / split / f"{name}.png")
    return {
        "name": name,
        "split": split,
        "photograph": photograph.file_name,
        "annotation": crop.target.identifier,
        "label": crop.target.label,
        "area": crop.area,
        "box": list(crop.box),
    }
