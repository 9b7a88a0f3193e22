"""Draw a synthetic cats-and-dogs data set: images, masks and, on request, known mask faults."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seglab.utils.script import new_parser

DESCRIPTION = """\
Draw a synthetic cats-and-dogs data set: images, masks and, on request, known mask faults.

what it writes
  OUT/img/{train,val,test}/*.jpg       RGB images
  OUT/labels/{train,val,test}/*.png    masks: 0 background, 1 cat, 2 dog
  OUT/dataset.json                     recipe and facts of every image
  OUT/contact_sheet.png                a grid of images with mask outlines: look at it first
with --faults also
  OUT/labels_true/train/*.png          the true masks; those in labels/train are partly spoiled
  OUT/faults.json                      which mask has which fault, and its IoU with the truth

The same options give the same files. A set that is already there is left as it is.
"""
EXAMPLES = """\
  python src/data/make_toy.py --out data/toy
  python src/data/make_toy.py --out data/toy256 --train 200 --val 60 --test 60 --size 256
  python src/data/make_toy.py --out data/toy_faulty --faults 0.25
  python src/data/make_toy.py --out data/toy_swapped --faults 0.1 --fault-kinds wrong_class,shifted
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = new_parser("make-toy", DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("--out", type=Path, default=Path("data/toy"), help="folder to write (default: %(default)s)")
    add("--train", type=int, default=256, help="training images (default: %(default)s)")
    add("--val", type=int, default=48, help="validation images (default: %(default)s)")
    add("--test", type=int, default=48, help="test images (default: %(default)s)")
    add("--size", type=int, default=128, help="side of the images in pixels (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed (default: %(default)s)")
    add(
        "--faults",
        type=float,
        default=0.0,
        metavar="FRACTION",
        help="fraction of the training masks to spoil, 0 to 1 (default: %(default)s)",
    )
    add(
        "--fault-kinds",
        metavar="KIND,...",
        help="faults to take in turn: missing_object, shifted, jagged, specks, wrong_class, "
        "wrong_object (default: all)",
    )
    add("--force", action="store_true", help="replace a toy set drawn with other options")
    add("--workers", type=int, default=1, help="processes that draw (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the data set; returns the exit code."""
    arguments = vars(build_parser().parse_args(argv))
    del arguments["debug"]  # read by whoever runs this

    from seglab.data.toy.options import FAULT_KINDS, ToyOptions
    from seglab.data.toy.writer import generate

    kinds = arguments.pop("fault_kinds")
    named = (
        FAULT_KINDS if kinds is None else tuple(k.strip() for k in kinds.split(",") if k.strip())
    )
    out = generate(ToyOptions(**arguments, fault_kinds=named))
    print(f"toy set: {out}\nlook at: {out / 'contact_sheet.png'}")
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
