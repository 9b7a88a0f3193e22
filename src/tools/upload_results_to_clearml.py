"""Send finished runs to ClearML: `python src/tools/upload_results_to_clearml.py --run RUN`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/upload_results_to_clearml.py --run experiments/lite/20260102_030405 --dry-run
  python src/tools/upload_results_to_clearml.py --run experiments/lite/20260102_030405
  python src/tools/upload_results_to_clearml.py session.zip --project my_project
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab upload-results-to-clearml`."""
    parser = new_parser(
        "upload-results-to-clearml",
        "Send runs that are on disk to a ClearML server: the training and each of its tests as a\n"
        "task, or any offline session of ClearML's SDK. Runs that nobody tracked are sent too.\n\n"
        "A second upload changes nothing and says so. One that broke off goes on where it\n"
        "stopped: run the same command again. The server is that of `clearml-init` or of\n"
        "CLEARML_API_HOST, CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY.",
        EXAMPLES,
    )
    parser.add_argument(
        "target", nargs="*", type=Path, metavar="PATH", help="a run's folder, or a session's zip"
    )
    parser.add_argument(
        "--run",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="runs to send, each with its tests",
    )
    parser.add_argument(
        "--session",
        nargs="+",
        type=Path,
        default=[],
        metavar="ZIP",
        help="offline sessions of ClearML's SDK (zip or folder)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only list what would go; uses no network"
    )
    parser.add_argument(
        "--project", metavar="NAME", help="project of new tasks (default: what the session names)"
    )
    parser.add_argument(
        "--anew",
        action="store_true",
        help="start a new task though there is one: it was deleted, or the server is another",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="send also what has no end: the run was killed or goes on, the session is torn",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not (args.target or args.run or args.session):
        parser.error("name what to send: --run DIR, or a session's zip")
    from seglab.utils.paths import resolve_input
    from seglab.utils.tracking.sdk_session import TASK_FILE
    from seglab.utils.tracking.upload import Options, upload

    targets = [resolve_input(path) for path in args.target]
    sessions = [path for path in targets if path.is_file() or (path / TASK_FILE).is_file()]
    runs = [path for path in targets if path not in sessions]
    return upload(
        [*runs, *map(resolve_input, args.run)],
        [*sessions, *map(resolve_input, args.session)],
        Options(args.project, args.anew, args.partial),
        args.dry_run,
    )


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
