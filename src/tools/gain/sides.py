"""The two sides of the question whether repaired masks help: their configs and their data."""

from __future__ import annotations

import copy
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from seglab.data.exploration.mask_change import MaskChange, mask_change
from seglab.data.preflight import raise_on_faults, report, run_preflight
from seglab.data.preflight.folders import find_folders, type_name
from seglab.data.preflight.split_folder import SplitFolder
from seglab.data.relabelling.store import is_unfinished
from seglab.mmseg_custom.engine.run_setup import hypothesis_name
from seglab.utils import oxford_pet as pets
from seglab.utils.config_diff import effective_difference
from seglab.utils.config_text import inert
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.hypothesis import Hypothesis
from seglab.utils.io_utils import to_plain, write_text
from seglab.utils.paths import resolve_input

_CHANGED_KEY = "train_dataloader.dataset.mask_dir"


@dataclass(frozen=True)
class Side:
    """A config that is trained with every seed.

    Attributes:
        config: The resolved config.
        file: Where it is written.
        home: Folder of its runs.
        text: What the file holds.
    """

    config: Config
    file: Path
    home: Path
    text: str

    @property
    def id(self) -> str:
        """Of the hypothesis."""
        return str(self.config.hypothesis["id"])

    @property
    def mask_dir(self) -> str:
        """The folder of the train masks, relative to the data root or absolute."""
        return str(self.config.train_dataloader.dataset.get("mask_dir", "labels"))


def make_sides(config: Config, masks: str, output_dir: Path) -> tuple[Side, Side]:
    """The config as it is, and its child that trains on other masks.

    Args:
        config: From `load_config`.
        masks: The mask folder, from the data root or else from the current folder.
        output_dir: Where config files and runs go.

    Raises:
        UserError: The masks or the config cannot be used for this.
    """
    node = config.train_dataloader.dataset
    if type_name(node) != "MaskFolderDataset":
        raise UserError(
            f"the train data set of {config.filename} is a {type_name(node)}",
            pets.folders_hint(Path(node.get("data_root", "")), node.get("mode", "binary"))
            or "give a config whose train data set is one MaskFolderDataset",
        )
    mask_dir = _mask_dir(find_folders(config, "train")[0][0], masks)
    old = copy.deepcopy(config)
    old.hypothesis_name = hypothesis_name(config)
    parent = str(old.hypothesis["id"])
    shown = Path(mask_dir).name if Path(mask_dir).is_absolute() else mask_dir
    hypothesis = Hypothesis(
        id=f"{parent}+{shown}",
        parent=parent,
        question=f"Does training on the masks of {shown} help?",
        change=f"train masks from {shown}",
        expects={"mDice": "+"},
    )
    new = copy.deepcopy(old)
    new.train_dataloader.dataset.mask_dir = mask_dir
    new.hypothesis = hypothesis.to_dict()
    new.hypothesis_name = f"{old.hypothesis_name}_{_file_name(shown)}"
    name = _file_name(parent)
    child = _child_text(f"{name}.py", mask_dir, hypothesis, new.hypothesis_name)
    return (
        _side(old, output_dir, name, old.pretty_text),
        _side(new, output_dir, _file_name(hypothesis.id), child),
    )


def check_sides(old: Side, new: Side, split: str, preflight: bool) -> MaskChange:
    """Check the data of both sides before any compute; doubts are printed.

    Args:
        old: The config as it is.
        new: Its child.
        split: 'val' or 'test', on which both will be scored.
        preflight: Whether to check config and files as `seglab check` does.

    Returns:
        How the train masks differ.

    Raises:
        UserError: There are faults; no mask differs; or the masks are also those scored on.
    """
    (before, *_), (after, *_) = (find_folders(side.config, "train")[0] for side in (old, new))
    _require_untouched(old, new, after)
    if preflight:
        splits = ("train", "val", "test") if split == "test" else ("train", "val")
        findings = [*run_preflight(old.config, splits), *run_preflight(new.config, ("train",))]
        findings = list(dict.fromkeys(findings))  # what both sides share is said once
        raise_on_faults(findings)
        if findings:
            print(report(findings), file=sys.stderr)
    change = mask_change(before, after)
    if not change.changed:
        raise UserError(
            f"all {change.masks} train masks of {new.mask_dir} are those of {old.mask_dir}, pixel "
            "by pixel: there is nothing to compare",
            "give the folder of the repaired masks with --masks",
        )
    return change


def write_sides(old: Side, new: Side) -> None:
    """Write both configs, and make sure that they say what is meant, read back.

    Raises:
        UserError: A file cannot be written.
        RuntimeError: A config does not survive being written: a defect.
    """
    for side in (old, new):
        write_text(side.file, side.text)
    for side in (old, new):
        changes = _differences(side.config, load_config(side.file))
        if changes:
            raise RuntimeError(f"{side.file} reads back with other values: {changes}")
    changes = _differences(load_config(old.file), load_config(new.file))
    if changes != [_CHANGED_KEY]:
        raise RuntimeError(f"{new.file} changes {changes}, not {_CHANGED_KEY} alone")


def _mask_dir(folder: SplitFolder, named: str) -> str:
    """The mask folder as a config names it: from the data root on where it is inside."""
    root = folder.root
    path = root / named if (root / named).is_dir() else resolve_input(named)
    if not path.is_dir():
        raise UserError(
            f"--masks {named}: there is no such folder in {root}, nor from the current folder",
            f"give the folder that holds {folder.subfolder}/*{folder.mask_suffix}",
        )
    path = Path(os.path.normpath(path.absolute()))
    if not (path / folder.subfolder).is_dir():
        hint = " (give the folder above it)" if path.name == folder.subfolder else ""
        raise UserError(
            f"--masks {named}: {path} has no folder {folder.subfolder}{hint}",
            f"give the folder that holds {folder.subfolder}/*{folder.mask_suffix}",
        )
    if is_unfinished(path):
        raise UserError(
            f"--masks {named}: the relabelling that writes {path} was stopped before it was done",
            "run it once more, with the same options: it goes on where it stopped",
        )
    if folder.masks.is_dir() and folder.masks.samefile(path / folder.subfolder):
        raise UserError(
            f"--masks {named}: the config trains on these masks already ({folder.masks})",
            "give the folder of the repaired masks",
        )
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _require_untouched(old: Side, new: Side, repaired: SplitFolder) -> None:
    """Both sides are scored on the same labels, which are not the repaired ones."""
    for split in ("val", "test"):
        folders = find_folders(old.config, split)[0]
        if folders != find_folders(new.config, split)[0]:
            raise RuntimeError(f"the {split} labels of {old.id} and {new.id} differ")
        for folder in folders:
            if folder.root / folder.mask_dir == repaired.root / repaired.mask_dir:
                raise UserError(
                    f"the {split} labels come from {repaired.mask_dir} as well",
                    f"leave {split}_dataloader.dataset.mask_dir as it was: what both sides are "
                    "scored on is not repaired",
                )


def _side(config: Config, output_dir: Path, name: str, text: str) -> Side:
    return Side(config, output_dir / f"{name}.py", output_dir / name, text)


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", text).strip("._") or "unnamed"


def _child_text(base: str, mask_dir: str, hypothesis: Hypothesis, name: str) -> str:
    stated = "".join(f"    {key}={value!r},\n" for key, value in hypothesis.to_dict().items())
    title = f"{hypothesis.id} = {hypothesis.parent} on other train masks (`seglab repair-gain`)."
    return inert(
        f"{title!r}\n\n_base_ = [{base!r}]\n"  # an id may hold quotes, and must not end them
        f"hypothesis_name = {name!r}\n"
        f"hypothesis = dict(\n{stated})\n"
        f"train_dataloader = dict(dataset=dict(mask_dir={mask_dir!r}))\n"
    )


def _differences(one: Config, other: Config) -> list[str]:
    changes = effective_difference(to_plain(one.to_dict()), to_plain(other.to_dict()))
    return [change.key for change in changes]
