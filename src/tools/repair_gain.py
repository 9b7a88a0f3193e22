"""Did repairing the masks help? Train on old and on repaired masks, and compare."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.tools.common import (
    add_config_arguments,
    add_device_argument,
    add_preflight_argument,
    add_tracking_argument,
    tool_command,
)
from seglab.utils.errors import UserError
from seglab.utils.paths import PROJECT_ROOT
from seglab.utils.script import INTERRUPTED, new_parser

if TYPE_CHECKING:
    from seglab.analysis.comparison import Comparison
    from seglab.analysis.run_folder import Run
    from seglab.data.exploration.mask_change import MaskChange
    from seglab.tools.gain.runs import PlannedRun
    from seglab.utils.tracking.mode import Mode

DESCRIPTION = """\
Did repairing the masks help? Trains a config on its own train masks and on those of --masks, with
the same seeds, scores every run on labels that nobody touched, and says what was found, whichever
way it goes. The two sides differ in train_dataloader.dataset.mask_dir and in nothing else.

Expect a small effect: two seeds or more, or the luck of one training is all that is seen.

Runs that are finished are recognised by their own record (same config, seed and data) and not
done again; an interrupted one goes on. So the same command, given again, finishes the work. Runs
may also be trained beforehand, on several machines say: --dry-run writes the configs and prints
the command of each.

what it writes
  OUT/ID.py                  the two configs; the second inherits the first
  OUT/ID/seed_N/             a run as `seglab train` leaves it, with its test_SPLIT
  OUT/comparison.*           what `seglab compare --seeds` writes: .md, .json, .png
  OUT/repair_gain.json, .md  the finding, also seed by seed, and how the masks differ
"""
EXAMPLES = """\
  python src/tools/repair_gain.py --config configs/lite_fpn_effnetlite2_256x256.py \\
      --masks labels_sam2
  seglab repair-gain --config configs/lite_fpn_effnetlite2_256x256.py --masks labels_sam2 \\
      --seeds 0 1 2 --split test --output-dir experiments/repair_gain_test
  seglab repair-gain --config configs/lite_fpn_effnetlite2_256x256.py --masks labels_sam2 --dry-run
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab repair-gain`."""
    parser = new_parser("repair-gain", DESCRIPTION, EXAMPLES)
    add_config_arguments(parser)
    add = parser.add_argument
    add(
        "--masks",
        required=True,
        metavar="DIR",
        help="the repaired masks: DIR/train/*.png, from the data root or the current folder",
    )
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1],
        metavar="N",
        help="seeds of the trainings, the same on both sides (default: 0 1)",
    )
    add("--split", choices=("val", "test"), default="val", help="scored on it (default: val)")
    add(
        "--output-dir",
        type=Path,
        default=PROJECT_ROOT / "experiments" / "repair_gain",
        metavar="DIR",
        help="where everything goes (default: experiments/repair_gain)",
    )
    add("--dry-run", action="store_true", help="check, write the configs, print what is to be run")
    add_device_argument(parser)
    add_tracking_argument(parser)
    add_preflight_argument(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    seeds = list(dict.fromkeys(args.seeds))
    if min(seeds) < 0:
        raise UserError(f"--seeds {min(seeds)} is negative", "give 0 or more")
    # Heavy imports wait until the command line is known to be right.
    from seglab.mmseg_custom.engine.run_setup import select_device
    from seglab.mmseg_custom.engine.tracking import announce_mode
    from seglab.tools.gain.runs import plan_runs
    from seglab.tools.gain.sides import check_sides, make_sides, write_sides
    from seglab.utils.config_outputs import require_own_outputs
    from seglab.utils.config_utils import load_config
    from seglab.utils.io_utils import require_writable

    config = load_config(args.config, args.cfg_options, args.data_root)
    require_own_outputs(config, args.cfg_options)
    select_device(args.device)
    require_writable(args.output_dir, "--output-dir")
    sides = make_sides(config, args.masks, args.output_dir.absolute())
    change = check_sides(*sides, args.split, not args.skip_preflight)
    _say_change(change, sides[0].mask_dir, sides[1].mask_dir)
    command = sys.argv if argv is None else ["seglab", "repair-gain", *argv]
    planned = plan_runs(sides, seeds, args.split, args.device, command)
    write_sides(*sides)
    for number, run in enumerate(planned, start=1):
        print(f"[{number}/{len(planned)}] {run.side.id}, seed {run.seed}: {run.state.value}")
        if args.dry_run:
            _say_command(run)
    if args.dry_run:
        return 0
    try:
        runs = _finish(planned, args.split, announce_mode(args.tracking, planned[0].folder))
    except KeyboardInterrupt:
        print("\ninterrupted: finished epochs are kept; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    _compare(runs, change, args.output_dir)
    return 0


def _say_change(change: MaskChange, old: str, new: str) -> None:
    from seglab.analysis.report.numbers import quantity, share

    print(
        f"{len(change.changed):,} of {quantity(change.masks, 'train mask')} differ between {old} "
        f"and {new}, in {share(change.changed_pixels, change.pixels, 2)} of all pixels",
        flush=True,
    )


def _say_command(run: PlannedRun) -> None:
    """How to train a run by itself."""
    from seglab.tools.gain.runs import State

    if run.state is State.FINISHED:
        return
    words = ["--config", run.side.file, "--work-dir", run.folder, "--seed", run.seed]
    words += ["--device", run.device] if run.device != "auto" else []
    words += ["--resume"] if run.state is State.RESUME else []
    print(f"  {tool_command('train', *words)}")


def _finish(planned: Sequence[PlannedRun], split: str, mode: Mode) -> list[Run]:
    """Train and test every run, telling which one it is."""
    from seglab.analysis.report.numbers import fixed
    from seglab.tools.gain.runs import finish_run

    done = []
    for number, run in enumerate(planned, start=1):
        name = f"[{number}/{len(planned)}] {run.side.id}, seed {run.seed}"
        print(f"\n{name}: {run.folder}", flush=True)
        done.append(finish_run(run, split, mode))
        print(f"{name}: {split} mDice {fixed(done[-1].figures['mDice'])}", flush=True)
    return done


def _compare(runs: Sequence[Run], change: MaskChange, output_dir: Path) -> None:
    """Compare all seeds together and one by one; write and say what was found."""
    from seglab.analysis.comparison import compare
    from seglab.analysis.comparison_files import write_comparison
    from seglab.analysis.gain import (
        DOCUMENT_FILE,
        GAIN_FILE,
        difference_words,
        gain_content,
        gain_document,
        gain_sentence,
    )
    from seglab.tools.compare import print_comparison
    from seglab.utils.io_utils import write_json, write_text

    comparison = compare(runs, by_seed=True)
    alone: dict[int, Comparison] = {}
    for before, after in zip(runs[::2], runs[1::2], strict=True):
        assert before.seed is not None and before.seed == after.seed
        alone[before.seed] = compare([before, after])
    masks = {
        "masks": change.masks,
        "changed": len(change.changed),
        "pixels": change.pixels,
        "changed_pixels": change.changed_pixels,
        "changed_images": list(change.changed),
    }
    paths = write_comparison(comparison, output_dir)
    content = gain_content(comparison, alone, masks)
    paths.append(write_json(output_dir / GAIN_FILE, content))
    document = gain_document(comparison, alone, masks)
    paths.append(write_text(output_dir / DOCUMENT_FILE, document))
    print()
    print_comparison(comparison)
    print("\nseed by seed (the interval is over images alone)")
    for seed, one in alone.items():
        print(f"  seed {seed}: mDice {difference_words(one)}")
    print("\nwritten: " + " ".join(map(str, paths)))
    print(gain_sentence(comparison))


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
