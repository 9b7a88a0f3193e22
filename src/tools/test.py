"""Score a checkpoint: `python src/tools/test.py --config C --checkpoint K --split val`."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seglab.tools.common import (
    add_checkpoint_argument,
    add_config_arguments,
    add_device_argument,
    add_preflight_argument,
    add_tracking_argument,
    check_before_compute,
)
from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from seglab.mmseg_custom.engine.testing import TestResult

EXAMPLES = """\
  python src/tools/test.py --config RUN/config.json \\
      --checkpoint RUN/best_val_mDice_epoch_12.safetensors --split test
  seglab test --config configs/lite_fpn_effnetlite2_256x256.py --checkpoint K --split val \\
      --output-dir reports/lite_val --pictures 10 --rank-by Dice/dog
  seglab test --config RUN/config.json --checkpoint K --split test --reproduce-lab
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab test`."""
    parser = new_parser(
        "test",
        "Score a checkpoint on a split: aAcc, mIoU, mAcc, mDice and each class, over the split's\n"
        "summed pixels and as the mean over images; contours (Boundary IoU, HD95, NSD);\n"
        "calibration. Writes test_metrics.json, per_image.csv, image_results.npz,\n"
        "provenance.json (experiments/README.md says what is in each), the confusion matrix, the\n"
        "reliability diagram, the distribution over the images, and the best and worst\n"
        "predictions as panels (image, truth, prediction, error map).",
        EXAMPLES,
    )
    add_config_arguments(parser)
    add_checkpoint_argument(parser)
    _add_score_arguments(parser)
    add_device_argument(parser)
    add_tracking_argument(parser)
    add_preflight_argument(parser)
    return parser


def _add_score_arguments(parser: argparse.ArgumentParser) -> None:
    """What is scored, what is drawn, and where it goes."""
    parser.add_argument(
        "--split", choices=("val", "test"), default="test", help="which split (default test)"
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="DIR",
        help="where results go (default: test_SPLIT beside the checkpoint)",
    )
    parser.add_argument(
        "--pictures",
        type=int,
        default=5,
        metavar="N",
        help="draw the N best and N worst images (default 5; 0 draws none)",
    )
    parser.add_argument(
        "--rank-by",
        default="mDice",
        metavar="KEY",
        help="the figure of an image that makes it best or worst: a column of per_image.csv, "
        "e.g. Dice/dog or HD95/dog (default mDice)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the results of another checkpoint or split in --output-dir",
    )
    parser.add_argument(
        "--reproduce-lab",
        action="store_true",
        help="also score the way the lab on Oxford-IIIT Pet did (its training images, augmented, "
        "border as background, averaged over batches) and each step between, into "
        "lab_scores.json",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seglab.utils.config_utils import load_config

    config = load_config(args.config, args.cfg_options, args.data_root)
    if args.reproduce_lab:
        from seglab.utils.lab_scores import require_lab_config

        require_lab_config(config, args.split)
    if not args.skip_preflight:
        train = ("train",) if args.reproduce_lab else ()
        check_before_compute(config, (args.split, *train))
    from seglab.mmseg_custom.engine.result_folder import default_output_dir
    from seglab.mmseg_custom.engine.testing import TestOptions, test
    from seglab.mmseg_custom.engine.tracking import announce_mode, track_test

    options = TestOptions(
        checkpoint=args.checkpoint,
        split=args.split,
        output_dir=args.output_dir,
        device=args.device,
        pictures=max(args.pictures, 0),
        rank_by=args.rank_by,
        overwrite=args.overwrite,
        command=sys.argv if argv is None else ["seglab", "test", *argv],
        reproduce_lab=args.reproduce_lab,
        trust_checkpoint=args.trust_checkpoint,
    )
    folder = args.output_dir or default_output_dir(args.checkpoint, args.split)
    mode = announce_mode(args.tracking, folder)
    result = test(config, options)
    _summarise(result, args.checkpoint.name, args.split)
    track_test(result.output_dir, config, mode)
    return 0


def _summarise(result: TestResult, checkpoint: str, split: str) -> None:
    """Print the tables, whether the figures are optimistic, and where everything is."""
    from seglab.utils.lab_scores import honest_figures
    from seglab.utils.pretty_printer import print_key_values, print_metrics

    print_metrics(result.metrics, result.classes, title=f"{checkpoint} on {split}")
    if len(result.classes) == 2:  # the foreground is what such a model is about
        name = result.classes[1]
        labels = ("IoU", "IoU, mean over images", "pixel accuracy")
        values = honest_figures(result.metrics, name).values()
        print_key_values(f"\n{name}", dict(zip(labels, map(_shown, values), strict=True)))
    figures = {
        "mDice, mean over images": "image_mean/mDice",
        "mBoundaryIoU": "mBoundaryIoU",
        "mNSD": "mNSD",
        "mHD95 (pixels)": "mHD95",
        "ECE": "ECE",
        "ECE of object pixels": "ECE/objects",
    }
    shown = {name: _shown(result.metrics[key]) for name, key in figures.items()}
    print_key_values("\nbeside the summed pixels", shown)
    if result.lab_scores is not None:
        _print_lab_scores(result.lab_scores)
    if result.selected_on == split:
        print(f"\nthe checkpoint was chosen on {split}: its figures there are optimistic")
    print(f"\nmetrics and {len(result.pictures)} pictures: {result.output_dir}")


def _shown(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _print_lab_scores(scores: Mapping[str, Any]) -> None:
    """Print the honest score, the lab's, and the steps between, each with what it changes."""
    from seglab.utils.lab_scores import FIGURES, describe_row
    from seglab.utils.pretty_printer import print_table

    print_table(
        f"\n{scores['class']}, from the honest score to the lab's, one change a row",
        ("scored", "images", "IoU", "image mean", "accuracy"),
        [
            [
                (describe_row(scores, index), False),
                (str(row["images"]), False),
                *((_shown(row[key]), False) for key in FIGURES),
            ]
            for index, row in enumerate(scores["rows"])
        ],
    )


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
