"""Choose a threshold on val: `python src/tools/choose_threshold.py --config C --checkpoint K`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seglab.tools.common import (
    add_checkpoint_argument,
    add_config_arguments,
    add_device_argument,
    add_preflight_argument,
    check_before_compute,
    tool_command,
)
from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/choose_threshold.py --config RUN/config.json \\
      --checkpoint RUN/best_val_mDice_epoch_12.safetensors
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab choose-threshold`."""
    parser = new_parser(
        "choose-threshold",
        "For a model with one logit for two classes: the probability above which a pixel is\n"
        "foreground, chosen by Dice over val's summed pixels (IoU has its maximum there too).\n"
        "The config's is 0.5 unless it says otherwise. Writes threshold.json and prints how to\n"
        "test with it. The figures of val are then optimistic; those of test are not.",
        EXAMPLES,
    )
    add_config_arguments(parser)
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where the choice goes (default: threshold.json beside the checkpoint)",
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
        check_before_compute(config, ("val",))
    from seglab.mmseg_custom.engine.threshold import choose_threshold
    from seglab.utils.io_utils import require_writable, write_json

    output = args.output or args.checkpoint.parent / "threshold.json"
    require_writable(output.parent, "--output")
    trust = args.trust_checkpoint
    choice = choose_threshold(config, args.checkpoint, args.device, trust).to_dict()
    write_json(output, {"checkpoint": args.checkpoint.name, "split": "val", **choice})
    _summarise(choice, args, output)
    return 0


def _summarise(choice: Mapping[str, Any], args: argparse.Namespace, output: Path) -> None:
    from seglab.utils.pretty_printer import print_key_values

    rows = {"default": "", "chosen": ", best"}
    print_key_values(
        f"foreground on val, {choice['images']} images",
        {
            "threshold {threshold:.2f}".format(**choice[name]) + note: (
                "Dice {Dice:.2f}  IoU {IoU:.2f}".format(**choice[name])
            )
            for name, note in rows.items()
        },
    )
    # The plus: a config may leave the threshold to its default.
    setting = f"+model.decode_head.threshold={choice['threshold']}"
    command = tool_command(
        *("test", "--config", args.config, "--checkpoint", args.checkpoint),
        *("--split", "test", "--cfg-options", setting),
    )
    print(f"\nchoice: {output}\nto test with it: {command}")


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
