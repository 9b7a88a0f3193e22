"""List the local runs: `python src/tools/runs.py`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from seglab.utils.errors import UserError
from seglab.utils.paths import PROJECT_ROOT
from seglab.utils.script import new_parser

SORTS = ("began", "best", "id")

EXAMPLES = """\
  python src/tools/runs.py
  python src/tools/runs.py --hypothesis Lite H1 --sort best --limit 5
  python src/tools/runs.py --json | jq '.[] | select(.status == "failed").folder'
  python src/tools/runs.py --tensorboard            # curves and pictures in the browser
  python src/tools/runs.py --tensorboard --no-serve --logdir logs
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab runs`."""
    parser = new_parser(
        "runs",
        "List the runs on this machine: what each tests, how it ended, its best figure, its\n"
        "tests, and where it is tracked. Needs no server. A damaged run is listed with its\n"
        "fault; `silent` is a run that never said how it ended and writes nothing any more.\n\n"
        "A test's figure is mDice; a star marks one on the split that chose the checkpoint, which\n"
        "is optimistic. `tracked` is off; offline (send it with\n"
        "`seglab upload-results-to-clearml`); partly sent; or sent, with server and task.",
        EXAMPLES,
    )
    parser.add_argument(
        "--experiments",
        type=Path,
        default=PROJECT_ROOT / "experiments",
        metavar="DIR",
        help="where runs are looked for, in all folders below (default experiments)",
    )
    parser.add_argument(
        "--hypothesis",
        nargs="+",
        default=[],
        metavar="ID",
        help="only the runs of these hypotheses, by id or by the config's name",
    )
    parser.add_argument(
        "--sort",
        choices=SORTS,
        default="began",
        help="newest first (began, the default), best first, or by hypothesis (id)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="the first N only")
    parser.add_argument("--json", action="store_true", help="print JSON, for other programs")
    _add_tensorboard_arguments(parser)
    return parser


def _add_tensorboard_arguments(parser: argparse.ArgumentParser) -> None:
    board = parser.add_argument_group("TensorBoard")
    board.add_argument(
        "--tensorboard",
        action="store_true",
        help="write the listed runs' curves and pictures as TensorBoard's files, and show them "
        "until Ctrl-C (needs `pip install -r requirements-tensorboard.txt`)",
    )
    board.add_argument(
        "--logdir",
        type=Path,
        default=PROJECT_ROOT / ".cache" / "tensorboard",
        metavar="DIR",
        help="where these files go (default .cache/tensorboard)",
    )
    board.add_argument(
        "--port", type=int, metavar="N", help="of 127.0.0.1 (default 6006, or the next free one)"
    )
    board.add_argument("--no-serve", action="store_true", help="write the files only")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    if args.limit is not None and args.limit < 1:
        raise UserError(f"--limit {args.limit} lists nothing", "give 1 or more")
    if args.json and args.tensorboard:
        raise UserError("--json and --tensorboard exclude each other", "give one of them")
    from seglab.analysis.run_overview import list_runs
    from seglab.utils.paths import resolve_input

    experiments = resolve_input(args.experiments)
    rows = list_runs(experiments, args.hypothesis, args.sort, args.limit)
    if args.json:
        from seglab.analysis.run_table import row_record
        from seglab.utils.io_utils import to_plain

        print(json.dumps(to_plain([row_record(row) for row in rows]), indent=2))
        return 0
    if args.tensorboard and rows:
        from seglab.analysis.tensorboard_logs import serve, write_logs

        write_logs(rows, experiments, args.logdir)
        if args.no_serve:
            print(f"written: {args.logdir}\nlook at it: tensorboard --logdir {args.logdir}")
        else:
            serve(args.logdir, args.port)
        return 0
    from seglab.analysis.run_table import print_rows

    print_rows(rows, experiments)
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
