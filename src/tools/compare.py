"""Compare tested runs: `python src/tools/compare.py --runs H1 H2 --split val`."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.analysis.reading import READING
from seglab.utils.errors import UserError
from seglab.utils.paths import PROJECT_ROOT
from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from seglab.analysis.comparison import Comparison

MIN_RESAMPLES = 1000
#: More would take hours and gigabytes, and change no digit that is shown.
MAX_RESAMPLES = 1_000_000

EXAMPLES = """\
  python src/tools/compare.py --runs H1 H2 Exp1 --split val
  python src/tools/compare.py --runs experiments/reference/* --split val --seeds
  seglab compare --runs experiments/a/20260102_030405 experiments/b/20260103_030405 \\
      --output-dir reports/a_against_b
"""


def _description() -> str:
    """What the tool does, and how to read what it prints."""
    intro = (
        "Which hypothesis won, by how much, and could that be chance? Every run is compared with "
        "its parent where that is among the runs, else with the first one given. Runs that were "
        "scored on different images or labels are refused."
    )
    parts = [textwrap.fill(intro, 88)]
    for name, text in READING.items():
        parts.append(f"{name}:\n" + textwrap.indent(textwrap.fill(text, 84), "    "))
    return "\n\n".join(parts)


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab compare`."""
    parser = new_parser("compare", _description(), EXAMPLES)
    add_run_arguments(parser)
    parser.add_argument(
        "--force",
        action="store_true",
        help="compare runs scored on different images or labels all the same, on the images they "
        "share; every output is marked",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=PROJECT_ROOT / "reports" / "comparison",
        metavar="DIR",
        help="where comparison.json, .md and .png go (default reports/comparison)",
    )
    return parser


def add_run_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Which runs (`required`: they must be named), and how they are compared."""
    parser.add_argument(
        "--runs",
        nargs="+",
        required=required,
        metavar="RUN",
        help="run folders or hypothesis ids; of several runs the newest that was tested on the "
        "split is taken. In a run's folder its test_SPLIT is read, not test_SPLIT_NAME",
    )
    parser.add_argument(
        "--split",
        choices=("val", "test"),
        default="test",
        help="which split (default %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        action="store_true",
        help="take the runs of one hypothesis together, as its training seeds (an id: the newest "
        "run of every seed); intervals then cover seeds and images",
    )
    parser.add_argument(
        "--experiments",
        type=Path,
        default=PROJECT_ROOT / "experiments",
        metavar="DIR",
        help="where ids are looked up (default experiments)",
    )
    parser.add_argument(
        "--reference",
        metavar="ID",
        help="the hypothesis that stands in where a parent is not among the runs",
    )
    add_test_arguments(parser)


def add_test_arguments(parser: argparse.ArgumentParser) -> None:
    """How the runs are tested against each other."""
    parser.add_argument(
        "--resamples",
        type=int,
        default=10_000,
        metavar="N",
        help="resamples of the bootstrap, permutations of the test (default 10000)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed of the resampling (default 0)"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=1.0,
        metavar="POINTS",
        help="what counts as no difference where '=' is expected (default 1 point)",
    )


def comparison_of(args: argparse.Namespace, force: bool = False) -> Comparison:
    """Find the runs that a command line names, and compare them.

    Raises:
        UserError: They cannot be read or compared, or an option does not make sense.
    """
    from seglab.analysis.comparison import compare
    from seglab.analysis.run_search import find_runs

    check_test_arguments(args)
    return compare(
        find_runs(args.runs, args.split, args.experiments, args.seeds),
        by_seed=args.seeds,
        reference=args.reference,
        force=force,
        resamples=args.resamples,
        seed=args.seed,
        margin=args.margin,
    )


def check_test_arguments(args: argparse.Namespace) -> None:
    """Refuse options of `add_test_arguments` that make no sense.

    Raises:
        UserError: One does not.
    """
    if args.resamples < MIN_RESAMPLES:
        raise UserError(
            f"--resamples {args.resamples} is too few for an interval of 95 %",
            f"give at least {MIN_RESAMPLES}",
        )
    if args.resamples > MAX_RESAMPLES:
        raise UserError(
            f"--resamples {args.resamples} would change no digit that is shown",
            f"give at most {MAX_RESAMPLES}",
        )
    if args.seed < 0:
        raise UserError(f"--seed {args.seed} is negative", "give 0 or more")
    if not args.margin > 0:
        raise UserError(f"--margin {args.margin} is no distance", "give points above 0")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    comparison = comparison_of(args, args.force)
    # Only now: it takes matplotlib, and a refusal need not wait for that.
    from seglab.analysis.comparison_files import write_comparison

    # Written first: whoever pipes the output into `head` ends the program while it prints.
    paths = write_comparison(comparison, args.output_dir)
    print_comparison(comparison)
    print("\nwritten: " + " ".join(str(path) for path in paths))
    return 0


def print_comparison(comparison: Comparison) -> None:
    """Print a comparison's tables and sentences."""
    from seglab.analysis import comparison_tables as tables
    from seglab.utils.config_diff import format_change
    from seglab.utils.pretty_printer import print_key_values, print_paragraphs, print_table

    print_key_values("comparison", tables.facts(comparison))
    print_paragraphs("\nbeware", tables.cautions(comparison))
    title, header, cells = tables.figures_table(comparison)
    # The interval below its figure: a terminal is narrow.
    rows = [[(cell.text.replace(" [", "\n["), cell.best) for cell in row] for row in cells]
    print_table(f"\n{title}", header, rows)
    for pair in comparison.pairs:
        title, header, cells = tables.pair_table(comparison, pair)
        print_key_values(f"\n{title}", tables.hypothesis_facts(comparison, pair.after))
        changes = [format_change(change) for change in pair.changes]
        print_paragraphs("config", changes or ["nothing but the seed"])
        print_table("", header, cells)
        judged = [judgement.sentence for judgement in pair.verdict.judgements]
        verdict = f"verdict on {pair.after}: {tables.outcome_word(pair)}"
        print_paragraphs(verdict, [pair.verdict.sentence, *judged])
    print_paragraphs("\nwhat these images can show", tables.detectable_sentences(comparison))
    print_paragraphs("\nnotes", comparison.notes)


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
