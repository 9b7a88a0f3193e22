"""The objects of COCO's `instances_*.json`: read, checked, drawn as masks.

Format: https://cocodataset.org/#format-data. A single object is a list of polygons
`[x1, y1, x2, y2, ...]` (its parts), a crowd a run-length encoding of the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json
from seglab.utils.paths import name_fault


@dataclass(frozen=True)
class CocoObject:
    """One annotation.

    Attributes:
        identifier: Its id.
        label: Its class, from 1.
        crowd: Whether it is a group that nobody took apart.
        segmentation: Polygons, or a run-length encoding.
        place: File and id, for messages.
    """

    identifier: int
    label: int
    crowd: bool
    segmentation: Any
    place: str

    def mask(self, height: int, width: int) -> npt.NDArray[np.bool_]:
        """(H, W) bool, its pixels.

        Raises:
            UserError: The segmentation cannot be read, or is of an image of another size.
        """
        fault = _segmentation_fault(self.segmentation, height, width)
        if fault:
            raise UserError(f"{self.place}: {fault}", "mend or remove the annotation")
        encoded = self.segmentation
        try:
            if isinstance(encoded, list):
                encoded = coco_mask.merge(coco_mask.frPyObjects(encoded, height, width))
            elif isinstance(encoded["counts"], list):
                encoded = coco_mask.frPyObjects(encoded, height, width)
            return np.asarray(coco_mask.decode(encoded), dtype=bool)
        except (ValueError, TypeError, MemoryError) as error:
            raise UserError(f"{self.place}: {error}", "mend or remove the annotation") from error


@dataclass(frozen=True)
class Photograph:
    """One image with the objects of the classes asked for.

    Attributes:
        file_name: Name of its file.
        height: Pixels.
        width: Pixels.
        objects: In the order of their ids.
    """

    file_name: str
    height: int
    width: int
    objects: tuple[CocoObject, ...]


def read_photographs(
    files: Sequence[Path], classes: Sequence[str]
) -> tuple[list[Photograph], list[str]]:
    """Read the photographs that show objects of some classes.

    Args:
        files: `instances_*.json`, one or several.
        classes: Names of COCO categories; the first gets label 1.

    Returns:
        The photographs by name, and every fault of the files.

    Raises:
        UserError: A file is missing or is no JSON.
    """
    photographs: dict[str, Photograph] = {}
    faults: list[str] = []
    for file in files:
        for photograph in _read_file(file, read_json(file), classes, faults):
            if photograph.file_name in photographs:
                faults.append(f"{file}: {photograph.file_name} is listed twice")
            photographs[photograph.file_name] = photograph
    if not photographs and not faults:
        faults.append(f"no object of {', '.join(classes)} in {', '.join(map(str, files))}")
    return [photographs[name] for name in sorted(photographs)], faults


def _read_file(
    file: Path, content: Any, classes: Sequence[str], faults: list[str]
) -> Iterator[Photograph]:
    parts = {key: _records(content, key) for key in ("images", "annotations", "categories")}
    absent = [key for key, records in parts.items() if records is None]
    if absent:
        faults.append(f"{file}: it is no instances_*.json, it has no list of {', '.join(absent)}")
        return
    labels = _labels(file, parts["categories"] or [], classes, faults)
    images: dict[Any, Mapping[str, Any]] = {}
    for number, record in enumerate(parts["images"] or []):
        fault = _image_fault(record)
        if fault or record["id"] in images:
            faults.append(f"{file}: images[{number}]: {fault or 'its id is there twice'}")
            continue
        images[record["id"]] = record
    objects: dict[Any, dict[int, CocoObject]] = {}
    for number, record in enumerate(parts["annotations"] or []):
        label = labels.get(str(record.get("category_id")))
        if label is None:
            continue
        fault = _annotation_fault(record, images)
        found = {} if fault else objects.setdefault(record["image_id"], {})
        if fault or record["id"] in found:
            faults.append(f"{file}: annotations[{number}]: {fault or 'its id is there twice'}")
            continue
        found[record["id"]] = CocoObject(
            record["id"],
            label,
            bool(record.get("iscrowd", 0)),
            record["segmentation"],
            f"{file}: annotation {record['id']}",
        )
    for identifier, found in objects.items():
        if found:
            record = images[identifier]
            ordered = tuple(found[key] for key in sorted(found))
            yield Photograph(record["file_name"], record["height"], record["width"], ordered)


def _records(content: Any, key: str) -> list[Mapping[str, Any]] | None:
    records = content.get(key) if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        return None
    return records


def _labels(
    file: Path, categories: Sequence[Mapping[str, Any]], classes: Sequence[str], faults: list[str]
) -> dict[str, int]:
    """Category id, as text, -> label."""
    named = [each for each in categories if isinstance(each.get("name"), str)]
    names = {each["name"]: each.get("id") for each in named}
    for name in classes:
        if not isinstance(names.get(name), int):
            faults.append(f"{file}: it has no category {name!r}")
    return {str(names.get(name)): label for label, name in enumerate(classes, start=1)}


def _image_fault(record: Mapping[str, Any]) -> str:
    name = record.get("file_name")
    # A name is looked up in the folder of images and nowhere else.
    if not isinstance(name, str) or Path(name).name != name or "\\" in name or name_fault(name):
        return f"{str(name)[:200]!r} is no name of a file"
    sizes = (record.get("height"), record.get("width"))
    if not all(isinstance(side, int) and 0 < side < 1 << 15 for side in sizes):
        return f"{name}: its height and width are {sizes[0]!r} and {sizes[1]!r}"
    return "" if isinstance(record.get("id"), int) else f"{name}: its id is no number"


def _annotation_fault(record: Mapping[str, Any], images: Mapping[Any, Any]) -> str:
    if not isinstance(record.get("id"), int):
        return "it has no id"
    image = record.get("image_id")
    if not isinstance(image, int) or image not in images:
        return f"no image has the id {image!r}"
    if not isinstance(record.get("segmentation"), list | dict):
        return "it has no segmentation"
    # Before any photograph is opened, so that everything that is wrong is said at once.
    height, width = (images[image][side] for side in ("height", "width"))
    return _segmentation_fault(record["segmentation"], height, width)


def _segmentation_fault(value: Any, height: int, width: int) -> str:
    """What keeps a segmentation from being drawn; the C code below it checks little."""
    if isinstance(value, list):
        if not value:
            return "its segmentation is empty"
        return next((fault for part in value if (fault := _polygon_fault(part))), "")
    counts, size = value.get("counts"), value.get("size")
    if size != [height, width]:
        return f"its mask is of size {size}, the image of [{height}, {width}]"
    if isinstance(counts, str):
        counts = _run_lengths(counts)
    if not isinstance(counts, list):
        return "its run lengths are missing"
    runs = all(isinstance(run, int) and run >= 0 for run in counts)
    if not runs or sum(counts) != height * width:
        return "its run lengths do not add up to the image"
    return ""


#: Bits of a run: more than an image of the largest sides has pixels, and a sign.
_LONGEST_RUN = 40


def _run_lengths(text: str) -> list[int]:
    """The run lengths of COCO's compressed form (`rleFrString` of its maskApi.c), for checking.

    Six bits to a character: five of the number, the lowest first, and one for "goes on"; from the
    fourth number on, the difference to the last but one. A number that no image can have makes
    all of them wrong.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if shift > _LONGEST_RUN:  # endless digits of one number would take hours
            return [-1]
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:  # the sign
            value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts


def _polygon_fault(part: Any) -> str:
    if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
        return "a part of it is no polygon [x1, y1, x2, y2, x3, y3, ...]"
    plain = all(isinstance(each, int | float) and math.isfinite(each) for each in part)
    return "" if plain and max(map(abs, part)) < 1 << 15 else "a part of it has impossible corners"
