"""Oxford-IIIT Pet as folders of images and masks, which every tool for folders reads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from seglab.data.preflight import Finding, report
from seglab.data.preflight.decode import read_mask
from seglab.data.preparing.oxford_pet import check
from seglab.utils import oxford_pet as pets
from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import (
    atomic_path,
    read_json,
    require_new,
    sha256_file,
    whole_folder,
    write_json,
)

VERSION = 1
SPLITS = ("train", "val", "test")
_OPTION = "--mask-folders"


@dataclass(frozen=True)
class PetFolders:
    """What is written, and where it goes.

    Attributes:
        out: Folder to write: `img/SPLIT/NAME.jpg` and `labels/SPLIT/NAME.png`.
        mode: A mode of `seglab.utils.oxford_pet.MODES`.
        border: What the border counts as: 'ignore' (255), 'foreground' or 'background'; a class
            in the mode 'trimap'.
        exclude: Names of images to leave out; the others stay in their splits.
    """

    out: Path
    mode: str = "binary"
    border: str = "ignore"
    exclude: tuple[str, ...] = ()

    def dataset(self) -> dict[str, Any]:
        """The options under which an `OxfordPetDataset` has the same labels."""
        return {"mode": self.mode, "border": self.border, "exclude": self.exclude}

    def recipe(self, root: Path) -> dict[str, Any]:
        """What decides over the files; images and trimaps aside."""
        lists = {name: sha256_file(root / name) for name in pets.LISTS}
        options = {"mode": self.mode, "border": self.border, "exclude": sorted(self.exclude)}
        return {"format": pets.FOLDERS_FORMAT, "version": VERSION, **options, "lists": lists}


def require_options(folders: PetFolders) -> None:
    """Make sure that what is asked for can be written, before anything is downloaded.

    Raises:
        UserError: Options do not fit each other, or the folder holds something else.
    """
    faults = pets.option_faults("train", folders.mode, folders.border)
    raise_faults(f"{_OPTION} cannot be written as asked", faults, "mend the command line")
    if _record(folders.out) is None:
        require_new(folders.out, _OPTION)


def write_folders(root: Path, folders: PetFolders) -> tuple[dict[str, int], list[Finding]]:
    """Write every split as a folder of images and one of masks: all of it, or nothing.

    Photographs are copied byte for byte; a mask holds class indices, 255 where it is ignored.
    A run that was stopped is gone on with: each file bears the time of the file that it was made
    from, and is made anew where the times differ.

    Args:
        root: The data set in its official layout.
        folders: What is written. A folder that holds just that is left as it is.

    Returns:
        Number of images of each split, and the doubts about the files.

    Raises:
        UserError: Files or lists are wrong, all of them at once, or the folder holds something
            else.
    """
    require_options(folders)
    findings = check(root, **folders.dataset())
    if any(finding.severity == "fault" for finding in findings):
        raise UserError(
            report(findings, every_case=True),
            "mend the files, or leave the images out with --exclude NAME ...",
        )
    lists = pets.read_lists(root)
    chosen = {split: lists.split(split, folders.exclude) for split in SPLITS}
    counts = {split: len(names) for split, names in chosen.items()}
    recipe = {**folders.recipe(root), "classes": pets.MODES[folders.mode], "images": counts}
    record = _record(folders.out)
    if record is not None:
        _require_same(folders.out, record, recipe)
        return counts, findings
    with whole_folder(folders.out, goes_on=True) as partial_folder:
        _begin(partial_folder, recipe)
        _write_all(root, partial_folder, chosen, folders)
    return counts, findings


def _record(folder: Path) -> dict[str, Any] | None:
    """What a folder says that it holds; None where it was not written by this program."""
    path = folder / pets.FOLDERS_RECORD
    content = read_json(path) if path.is_file() else None
    ours = isinstance(content, dict) and content.get("format") == pets.FOLDERS_FORMAT
    return content if ours else None


def _require_same(out: Path, record: dict[str, Any], recipe: dict[str, Any]) -> None:
    """Make sure that a folder that is there already is what is asked for."""
    other = [key for key in recipe if record.get(key) != _plain(recipe[key])]
    faults = [f"its {key}: {record.get(key)}; asked for: {_plain(recipe[key])}" for key in other]
    raise_faults(f"{_OPTION} {out} holds another set", faults, "move it away, or name a new folder")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _begin(folder: Path, recipe: dict[str, Any]) -> None:
    """Keep what a stopped run of the same recipe left, and nothing else."""
    record = _record(folder)
    if record is None or any(record.get(key) != _plain(value) for key, value in recipe.items()):
        shutil.rmtree(folder)
        folder.mkdir()
    for torn in folder.rglob(".*"):  # what was being written when it was killed
        torn.unlink()
    for kind in ("img", "labels"):
        for split in SPLITS:
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    write_json(folder / pets.FOLDERS_RECORD, recipe)


def _write_all(
    root: Path, into: Path, chosen: dict[str, list[pets.Pet]], folders: PetFolders
) -> None:
    tasks = [(split, pet) for split, listed in chosen.items() for pet in listed]
    workers = min(8, 2 * (os.cpu_count() or 1))  # they wait for the disk most of the time
    with ThreadPoolExecutor(workers) as pool:
        written = pool.map(partial(_write, root, into, folders), tasks)
        try:
            for _ in tqdm(written, "writing", len(tasks), unit="image"):
                pass
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _write(root: Path, into: Path, folders: PetFolders, task: tuple[str, pets.Pet]) -> None:
    """Write one photograph and its mask, where they are not there already."""
    split, pet = task
    image, trimap = (root / path for path in pets.files_of(pet))
    for target, source in _outdated(into / "img" / split / image.name, image):
        shutil.copyfile(source, target)
    for target, source in _outdated(into / "labels" / split / trimap.name, trimap):
        table = np.zeros(256, np.uint8)
        for value, label in pets.label_map(folders.mode, folders.border, pet.species).items():
            table[value] = label
        Image.fromarray(table[read_mask(source)]).save(target, optimize=True)


def _outdated(target: Path, source: Path) -> Iterator[tuple[Path, Path]]:
    """A path to write `target` at and the source to make it of, unless that was done before."""
    time = source.stat().st_mtime_ns
    if target.is_file() and target.stat().st_mtime_ns == time:
        return
    with atomic_path(target) as temporary:
        yield temporary, source
        os.utime(temporary, ns=(time, time))
