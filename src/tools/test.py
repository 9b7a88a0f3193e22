"""Score a checkpoint: `python src/tools/test.py --config C --checkpoint K --split val`."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
  python src/tools/test.py --config RUN/config.py --checkpoint RUN/best_val_mDice_epoch_12.safetensors \\
      --split test
  seglab test --config configs/lite_fpn_effnetlite2_256x256.py --checkpoint K --split val \\
      --output-dir reports/lite_val --pictures 10 --rank-by Dice/dog
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
    add_device_argument(parser)
    add_tracking_argument(parser)
    add_preflight_argument(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seglab.utils.config_utils import load_config

    config = load_config(args.config, args.cfg_options, args.data_root)
    if not args.skip_preflight:
        check_before_compute(config, (args.split,))
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
    )
    folder = args.output_dir or default_output_dir(args.checkpoint, args.split)
    mode = announce_mode(args.tracking, folder)
    result = test(config, options)
    _summarise(result, args.checkpoint.name, args.split)
    track_test(result.output_dir, config, mode)
    return 0


def _summarise(result: TestResult, checkpoint: str, split: str) -> None:
    """Print the tables, whether the figures are optimistic, and where everything is."""
    from seglab.utils.pretty_printer import print_key_values, print_metrics

    print_metrics(result.metrics, result.classes, title=f"{checkpoint} on {split}")
    figures = {
        "mDice, mean over images": "image_mean/mDice",
        "mBoundaryIoU": "mBoundaryIoU",
        "mNSD": "mNSD",
        "mHD95 (pixels)": "mHD95",
        "ECE": "ECE",
        "ECE of object pixels": "ECE/objects",
    }
    shown = {name: result.metrics[key] for name, key in figures.items()}
    print_key_values(
        "\nbeside the summed pixels",
        {name: "-" if math.isnan(value) else f"{value:.2f}" for name, value in shown.items()},
    )
    if result.selected_on == split:
        print(f"\nthe checkpoint was chosen on {split}: its figures there are optimistic")
    print(f"\nmetrics and {len(result.pictures)} pictures: {result.output_dir}")


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
