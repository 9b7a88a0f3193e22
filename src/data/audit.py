"""Which masks are bad? Rank them from cached out-of-fold predictions and rules."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.utils.errors import visible
from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from seglab.data.auditing.job import AuditInput
    from seglab.data.detection import Detector

DESCRIPTION = """\
Rank the masks of a split, the most suspicious first, from out-of-fold predictions that exist and
from rules. Make the predictions, or do all in one, with `seglab audit --config CONFIG`
(src/tools/audit.py); without --predictions only the rules judge.

what it writes
  OUT/audit.json             every mask: score, reasons, regions as boxes
  OUT/audit.html             the worst masks with their pictures, in one file, with tick boxes:
                             a person ticks the bad ones and downloads bad_mask_paths.json
  OUT/bad_mask_paths.json    with --write-bad-masks: the top of the list
"""
EXAMPLES = """\
  python src/data/audit.py --data-root data/pets_coco --predictions supplementary/oof/0123456789ab
  python src/data/audit.py --data-root data/pets_coco --predictions supplementary/oof/0123456789ab \
      --detector yolov8x-seg.pt --write-bad-masks 25
  python src/data/audit.py --data-root data/toy_faulty --output-dir supplementary/audit_rules
"""


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """What this program and `seglab audit` share: where masks are and what is written."""
    add = parser.add_argument
    add("--split", default="train", help="the split to judge (default: %(default)s)")
    add(
        "--output-dir",
        type=Path,
        default=Path("supplementary/audit"),
        metavar="DIR",
        help="where the files go (default: %(default)s)",
    )
    add("--shown", type=int, default=60, help="masks on the page (default: %(default)s)")
    add(
        "--write-bad-masks",
        type=int,
        nargs="?",
        const=25,
        metavar="N",
        help="write the first N (25) of the list to bad_mask_paths.json; masks in which nothing "
        "was found are left out",
    )
    add("--overwrite", action="store_true", help="replace a bad_mask_paths.json that exists")


def add_detector_arguments(parser: argparse.ArgumentParser) -> None:
    """`--detector` and the table of its classes, for a second opinion."""
    add = parser.add_argument
    add(
        "--detector",
        metavar="WEIGHTS",
        help="ask a detector for a second opinion: yolov8x-seg.pt, another official name, or a "
        ".pt or .onnx file of YOLOv8 (needs `make curation`); weights that segment tell more",
    )
    add(
        "--detector-classes",
        nargs="+",
        default=[],
        metavar="N=CLASS",
        help="which of the detector's classes is which of yours (default: 15=cat 16=dog, COCO's)",
    )


def chosen_detector(
    args: argparse.Namespace, classes: Sequence[str], device: str = "auto"
) -> Detector | None:
    """The detector that the arguments ask for.

    Raises:
        UserError: It cannot be had.
    """
    if not args.detector:
        return None
    from seglab.data.auditing.second_opinion import load_audit_detector

    return load_audit_detector(args.detector, classes, args.detector_classes, device)


def build_parser() -> argparse.ArgumentParser:
    """The command line of this program."""
    parser = new_parser("audit-masks", DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("--data-root", "--data_root", type=Path, required=True, help="holds img/ and labels/")
    add("--img-dir", default="img", help="image folder in it (default: %(default)s)")
    add("--mask-dir", default="labels", help="mask folder in it (default: %(default)s)")
    add(
        "--predictions",
        type=Path,
        nargs="+",
        default=[],
        metavar="CACHE",
        help="folders of out-of-fold predictions; of several the mean is taken",
    )
    add(
        "--ignore-index",
        type=int,
        default=255,
        metavar="N",
        help="label value of pixels that are not judged (default: %(default)s)",
    )
    add_detector_arguments(parser)
    add_output_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_outputs(args)
    from seglab.data.auditing.job import AuditInput
    from seglab.utils.errors import UserError
    from seglab.utils.prediction_cache import read_index

    if args.detector and not args.predictions:
        raise UserError(
            "--detector gives a second opinion on predictions, and there are none",
            "give --predictions, or make them with `seglab audit --config CONFIG`",
        )
    classes = read_index(args.predictions[0]).classes if args.predictions else ()
    asked = AuditInput(
        args.data_root,
        args.split,
        args.img_dir,
        args.mask_dir,
        tuple(args.predictions),
        ignore_index=args.ignore_index,
        detector=chosen_detector(args, classes),
    )
    return audit_and_write(asked, args)


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse what could not be written, before anything is computed.

    Raises:
        UserError: The folder cannot be written, or holds a `bad_mask_paths.json`, on which a
            person may have worked; or arguments contradict one another.
    """
    from seglab.utils.bad_masks import BAD_MASKS_FILE, require_free
    from seglab.utils.errors import UserError
    from seglab.utils.io_utils import require_writable

    if args.write_bad_masks is not None and args.write_bad_masks < 1:
        raise UserError(f"--write-bad-masks {args.write_bad_masks}", "give a number from 1 on")
    if args.detector_classes and not args.detector:
        raise UserError("--detector-classes without --detector", "name the detector's weights")
    if args.write_bad_masks:
        require_free(args.output_dir / BAD_MASKS_FILE, args.overwrite)
    require_writable(args.output_dir, "--output-dir")


def audit_and_write(asked: AuditInput, args: argparse.Namespace) -> int:
    """Judge the masks and write what the output arguments ask for.

    Args:
        asked: Masks and predictions.
        args: Holds what `add_output_arguments` added.
    """
    from seglab.data.auditing.job import run_audit
    from seglab.data.auditing.report import bad_masks_of, summary, write_audit
    from seglab.utils.bad_masks import BAD_MASKS_FILE, write_bad_masks

    result = run_audit(asked)
    written = write_audit(args.output_dir, asked, result, max(args.shown, 0))
    if args.write_bad_masks:
        path = args.output_dir / BAD_MASKS_FILE
        listed = [mask for mask in bad_masks_of(asked, result, args.write_bad_masks) if mask.score]
        if listed:
            written.append(write_bad_masks(path, listed, args.overwrite))
        else:
            print(f"nothing was found in any mask: {path} was not written")
    print(visible(summary(result.verdicts, 10)))
    print("written: " + ", ".join(map(str, written)))
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
