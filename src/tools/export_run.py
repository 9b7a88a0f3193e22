"""Copy a run's light form: `python src/tools/export_run.py --run RUN --output-dir DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/export_run.py --run experiments/lite/20260102_030405 \\
      --output-dir experiments/reference/lite
  git add -f experiments/reference/lite
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab export-run`."""
    parser = new_parser(
        "export-run",
        "Copy the light form of a run, to be committed: the resolved config, the record, the\n"
        "history, and of every split it was tested on (test_SPLIT) the figures, the matrices of\n"
        "every image, the hashes and the charts. `compare` and `report` need no more.\n\n"
        "Weights and photographs stay behind. Absolute paths become relative to the project, or\n"
        "DATA_ROOT/..., or the file's name; names of users and of the host are taken out.",
        EXAMPLES,
    )
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="the run's folder, tested"
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="a new folder; nothing is ever overwritten",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seglab.analysis.export import export_run
    from seglab.utils.paths import resolve_input

    paths = export_run(resolve_input(args.run), args.output_dir)
    size = sum(path.stat().st_size for path in paths)
    print(f"{len(paths)} files, {size / 1024:.0f} KiB: {args.output_dir}")
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
