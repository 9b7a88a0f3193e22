"""Repair the masks that are listed as bad: detect, segment, merge with the old mask, gate."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from seglab.data.detection import Detector
    from seglab.data.relabelling.job import Job, Outcome, Tools

DESCRIPTION = """\
Repair the masks that are listed as bad. A detector finds the animals, a box-prompted segmenter
outlines them, a written rule merges the outlines with the old mask object by object (what is
right stays to the pixel), and a gate accepts each new mask, rejects it, or sends it to a person.
The original masks are never written.

what it writes
  OUT/SPLIT/*.png      every mask of the split: accepted repairs, copies of all others; train on
                       them with train_dataloader.dataset.mask_dir=OUT (relative to the data root)
  OUT/relabel.json     decision, figures and reasons of each mask, areas before and after
  OUT/person.html      the masks that a person has to look at, with boxes to tick (--accept)
  OUT/work/            proposals, before/after pictures, and what lets a stopped run go on

A second run does only what is not done. With other settings the masks are done anew.
Without SAM 2.1's weights nothing is done in its place: choose --segmenter yolov8-seg or grabcut.
YOLOv8's weights were trained on COCO: on COCO's own photographs it looks better than it is. Its
.pt files are pickles: take them only from a source that you trust.
"""
EXAMPLES = """\
  python src/data/clean_bad_masks.py --bad_masks bad_mask_paths.json --data_root data/pets_coco \\
      --output_dir data/pets_coco/labels_sam2/
  python src/data/clean_bad_masks.py --bad_masks bad_mask_paths.json --data_root data/pets_coco \\
      --output_dir data/pets_coco/labels_yolo --detector yolov8n.onnx \\
      --segmenter yolov8-seg --segmenter_weights yolov8n-seg.onnx --predictions CACHE
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of this program."""
    parser = new_parser("clean-bad-masks", DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("--bad-masks", "--bad_masks", type=Path, required=True, metavar="JSON", help="the list")
    add("--data-root", "--data_root", type=Path, required=True, help="folder of the data set")
    add("--output-dir", "--output_dir", type=Path, required=True, help="a folder of its own")
    add(
        "--accept",
        type=Path,
        metavar="JSON",
        help="new masks that you ticked in person.html: they are taken, and stay so",
    )
    add("--img-dir", "--img_dir", default="img", help="image folder (default: %(default)s)")
    add("--mask-dir", "--mask_dir", help="mask folder (default: first part of the listed paths)")
    _add_stages(parser)
    add("--ignore-index", "--ignore_index", type=int, default=255, help="of no class (%(default)s)")
    add("--batch-size", "--batch_size", type=int, default=8, help="images at once (%(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    return parser


def _add_stages(parser: argparse.ArgumentParser) -> None:
    """What finds, outlines and judges."""
    add = parser.add_argument
    add("--detector", default="yolov8x.pt", help="YOLOv8 weights: name or path (%(default)s)")
    add(
        "--segmenter",
        default="sam2.1_hiera_large",
        help="sam2.1_hiera_large, sam2.1_hiera_tiny, yolov8-seg or grabcut (%(default)s)",
    )
    add(
        "--segmenter-weights",
        "--segmenter_weights",
        metavar="PATH",
        help="a file instead of the segmenter's official weights",
    )
    add(
        "--predictions",
        type=Path,
        nargs="+",
        default=[],
        metavar="CACHE",
        help="folders of out-of-fold predictions (seglab audit); of several the mean is taken",
    )
    add(
        "--classes",
        nargs="+",
        default=["background", "cat", "dog"],
        help="class names, background first (default: %(default)s)",
    )
    add(
        "--class-map",
        "--class_map",
        nargs="+",
        default=[],
        metavar="NUMBER=CLASS",
        help="the detector's classes (default: 15=cat 16=dog; 15=none drops one)",
    )
    add(
        "--min-confidence",
        "--min_confidence",
        type=float,
        default=0.25,
        help="detections below it are not considered (default: %(default)s)",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_numbers(args)
    from seglab.data.relabelling.inputs import gather_tasks, mask_folder
    from seglab.data.relabelling.job import Job, run_job
    from seglab.data.relabelling.store import Store
    from seglab.utils.bad_masks import read_bad_masks
    from seglab.utils.paths import resolve_input

    root = resolve_input(args.data_root)
    listed = read_bad_masks(resolve_input(args.bad_masks), root)
    mask_dir = mask_folder(listed, args.mask_dir)
    store = Store(args.output_dir)
    store.check(root, args.img_dir, mask_dir)
    job = Job(
        classes=tuple(args.classes),
        caches=tuple(map(resolve_input, args.predictions)),
        min_confidence=args.min_confidence,
        ignore_index=args.ignore_index,
        batch_size=args.batch_size,
    )
    tasks = gather_tasks(
        root, listed, args.img_dir, job.classes, job.caches, job.ignore_index, mask_dir
    )
    taken = read_bad_masks(resolve_input(args.accept), store.folder) if args.accept else []
    tools = load_tools(args, job)
    store.prepare({task.split for task in tasks})
    outcome = run_job(store, tasks, root / mask_dir, job, tools, taken)
    print_summary(outcome, store.folder)
    return 0


def check_numbers(args: argparse.Namespace) -> None:
    """Refuse what cannot work, before anything is read.

    Raises:
        UserError: Names every fault at once.
    """
    from seglab.utils.errors import UserError

    faults = []
    if not 0 < args.min_confidence < 1:
        faults.append(f"--min_confidence {args.min_confidence:g} is not between 0 and 1")
    if not 0 <= args.ignore_index <= 255:
        faults.append(f"--ignore_index {args.ignore_index} is no mask value (0 to 255)")
    if args.batch_size < 1:
        faults.append(f"--batch_size {args.batch_size} is no number of images")
    if not 2 <= len(args.classes) <= 255:
        faults.append("--classes: name the background and at least one class")
    if len(set(args.classes)) < len(args.classes):
        faults.append("--classes: a name stands there twice")
    if 0 <= args.ignore_index < len(args.classes):
        faults.append(f"--ignore_index {args.ignore_index} is the number of a class")
    if faults:
        raise UserError("; ".join(faults), "mend the command line")


def load_tools(args: argparse.Namespace, job: Job) -> Tools:
    """Load detector and segmenter as the command line names them.

    Raises:
        UserError: One of them, or both, cannot be had.
    """
    from seglab.data.detection import class_map_for, load_detector
    from seglab.data.relabelling.job import Tools
    from seglab.data.relabelling.segmenters import load_segmenter
    from seglab.utils.devices import choose_device
    from seglab.utils.errors import UserError

    class_map = class_map_for(job.classes, args.class_map)
    device = choose_device(args.device)

    def find() -> Detector:
        return load_detector(args.detector, class_map, device, job.min_confidence, job.batch_size)

    try:
        segmenter = load_segmenter(args.segmenter, args.segmenter_weights, class_map, device)
    except UserError as error:
        try:
            find()
        except UserError as other:
            raise UserError(f"{error}\n{other.message}", other.fix) from error
        raise
    return Tools(find(), segmenter, class_map)


def print_summary(outcome: Outcome, folder: Path) -> None:
    """Decisions and areas, a line each."""
    from seglab.data.relabelling.gate import DECISIONS
    from seglab.data.relabelling.job import area_totals

    total = len(outcome.records)
    if outcome.redone < total:
        print(f"{total - outcome.redone} of {total} masks were finished before with these settings")
    if outcome.forgotten:
        print(f"removed {outcome.forgotten} results of masks that are no longer listed")
    for decision in DECISIONS:
        count = sum(record["decision"] == decision for record in outcome.records)
        print(f"{decision:>10}  {count:5d} masks")
    for name, pixels in area_totals(outcome.records).items():
        print(f"{name:>10}  {pixels['before']:10,d} px before {pixels['after']:10,d} px after")
    if outcome.records:
        used = outcome.records[0]
        print(f"detector {used['detector']}, segmenter {used['segmenter']}")
    print(f"{outcome.masks} masks in {folder}; for a person: {folder / 'person.html'}")


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
