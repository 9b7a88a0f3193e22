"""Segment any images: `python src/tools/predict.py --config C --checkpoint K --input FOLDER`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seglab.tools.common import (
    add_checkpoint_argument,
    add_config_arguments,
    add_device_argument,
)
from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/predict.py --config RUN/config.json \\
      --checkpoint RUN/best_val_mDice_epoch_12.safetensors --input photos/ cat.jpg \\
      --output-dir predictions
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab predict`."""
    parser = new_parser(
        "predict",
        "Segment images. Writes masks/NAME.png (one 8-bit channel, pixel value = class number)\n"
        "and overlays/NAME.png for each image, at the image's own size. Folders are searched\n"
        "with their subfolders.",
        EXAMPLES,
    )
    add_config_arguments(parser)
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--input", required=True, nargs="+", type=Path, metavar="PATH", help="images or folders"
    )
    parser.add_argument(
        "--output-dir",
        required=True,
        type=Path,
        metavar="DIR",
        help="where masks/ and overlays/ go",
    )
    parser.add_argument(
        "--native-size",
        action="store_true",
        help="run images at their own size instead of the size the model was trained at",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    add_device_argument(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seglab.utils.config_utils import load_config

    config = load_config(args.config, args.cfg_options, args.data_root)
    from seglab.mmseg_custom.engine.prediction import find_images, predict_images

    images = find_images(args.input, args.output_dir)
    count = predict_images(
        config,
        args.checkpoint,
        images,
        args.output_dir,
        device=args.device,
        native_size=args.native_size,
        overwrite=args.overwrite,
        trust=args.trust_checkpoint,
    )
    print(
        f"{count} masks in {args.output_dir / 'masks'}, overlays in {args.output_dir / 'overlays'}"
    )
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
