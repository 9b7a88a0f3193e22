"""Cut a cats-and-dogs data set out of COCO: one square crop for each object."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seglab.utils.script import new_parser

DESCRIPTION = """\
Cut a cats-and-dogs data set out of COCO: one square crop for each object.

A crop shows its object with some surroundings and carries the labels of every cat and dog in it.
Crowds are ignored (255). Where two overlap, the smaller one is seen. Objects below --min-area get
no crop of their own. All crops of a photograph are in the same split. The same options give the
same files.

what it writes
  OUT/img/{train,val,test}/PHOTOGRAPH_ANNOTATION.jpg
  OUT/labels/{train,val,test}/PHOTOGRAPH_ANNOTATION.png    0 background, 1 cat, 2 dog
  OUT/dataset.json                                         recipe and facts of every crop
"""
EXAMPLES = """\
  python src/data/prepare_coco_pets.py --instances annotations/instances_train2017.json \\
      --images train2017 --out data/pets_coco_new
  python src/data/prepare_coco_pets.py --instances instances_train2017.json \\
      instances_val2017.json --images train2017 val2017 --out data/pets --min-area 10000 --seed 1
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = new_parser("prepare-coco-pets", DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    for name, metavar, text in (
        ("--instances", "FILE", "COCO's instances_*.json, one or several"),
        ("--images", "DIR", "folders in which the photographs are looked for"),
    ):
        add(name, type=Path, nargs="+", required=True, metavar=metavar, help=text)
    add("--out", type=Path, required=True, help="new folder to write")
    add(
        "--classes",
        nargs="+",
        default=["cat", "dog"],
        metavar="NAME",
        help="COCO categories: labels 1, 2, ... in this order (default: cat dog)",
    )
    add("--size", type=int, default=256, help="side of the crops in pixels (default: %(default)s)")
    add(
        "--min-area",
        type=int,
        default=64 * 64,
        metavar="PIXELS",
        help="least pixels of an object in its photograph (default: %(default)s, 64x64: a smaller "
        "one would be enlarged more than about three times)",
    )
    add(
        "--margin",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="surroundings on each side, of the object's longer side (default: %(default)s)",
    )
    add("--val", type=float, default=0.15, help="share of the photographs (default: %(default)s)")
    add("--test", type=float, default=0.15, help="share of the photographs (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the split (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Make the data set; returns the exit code."""
    arguments = vars(build_parser().parse_args(argv))
    del arguments["debug"]  # read by whoever runs this

    from seglab.data.preparing.coco_pets import CocoOptions, prepare

    for name in ("instances", "images", "classes"):
        arguments[name] = tuple(arguments[name])
    options = CocoOptions(**arguments)
    counts = prepare(options)
    crops = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"data set: {options.out} ({crops})\ntrain on it: --data-root {options.out}")
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
