"""Which masks are bad? Out-of-fold training, scores and the ranked list in one command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seglab.data.audit import (
    add_detector_arguments,
    add_output_arguments,
    audit_and_write,
    check_outputs,
    chosen_detector,
)
from seglab.tools.common import add_config_arguments, add_device_argument
from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/audit.py --config configs/lite_fpn_effnetlite2_256x256.py
  seglab audit --config configs/lite_fpn_effnetlite2_256x256.py --folds 3 --epochs 10 \\
      --write-bad-masks 25
  seglab audit --config configs/lite_fpn_effnetlite2_256x256.py --seeds 0 1
  seglab audit --config configs/lite_fpn_effnetlite2_256x256.py --detector yolov8x-seg.pt
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab audit`."""
    parser = new_parser(
        "audit",
        "Rank the train masks of a config, the most suspicious first. Each mask is judged by a\n"
        "model that was trained on the other folds, for a fixed short schedule. Finished\n"
        "predictions are kept and not made again; src/data/audit.py judges from them alone.",
        EXAMPLES,
    )
    add_config_arguments(parser)
    add_device_argument(parser)
    add = parser.add_argument
    add("--folds", type=int, default=5, help="number of folds (default: %(default)s)")
    add("--epochs", type=int, default=12, help="epochs of each fold (default: %(default)s)")
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        help="seeds; predictions of several are averaged (default: 0)",
    )
    add(
        "--cache-dir",
        type=Path,
        default=Path("supplementary/oof"),
        metavar="DIR",
        help="where the predictions are kept (default: %(default)s)",
    )
    add_detector_arguments(parser)
    add_output_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_outputs(args)
    from seglab.data.auditing.job import AuditInput
    from seglab.data.auditing.photographs import find_photographs, list_samples
    from seglab.data.preflight.folders import find_folders
    from seglab.mmseg_custom.engine.out_of_fold import FoldOptions, predict_out_of_fold
    from seglab.utils.config_utils import class_names, load_config
    from seglab.utils.errors import UserError

    config = load_config(args.config, args.cfg_options, args.data_root)
    node = config.train_dataloader.dataset
    if args.epochs < 1:
        raise UserError(f"--epochs {args.epochs}", "give a number from 1 on")
    if args.split != node.get("split"):
        raise UserError(
            f"--split {args.split}: the config trains on {node.get('split')}",
            "only masks that are trained on can be predicted out of fold",
        )
    detector = chosen_detector(args, class_names(config))
    photographs = find_photographs(list_samples(find_folders(config, "train")[0][0]))
    together = [group.files for group in photographs]
    caches = tuple(
        predict_out_of_fold(
            config,
            args.cache_dir,
            FoldOptions(args.folds, args.epochs, seed, args.device),
            together,
        )
        for seed in dict.fromkeys(args.seeds)
    )
    asked = AuditInput(
        Path(node.data_root),
        args.split,
        node.get("img_dir", "img"),
        node.get("mask_dir", "labels"),
        caches,
        detector=detector,
    )
    return audit_and_write(asked, args)


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
