"""The output folder: what is finished is kept, and belongs to the settings it was made with.

```
OUT/SPLIT/a.png                      every mask of the split: repaired, or a copy of the old one
OUT/relabel.json                     decisions, figures and reasons; the last file written of all
OUT/person.html                      what a person has to look at
OUT/work/records/SPLIT/a.json        the finished masks; the last file written of each
OUT/work/proposed/SPLIT/a.png        the new mask, whatever was decided
OUT/work/pictures/SPLIT/a.png        image, old mask, new mask
OUT/work/approved.json               new masks that a person took, and why
```
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from seglab.data.relabelling.inputs import Task
from seglab.data.relabelling.merging import Mask
from seglab.utils.errors import UserError
from seglab.utils.io_utils import atomic_path, read_json, require_writable, sha256_file, write_json
from seglab.utils.paths import output_path

RELABEL_FILE, PAGE_FILE, WORK = "relabel.json", "person.html", "work"
_RECORDS, _PROPOSED, _PICTURES = "records", "proposed", "pictures"
_APPROVED = "approved.json"


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
        if strange and not (self.folder / WORK / _RECORDS).is_dir():
            raise UserError(
                f"--output_dir {self.folder} holds files that are not from relabelling",
                "give an empty folder or a new name",
            )

    def prepare(self, splits: Iterable[str] = ()) -> None:
        """Make the folder.

        Args:
            splits: The folders in it that masks will be written to.

        Raises:
            UserError: It cannot be written, or a folder in it is a link to somewhere else.
        """
        for name in (WORK, *splits):
            if (self.folder / name).is_symlink():
                raise UserError(
                    f"--output_dir: {self.folder / name} is a link; nothing is written through it",
                    "delete the link",
                )
        require_writable(self.folder / WORK / _RECORDS, "--output_dir")

    def path(self, kind: str, task: Task, suffix: str) -> Path:
        """Where a task's `records`, `proposed` or `pictures` file is."""
        inside = PurePosixPath(task.split, task.inside).with_suffix(suffix)
        return output_path(self.folder / WORK / kind, inside)

    def proposal_of(self, task: Task) -> str:
        """The new mask of a task, from the output folder on."""
        return self.path(_PROPOSED, task, ".png").relative_to(self.folder).as_posix()

    def approved(self) -> dict[str, dict[str, str]]:
        """New masks that a person took in this run or before.

        Returns:
            Path from OUT on -> `sha256` of the mask and the person's `reason`.

        Raises:
            UserError: The file is damaged.
        """
        path = self.folder / WORK / _APPROVED
        if not path.is_file():
            return {}
        content = read_json(path)
        if not isinstance(content, dict) or not all(map(_is_approval, content.values())):
            raise UserError(f"{path} is damaged", "delete it, and give the lists with --accept")
        return content

    def approve(self, masks: Mapping[str, Mapping[str, str]]) -> None:
        """Remember what a person took, see `approved`."""
        write_json(self.folder / WORK / _APPROVED, dict(masks))

    def finished(self, task: Task, key: str) -> dict[str, Any] | None:
        """The record of a task that was finished with the same inputs, else None."""
        path, proposed = self.path(_RECORDS, task, ".json"), self.path(_PROPOSED, task, ".png")
        files = (path, proposed, self.path(_PICTURES, task, ".png"))
        if not all(file.is_file() for file in files):
            return None
        try:
            record = read_json(path)
        except UserError:
            return None  # damaged: done again
        same = isinstance(record, dict) and record.get("key") == key
        if not same or record.get("proposed_sha256") != sha256_file(proposed):
            return None
        return dict(record)

    def save(self, task: Task, record: Mapping[str, Any], proposed: Mask, picture: Any) -> None:
        """Write a finished task; its record is the last file, so half a task counts as none."""
        target = self.path(_PROPOSED, task, ".png")
        for path, pixels in ((target, proposed), (self.path(_PICTURES, task, ".png"), picture)):
            with atomic_path(path) as temporary:
                Image.fromarray(np.asarray(pixels)).save(temporary)
        full = {**record, "proposed_sha256": sha256_file(target)}
        write_json(self.path(_RECORDS, task, ".json"), full)

    def forget_others(self, tasks: Iterable[Task], originals: Path) -> int:
        """Put the old masks back where they are no longer listed, and remove what was made.

        Args:
            tasks: Of the masks that are listed.
            originals: The old mask folder.

        Returns:
            How many masks there were.
        """
        for path in (self.folder / WORK).rglob(".*"):
            if path.is_file():
                path.unlink()  # half of a file: a run was killed while it wrote
        wanted = {self.path(_RECORDS, task, ".json") for task in tasks}
        records = self.folder / WORK / _RECORDS
        stale = [path for path in sorted(records.rglob("*.json")) if path not in wanted]
        for path in stale:
            inside = path.relative_to(records).with_suffix(".png")
            # First the mask, last the record: a kill between them is made good by the next run.
            if (originals / inside).is_file():
                self._put(originals / inside, inside)
            else:
                self._remove(inside)
            for kind in (_PROPOSED, _PICTURES):
                (self.folder / WORK / kind / inside).unlink(missing_ok=True)
            path.unlink()
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
            Path(task.split, task.inside): self.path(_PROPOSED, task, ".png") for task in accepted
        }
        count = 0
        for split in sorted(splits):
            wanted = {p.relative_to(originals) for p in (originals / split).rglob("*.png")}
            for inside in tqdm(sorted(wanted), desc=split, unit="mask", leave=False, delay=1.0):
                self._put(sources.get(inside, originals / inside), inside)
            for path in sorted((self.folder / split).rglob("*.png")):
                if path.relative_to(self.folder) not in wanted:
                    self._remove(path.relative_to(self.folder))
            count += len(wanted)
        return count

    def _put(self, source: Path, inside: Path) -> None:
        """Make a mask of the folder a copy of a file: a real one, never a link."""
        output_path(self.folder, inside.parent / "mask")  # the file may be a link: it is replaced
        target = self.folder / inside
        linked = target.is_symlink() or (target.exists() and target.samefile(source))
        if target.is_file() and not linked and filecmp.cmp(source, target, shallow=False):
            return
        self._outdate()
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)

    def _remove(self, inside: Path) -> None:
        self._outdate()
        (self.folder / inside).unlink(missing_ok=True)

    def _outdate(self) -> None:
        """From the first mask that changes until all have, no `relabel.json` speaks for them."""
        (self.folder / RELABEL_FILE).unlink(missing_ok=True)


def _is_approval(value: object) -> bool:
    keys = {"sha256", "reason"}
    return isinstance(value, dict) and set(value) == keys and all(map(_is_text, value.values()))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def is_unfinished(folder: Path) -> bool:
    """Whether a folder's relabelling was stopped: its masks are missing or of two settings."""
    return (folder / WORK / _RECORDS).is_dir() and not (folder / RELABEL_FILE).is_file()


def key_of(task: Task, settings: Mapping[str, Any]) -> str:
    """What a finished task depends on: its files, the settings, the weights, the predictions."""
    content = {
        "image": task.image_sha256,
        "mask": task.listed.sha256,
        "predictions": [sha256_file(path) for path in task.predictions],
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
