"""Score a checkpoint: `python src/tools/test.py --config C --checkpoint K --split val`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from seglab.tools.common import (
    add_checkpoint_argument,
    add_config_arguments,
    add_device_argument,
    add_preflight_argument,
    check_before_compute,
)
from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/test.py --config RUN/config.py --checkpoint RUN/best_val_mDice_epoch_12.pth \\
      --split test
  seglab test --config configs/lite_fpn_effnetlite2_256x256.py --checkpoint K --split val \\
      --output-dir reports/lite_val --pictures 10
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab test`."""
    parser = new_parser(
        "test",
        "Score a checkpoint on a split: aAcc, mIoU, mAcc, mDice and each class, over the\n"
        "split's summed pixels. Writes test_metrics.json, the confusion matrix, and the best\n"
        "and worst predictions as panels (image, truth, prediction, error map).",
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
    add_device_argument(parser)
    add_preflight_argument(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seglab.utils.config_utils import load_config

    config = load_config(args.config, args.cfg_options, args.data_root)
    if not args.skip_preflight:
        check_before_compute(config, (args.split,))
    from seglab.mmseg_custom.engine.testing import TestOptions, test
    from seglab.utils.pretty_printer import print_metrics

    options = TestOptions(
        checkpoint=args.checkpoint,
        split=args.split,
        output_dir=args.output_dir,
        device=args.device,
        pictures=max(args.pictures, 0),
        command=sys.argv if argv is None else ["seglab", "test", *argv],
    )
    result = test(config, options)
    print_metrics(result.metrics, result.classes, title=f"{args.checkpoint.name} on {args.split}")
    print(f"\nmetrics and {len(result.pictures)} pictures: {result.output_dir}")
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
