"""Look at a data set before training on it: shares, areas, duplicates, splits, odd files."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.utils.errors import UserError, visible
from seglab.utils.paths import resolve_input
from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from seglab.data.exploration.explore import Look, Options

DESCRIPTION = """\
Look at a data set before training on it: what images and masks hold, what is odd, how
splits differ.

what it reads
  DATA_ROOT/img/SPLIT/*.jpg      images
  DATA_ROOT/labels/SPLIT/*.png   masks of the same names: the value is the class, 255 is ignored

what it writes into the output folder
  eda.md      what to act on and what to know, with numbers and files: read it first
  eda.json    every figure; the report takes its findings from here
  *.png       charts and grids of images with their masks

An object is a connected region of one class that is not tiny. Duplicates are looked for within
and across the splits that are named: `--split all` finds images that are in two.
"""
EXAMPLES = """\
  python src/data/eda.py --data_root data/pets_coco --split train
  python src/data/eda.py --data_root data/pets_coco --split all --config configs/h1*.py
  python src/data/eda.py --data_root data/pets_coco --mask-dir labels_sam2 --output_dir looks/sam2
"""
_ACTIONS_SHOWN = 8


def build_parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = new_parser("eda", DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("--data-root", "--data_root", type=Path, required=True, help="folder of the data set")
    add(
        "--split",
        default="train",
        help="a split, several with commas between, or all, which also compares them "
        "(default: %(default)s)",
    )
    add(
        "--output-dir",
        "--output_dir",
        type=Path,
        default=Path("supplementary/viz/eda"),
        help="folder to write (default: %(default)s)",
    )
    add("--config", type=Path, help="config that names the classes and their colours")
    add("--img-dir", "--img_dir", default="img", help="image folder (default: %(default)s)")
    add("--mask-dir", "--mask_dir", default="labels", help="mask folder (default: %(default)s)")
    add(
        "--ignore-index",
        "--ignore_index",
        type=int,
        default=255,
        help="mask value that belongs to no class (default: %(default)s)",
    )
    add(
        "--tiny",
        type=float,
        default=0.1,
        metavar="PERCENT",
        help="a region is tiny below this share of its image (default: %(default)s)",
    )
    return parser


def read_options(args: argparse.Namespace) -> Options:
    """The options behind a command line.

    Raises:
        UserError: A number is out of its range, or the config names no classes.
    """
    from seglab.data.exploration.explore import Options

    faults = []
    if not 0 <= args.ignore_index <= 255:
        faults.append(f"--ignore-index {args.ignore_index} is no mask value (0 to 255)")
    if not 0 <= args.tiny < 100:
        faults.append(f"--tiny {args.tiny:g} is no share of an image (0 to 100)")
    root = resolve_input(args.data_root)
    if not root.is_dir():
        faults.append(f"--data-root {args.data_root} is no folder")
    if args.output_dir.exists() and not args.output_dir.is_dir():
        faults.append(f"--output-dir {args.output_dir} is a file")
    if faults:
        raise UserError("; ".join(faults), "mend the command line")
    classes, palette = None, None
    if args.config:
        from seglab.utils.config_utils import dataset_metainfo, load_config

        metainfo = dataset_metainfo(load_config(args.config))
        classes, palette = tuple(metainfo["classes"]), metainfo.get("palette")
    return Options(
        data_root=root,
        split=args.split,
        img_dir=args.img_dir,
        mask_dir=args.mask_dir,
        ignore_index=args.ignore_index,
        tiny_percent=args.tiny,
        classes=classes,
        palette=palette,
    )


def print_actions(look: Look) -> None:
    """Print what to act on, the first few in full."""
    act = [finding for finding in look.findings if finding.action]
    for finding in act[:_ACTIONS_SHOWN]:
        print(visible(f"- {finding.text}\n  {finding.action}"))
    if len(act) > _ACTIONS_SHOWN:
        print(f"- and {len(act) - _ACTIONS_SHOWN} more to act on")


def main(argv: Sequence[str] | None = None) -> int:
    """Look at the data and write what was found; returns the exit code."""
    args = build_parser().parse_args(argv)
    start = time.perf_counter()
    options = read_options(args)
    from seglab.data.exploration.explore import look_at, write_look

    look = look_at(options)
    written = write_look(look, args.output_dir)
    print_actions(look)
    masks = sum(split.masks for split in look.statistics)
    print(f"{masks:,} masks in {time.perf_counter() - start:.1f} s; read: {written.page}")
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
