"""Check a config and its data before any compute: `python src/tools/check.py --config C`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from seglab.tools.common import add_config_arguments
from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/check.py --config configs/lite_fpn_effnetlite2_256x256.py
  seglab check --config configs/h1_deeplabv3plus_r50_d8_256x256.py --data-root data/pets_coco
  seglab check --list
"""


class _ListKinds(argparse.Action):
    """`--list`: print the table of findings and exit, without needing a config."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and exit."""
        from seglab.data.preflight import describe_kinds

        print(describe_kinds())
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab check`."""
    parser = new_parser(
        "check",
        "Look for everything that would spoil a run, in the data and in the config, and report\n"
        "all of it at once. `train` and `test` do this first. Exit code 2 if a fault was found.",
        EXAMPLES,
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--splits",
        nargs="+",
        choices=("train", "val", "test"),
        default=["train", "val"],
        help="splits to check (default train val)",
    )
    parser.add_argument(
        "--all-files",
        action="store_true",
        help="name every file of a finding (default: the first five and how many more)",
    )
    parser.add_argument(
        "--list", nargs=0, action=_ListKinds, help="print every finding there is, and exit"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seglab.data.preflight import raise_on_faults, report, run_preflight
    from seglab.utils.config_utils import load_config

    config = load_config(args.config, args.cfg_options, args.data_root)
    findings = run_preflight(config, args.splits)
    raise_on_faults(findings, args.all_files)
    print(
        report(findings, args.all_files) if findings else "nothing found: config and data are ready"
    )
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
