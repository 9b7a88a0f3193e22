"""The output folder: what is finished is kept, and belongs to the settings it was made with.

```
OUT/SPLIT/a.png                      every mask of the split: repaired, or a copy of the old one
OUT/relabel.json                     decisions, figures and reasons
OUT/person.html                      what a person has to look at
OUT/work/records/SPLIT/a.json        the finished masks; the last file written of each
OUT/work/proposed/SPLIT/a.png        the new mask, whatever was decided
OUT/work/pictures/SPLIT/a.png        image, old mask, new mask
```
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seglab.data.relabelling.inputs import Task
from seglab.data.relabelling.merging import Mask
from seglab.utils.errors import UserError
from seglab.utils.io_utils import atomic_path, read_json, require_writable, sha256_file, write_json

RELABEL_FILE, PAGE_FILE, WORK = "relabel.json", "person.html", "work"


class Store:
    """The output folder of one relabelling."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self, root: Path, img_dir: str, mask_dir: str) -> None:
        """Make sure that the folder may be written; nothing is made.

        Raises:
            UserError: It would overwrite or mix with the originals, or holds files of another
                origin.
        """
        own = self.folder.resolve()
        for kind, other in (("image", root / img_dir), ("mask", root / mask_dir)):
            original = other.resolve()
            if own == original or own.is_relative_to(original) or original.is_relative_to(own):
                raise UserError(
                    f"--output_dir {self.folder} is, lies in or holds the {kind} folder {other}",
                    "give a folder of its own, such as DATA_ROOT/labels_sam2",
                )
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"--output_dir {self.folder} is a file", "give a folder")
        strange = self.folder.is_dir() and any(self.folder.iterdir())
        if strange and not (self.folder / WORK).is_dir():
            raise UserError(
                f"--output_dir {self.folder} holds files that are not from relabelling",
                "give an empty folder or a new name",
            )

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            UserError: It cannot be written.
        """
        require_writable(self.folder / WORK, "--output_dir")

    def path(self, kind: str, task: Task, suffix: str) -> Path:
        """Where a task's `records`, `proposed` or `pictures` file is."""
        return (self.folder / WORK / kind / task.split / task.inside).with_suffix(suffix)

    def finished(self, task: Task, key: str) -> dict[str, Any] | None:
        """The record of a task that was finished with the same inputs, else None."""
        path = self.path("records", task, ".json")
        if not path.is_file() or not self.path("proposed", task, ".png").is_file():
            return None
        try:
            record = read_json(path)
        except UserError:
            return None  # damaged: done again
        same = isinstance(record, dict) and record.get("key") == key
        if not same or record.get("proposed_sha256") != sha256_file(
            self.path("proposed", task, ".png")
        ):
            return None
        return dict(record)

    def save(self, task: Task, record: Mapping[str, Any], proposed: Mask, picture: Any) -> None:
        """Write a finished task; its record is the last file, so half a task counts as none."""
        target = self.path("proposed", task, ".png")
        for path, pixels in ((target, proposed), (self.path("pictures", task, ".png"), picture)):
            with atomic_path(path) as temporary:
                Image.fromarray(np.asarray(pixels)).save(temporary)
        full = {**record, "proposed_sha256": sha256_file(target)}
        write_json(self.path("records", task, ".json"), full)

    def forget_others(self, tasks: Iterable[Task]) -> int:
        """Remove what belongs to masks that are no longer listed; returns how many."""
        wanted = {self.path("records", task, ".json") for task in tasks}
        records = self.folder / WORK / "records"
        stale = [path for path in sorted(records.rglob("*.json")) if path not in wanted]
        for path in stale:
            inside = path.relative_to(records)
            path.unlink()
            for kind in ("proposed", "pictures"):
                (self.folder / WORK / kind / inside.with_suffix(".png")).unlink(missing_ok=True)
        return len(stale)

    def assemble(self, originals: Path, splits: Iterable[str], accepted: Iterable[Task]) -> int:
        """Make the folder a complete one: accepted masks, and byte-exact copies of the others.

        Files of the splits that have no original are removed.

        Args:
            originals: The old mask folder.
            splits: The splits of the listed masks.
            accepted: The tasks whose new mask is taken.

        Returns:
            How many masks the folder holds.
        """
        sources = {
            Path(task.split, task.inside): self.path("proposed", task, ".png") for task in accepted
        }
        count = 0
        for split in sorted(splits):
            wanted = {p.relative_to(originals) for p in (originals / split).rglob("*.png")}
            for inside in sorted(wanted):
                source = sources.get(inside, originals / inside)
                with atomic_path(self.folder / inside) as temporary:
                    shutil.copyfile(source, temporary)
            for path in sorted((self.folder / split).rglob("*.png")):
                if path.relative_to(self.folder) not in wanted:
                    path.unlink()
            count += len(wanted)
        return count


def key_of(task: Task, settings: Mapping[str, Any]) -> str:
    """What a finished task depends on: its files, the settings, the weights, the predictions."""
    content = {
        "image": task.image_sha256,
        "mask": task.listed.sha256,
        "predictions": [sha256_file(path) for path in task.predictions],
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
