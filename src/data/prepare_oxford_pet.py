"""Make Oxford-IIIT Pet ready: download and verify it, or take archives or a folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seglab.utils.script import new_parser

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
"""
EXAMPLES = """\
  python src/data/prepare_oxford_pet.py
  python src/data/prepare_oxford_pet.py --archives images.tar.gz annotations.tar.gz
  python src/data/prepare_oxford_pet.py --folder ~/pets --out data/oxford_pet
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = new_parser("prepare-oxford-pet", DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add(
        "--out",
        type=Path,
        default=Path("data/oxford_pet"),
        help="folder to write; one that holds the set already is only checked "
        "(default: %(default)s, where the configs look)",
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
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the data set; returns the exit code."""
    args = build_parser().parse_args(argv)

    from seglab.data.preflight import report
    from seglab.data.preparing.oxford_pet import PetSource, prepare, require_source

    source = PetSource(tuple(args.archives), args.folder, args.downloads)
    require_source(source)
    findings = prepare(source, args.out)
    if findings:
        print(report(findings))
    if any(finding.severity == "fault" for finding in findings):
        print(
            "A training would stop at these faults. Mend the files, or leave the images out with "
            'exclude=("NAME", ...) in every data set of the config.'
        )
    print(f"data set: {args.out}\ntrain on it: --data-root {args.out}")
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
