"""Make Oxford-IIIT Pet ready: download and verify it, or take archives or a folder."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.utils.oxford_pet import BORDERS, MODES
from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from seglab.data.preflight import Finding
    from seglab.data.preparing.pet_folders import PetFolders

DESCRIPTION = """\
Make the Oxford-IIIT Pet data set (Parkhi et al., 2012) ready for configs/lab_*.py.

Without --archives or --folder the two official archives are downloaded (811 MB). A download that
breaks off is gone on with by running again. Archives have to have the published checksums, and
whatever in them climbs out of the folder is refused. Every file is decoded once; what a training
would stop at is reported.

what it writes
  OUT/images/NAME.jpg                             7,349 photographs of 37 breeds
  OUT/annotations/{list,trainval,test}.txt        which image is in which split
  OUT/annotations/trimaps/NAME.png                1 animal, 2 background, 3 border

Tools that look at masks and repair them (eda, audit, curate, clean-bad-masks, repair-gain) read
folders of masks. --mask-folders writes these out of OUT, with the splits of the lab's configs; a
run that was stopped is gone on with by running again:
  DIR/img/{train,val,test}/NAME.jpg               the photographs, byte for byte
  DIR/labels/{train,val,test}/NAME.png            class indices, 255 where ignored
  DIR/dataset.json                                classes, options, number of images
"""
EXAMPLES = """\
  python src/data/prepare_oxford_pet.py
  python src/data/prepare_oxford_pet.py --archives images.tar.gz annotations.tar.gz
  python src/data/prepare_oxford_pet.py --folder ~/pets --out data/oxford_pet
  python src/data/prepare_oxford_pet.py --mask-folders data/oxford_pet_folders --mode species
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = new_parser("prepare-oxford-pet", DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add(
        "--out",
        type=Path,
        # The configs ask this variable, too.
        default=Path(os.environ.get("SEGLAB_OXFORD_PET") or "data/oxford_pet"),
        help="folder to write; one that holds the set already is only checked (default: where the "
        "configs look: $SEGLAB_OXFORD_PET, or else data/oxford_pet)",
    )
    add(
        "--archives",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="images.tar.gz and annotations.tar.gz, downloaded elsewhere",
    )
    add("--folder", type=Path, metavar="DIR", help="the unpacked set, or a part of it; is copied")
    add(
        "--downloads",
        type=Path,
        default=Path("data/downloads"),
        metavar="DIR",
        help="where downloaded archives are kept (default: %(default)s)",
    )
    _add_folder_arguments(parser)
    return parser


def _add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("folders of masks").add_argument
    add("--mask-folders", type=Path, metavar="DIR", help="new folder to write out of OUT")
    add("--mode", choices=tuple(MODES), help="classes of the masks (default: binary)")
    add("--border", choices=BORDERS, help="what the border counts as (default: ignore)")
    add("--exclude", nargs="+", metavar="NAME", help="images to leave out, such as Bengal_1")


def chosen_folders(args: argparse.Namespace) -> PetFolders | None:
    """What `--mask-folders` asks for, None where it is not given.

    Raises:
        UserError: Options do not fit each other, or the folder holds something else.
    """
    from seglab.data.preparing.pet_folders import PetFolders, require_options
    from seglab.utils.errors import UserError

    given = {key: getattr(args, key) for key in ("mode", "border", "exclude")}
    given = {key: value for key, value in given.items() if value is not None}
    if args.mask_folders is None:
        if given:
            options = ", ".join(f"--{key}" for key in given)
            raise UserError(f"{options} without --mask-folders", "name the folder to write")
        return None
    folders = PetFolders(args.mask_folders, **{**given, "exclude": tuple(args.exclude or ())})
    require_options(folders)
    return folders


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the data set; returns the exit code."""
    args = build_parser().parse_args(argv)

    from seglab.data.preparing.oxford_pet import PetSource, is_there, prepare, require_source

    source = PetSource(tuple(args.archives), args.folder, args.downloads)
    require_source(source)
    folders = chosen_folders(args)
    if folders is None or not is_there(args.out):
        show(prepare(source, args.out))
        print(f"data set: {args.out}\ntrain on it: --data-root {args.out}")
    if folders is not None:
        make_folders(args.out, folders)
    return 0


def show(findings: Sequence[Finding]) -> None:
    """Print what the preflight found."""
    from seglab.data.preflight import report

    if findings:
        print(report(findings, every_case=True))
    if any(finding.severity == "fault" for finding in findings):
        print(
            "A training would stop at these faults. Mend the files, or leave the images out with "
            'exclude=("NAME", ...) in every data set of the config.'
        )


def make_folders(root: Path, folders: PetFolders) -> None:
    """Write the folders of masks, and say what can be done with them."""
    from seglab.data.preparing.pet_folders import write_folders

    counts, findings = write_folders(root, folders)
    show(findings)
    images = ", ".join(f"{count} {split}" for split, count in counts.items())
    classes = ", ".join(f"{label} {name}" for label, name in enumerate(MODES[folders.mode]))
    print(f"folders of masks: {folders.out} ({images}); {classes}")
    print(f"look at it: seglab eda --data-root {folders.out} --split all")


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
