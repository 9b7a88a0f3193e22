"""Write the report of tested runs: `python src/tools/report.py --runs H1 H2`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seglab.tools.common import REFERENCE, REFERENCES
from seglab.tools.compare import add_run_arguments, comparison_of
from seglab.utils.errors import UserError
from seglab.utils.paths import PROJECT_ROOT, resolve_input
from seglab.utils.result_files import METRICS_FILE
from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/report.py
  python src/tools/report.py --runs H1 H2 Exp1 --split test --title "Cats and dogs"
  seglab report --runs experiments/reference/* --seeds --output-dir reports
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab report`."""
    parser = new_parser(
        "report",
        "Write the report: data, one section for each hypothesis, comparison with intervals and\n"
        "verdicts, the chosen model and why, typical errors, next steps. As Markdown and as one\n"
        "HTML page with its pictures inside. Every figure is looked up in the run folders.\n\n"
        "Without --runs: the newest tested run of every folder under experiments/, or, where\n"
        "there is none, the runs under experiments/reference.",
        EXAMPLES,
    )
    add_run_arguments(parser, required=False)
    parser.set_defaults(split="val")
    parser.add_argument(
        "--data-root",
        "--data_root",
        type=Path,
        metavar="DIR",
        help="folder with img/ and labels/ to describe (default: the one the first run was "
        "scored on, if it is there)",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=PROJECT_ROOT / "reports",
        metavar="DIR",
        help="where practicum_report.md, .html and its pictures go (default reports)",
    )
    parser.add_argument("--title", help="title of the document")
    parser.add_argument(
        "--force",
        action="store_true",
        help="report on runs scored on different images or labels all the same, on the images "
        "they share; the report is marked",
    )
    return parser


def default_runs(experiments: Path, split: str) -> list[Path]:
    """The folders to report on when none is named: a user's runs, or else the reference ones.

    Args:
        experiments: The folder of runs.
        split: They must have been tested on it.

    Raises:
        UserError: There is no tested run.
    """
    root = resolve_input(experiments)
    children = sorted(root.iterdir()) if root.is_dir() else []
    own = [child for child in children if child.name not in REFERENCES]
    shipped = root / REFERENCE
    for folders in (own, sorted(shipped.iterdir()) if shipped.is_dir() else []):
        found = [f for f in folders if any(f.rglob(f"test_{split}/{METRICS_FILE}"))]
        if found:
            return found
    raise UserError(
        f"no run under {root} was tested on {split}",
        "train and test one first, or name runs with --runs or another folder with --experiments",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    args.runs = args.runs or default_runs(args.experiments, args.split)
    from seglab.analysis.report.build import TITLE, write_report

    files = write_report(
        comparison_of(args, args.force),
        args.output_dir,
        title=args.title or TITLE,
        data_root=args.data_root,
        exploration_dir=PROJECT_ROOT / "supplementary" / "viz" / "eda",
    )
    print(f"written: {files.markdown} {files.page} {files.pictures}")
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
