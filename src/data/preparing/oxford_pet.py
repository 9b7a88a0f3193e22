"""Oxford-IIIT Pet from its official archives, or from a folder that somebody unpacked."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seglab.data.preflight import Finding, report, run_preflight
from seglab.data.preparing.archives import unpack
from seglab.utils import oxford_pet as pets
from seglab.utils.download import PublishedFile, fetch
from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import require_new, whole_folder

_SITE = "https://www.robots.ox.ac.uk/~vgg/data/pets/data"
#: What the Visual Geometry Group publishes; the MD5 sums of these files are torchvision's.
ARCHIVES = (
    PublishedFile(
        "images.tar.gz",
        f"{_SITE}/images.tar.gz",
        "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
        791_918_971,
    ),
    PublishedFile(
        "annotations.tar.gz",
        f"{_SITE}/annotations.tar.gz",
        "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
        19_173_078,
    ),
)
_WAY_OUT = (
    f"fetch {' and '.join(file.url for file in ARCHIVES)} elsewhere and give both files with "
    "--archives"
)


@dataclass(frozen=True)
class PetSource:
    """Where the data set comes from: archives, or a folder, or, with neither, the net.

    Attributes:
        archives: Archives given by hand.
        folder: A folder in the official layout.
        downloads: Where downloaded archives are kept.
    """

    archives: tuple[Path, ...] = ()
    folder: Path | None = None
    downloads: Path = Path("data/downloads")


def prepare(
    source: PetSource, out: Path, published: Sequence[PublishedFile] = ARCHIVES
) -> list[Finding]:
    """Make the data set ready: all of it, checked, or nothing.

    Args:
        source: Where it comes from.
        out: Where it goes. A set that is there already is only checked.
        published: What the archives have to be.

    Returns:
        What the preflight finds: doubts, and faults at which a training would stop. Those of a
        folder given by hand raise instead: the official files are as they are.

    Raises:
        UserError: A file is wrong; names all that are.
    """
    given = source.folder
    if is_there(out):
        print(f"{out} already holds the data set: checking it")
        return check(out)
    require_new(out)
    if given is not None:
        print(f"checking {given}")
        findings = _sound(given)
        with whole_folder(out) as partial:
            _copy(given, partial)
        return [_moved(finding, given, out) for finding in findings]
    archives = _given(source.archives, published) if source.archives else None
    if archives is None:
        _require_sound(source.downloads, published)
        archives = {file.name: fetch(file, source.downloads, _WAY_OUT) for file in published}
    with whole_folder(out) as partial:
        for name, archive in archives.items():
            unpack(archive, partial, name.removesuffix(".tar.gz"))
        _require_lists(partial, out)
        print("checking every file")
        findings = check(partial)
    return [_moved(finding, partial, out) for finding in findings]


def is_there(out: Path) -> bool:
    """Whether a folder holds the data set, or parts of it."""
    return out.is_dir() and any((out / name).exists() for name in pets.LISTS)


def check(root: Path, **options: Any) -> list[Finding]:
    """What the preflight finds in the files of a data set, before any training.

    Args:
        root: The data set.
        **options: Those of `OxfordPetDataset`, such as `exclude`.
    """
    dataset = {"type": "OxfordPetDataset", "data_root": str(root), **options}
    loaders = {
        f"{split}_dataloader": {"dataset": {**dataset, "split": split}}
        for split in ("train", "val", "test")
    }
    # No model: with the schedule of a training there would be more to find.
    return [
        finding
        for finding in run_preflight({**loaders, "train_cfg": {}}, ("train", "val", "test"))
        if finding.code not in ("mixed-sizes", "batch-size-one")
    ]


def _sound(root: Path) -> list[Finding]:
    """The doubts about a folder's files.

    Raises:
        UserError: There are faults; says everything.
    """
    findings = check(root)
    if any(finding.severity == "fault" for finding in findings):
        raise UserError(
            report(findings, every_case=True), f"mend {root}, or start from the official archives"
        )
    return findings


def _given(paths: Sequence[Path], published: Sequence[PublishedFile]) -> dict[str, Path]:
    """The archives given by hand, by their published names."""
    faults = [f"{path}: no such file" for path in paths if not path.is_file()]
    found: dict[str, Path] = {}
    for file in published:
        there = [path for path in paths if path.is_file()]
        # A browser may have called it `images.tar (1).gz`.
        named = [path for path in there if path.name.startswith(file.name.split(".")[0])]
        if not named:
            faults.append(f"{file.name} is not among the archives given")
            continue
        fault = file.fault(named[0])
        faults += [fault] if fault else []
        found[file.name] = named[0]
    raise_faults(
        "the archives cannot be used", faults, f"fetch them again: {_SITE}/NAME; nothing was kept"
    )
    return found


def _require_sound(downloads: Path, published: Sequence[PublishedFile]) -> None:
    """What was downloaded earlier is what is published: said before the rest is downloaded."""
    there = [(file, downloads / file.name) for file in published]
    faults = [file.fault(path) for file, path in there if path.is_file()]
    raise_faults(
        "archives that are there already cannot be used",
        [fault for fault in faults if fault],
        "move these away and run again",
    )


def _require_lists(partial: Path, out: Path) -> None:
    """The archives hold lists that agree, and the images that they name."""
    lists = pets.read_lists(partial)
    faults = [*lists.faults]
    for pet in (pet for name in (pets.TRAINVAL, pets.TEST) for pet in lists.pets[name]):
        for path in pets.files_of(pet):
            if not (partial / path).is_file():
                faults.append(f"{path} is listed but not in the archives")
    raise_faults(f"what was unpacked is no whole data set; {out} was not written", faults, _WAY_OUT)


def _copy(root: Path, into: Path) -> None:
    """Copy the lists and what they name."""
    listed = pets.read_lists(root).pets[pets.LIST]
    files = [*pets.LISTS, *(path for pet in listed for path in pets.files_of(pet))]
    for name in tqdm(files, desc="copying", unit="file"):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, into / name)


def _moved(finding: Finding, before: Path, after: Path) -> Finding:
    """A finding with the paths that its files have now."""
    old, new = str(before), str(after)
    return replace(
        finding,
        message=finding.message.replace(old, new),
        fix=finding.fix.replace(old, new),
        files=tuple(path.replace(old, new) for path in finding.files),
        unnamed=tuple(case.replace(old, new) for case in finding.unnamed),
    )


def require_source(source: PetSource) -> None:
    """Make sure that one way is asked for.

    Raises:
        UserError: Both archives and a folder are given, or the folder is none.
    """
    if source.archives and source.folder is not None:
        raise UserError("--archives and --folder exclude each other", "give one of them")
    if source.folder is not None and not source.folder.is_dir():
        raise UserError(f"--folder {source.folder} is no folder", "check the path")
