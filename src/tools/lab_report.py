"""Write the report of the lab's study: `python src/tools/lab_report.py`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seglab.tools.common import LAB_REFERENCE, REFERENCES
from seglab.tools.compare import add_test_arguments, check_test_arguments
from seglab.utils.errors import UserError
from seglab.utils.paths import PROJECT_ROOT, resolve_input
from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/lab_report.py
  python src/tools/lab_report.py --runs U-Lite U-Lite+ Lab-CNN Lab-CNN+
  seglab lab-report --runs experiments/reference_lab/* --output-dir reports
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab lab-report`."""
    parser = new_parser(
        "lab-report",
        "Write the report of the study on Oxford-IIIT Pet: how it is scored, and what the lab's\n"
        "way of scoring makes of it; baselines, hypotheses, improved models, the hand-written\n"
        "network, conclusions. As Markdown and as one HTML page. Every figure is looked up in the\n"
        "run folders; runs of one hypothesis are taken together as its training seeds.\n\n"
        "Without --runs: your newest tested run of every seed of the study's configs (those whose\n"
        "hypothesis states a stage), or, where there is none, those of experiments/reference_lab.",
        EXAMPLES,
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        metavar="RUN",
        help="run folders or hypothesis ids; of an id the newest run of every seed",
    )
    parser.add_argument(
        "--split",
        choices=("val", "test"),
        default="test",
        help="which split (default %(default)s)",
    )
    parser.add_argument(
        "--experiments",
        type=Path,
        default=PROJECT_ROOT / "experiments",
        metavar="DIR",
        help="where runs are looked up (default experiments)",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=PROJECT_ROOT / "reports",
        metavar="DIR",
        help="where lab_report.md, .html and its pictures go (default reports)",
    )
    parser.add_argument("--title", help="title of the document")
    add_test_arguments(parser)
    return parser


def default_runs(experiments: Path, split: str, ids: Sequence[str]) -> list[Path]:
    """The folders to report on when none is named: a user's runs, or else the reference ones.

    Args:
        experiments: The folder of runs.
        split: They must have been tested on it.
        ids: The hypotheses of the study.

    Raises:
        UserError: There is no tested run.
    """
    from seglab.analysis.run_search import newest_runs

    root = resolve_input(experiments)
    children = sorted(root.iterdir()) if root.is_dir() else []
    own = [child for child in children if child.name not in REFERENCES]
    for folders in (own, [root / LAB_REFERENCE]):
        found = newest_runs(folders, split, ids)
        if found:
            return found
    raise UserError(
        f"no run of the study under {root} was tested on {split}",
        "train and test configs/unet_lite.py first, or name runs with --runs or another folder "
        "with --experiments",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_test_arguments(args)
    from seglab.analysis.lab.build import TITLE, write_lab_report
    from seglab.analysis.lab.story import tell_story
    from seglab.analysis.lab.study import read_study
    from seglab.analysis.run_search import find_runs

    study = read_study()
    ids = [config.hypothesis.id for config in study]
    names = args.runs or default_runs(args.experiments, args.split, ids)
    story = tell_story(
        find_runs(names, args.split, args.experiments, every_seed=True),
        study,
        resamples=args.resamples,
        seed=args.seed,
        margin=args.margin,
    )
    files = write_lab_report(story, args.output_dir, args.title or TITLE)
    print(f"written: {files.markdown} {files.page} {files.pictures}")
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
