"""Train one config: `python src/tools/train.py --config configs/NAME.py`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.tools.common import (
    add_config_arguments,
    add_device_argument,
    add_preflight_argument,
    add_tracking_argument,
    check_before_compute,
    tool_command,
)
from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from mmengine.config import Config

    from seglab.mmseg_custom.engine.run_setup import TrainOptions
    from seglab.mmseg_custom.engine.training import TrainResult

EXAMPLES = """\
  python src/tools/train.py --config configs/lite_fpn_effnetlite2_256x256.py
  seglab train --config configs/h1_deeplabv3plus_r50_d8_256x256.py --data-root data/pets_coco
  seglab train --config configs/toy_fpn_effnetlite0_128x128.py --cfg-options train_cfg.max_epochs=2
  seglab train --config configs/lite_fpn_effnetlite2_256x256.py --resume
  seglab train --config configs/lite_fpn_effnetlite2_256x256.py \\
      --cfg-options default_hooks.checkpoint.save_best=Dice/dog
  seglab train --config configs/exp2_segformer_b2_256x256.py --queue gpu
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab train`."""
    parser = new_parser(
        "train",
        "Train one config. The data and the config are checked first; the best checkpoint on\n"
        "val (unrounded mDice, or the figure that default_hooks.checkpoint.save_best names), the\n"
        "history, the resolved config and the environment are kept in experiments/CONFIG/STAMP.",
        EXAMPLES,
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--work-dir", type=Path, metavar="DIR", help="folder of the run; it must be new or empty"
    )
    parser.add_argument("--seed", type=int, help="replaces the config's seed (0)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --work-dir, or with this config's newest run",
    )
    add_device_argument(parser)
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm", "mpi"),
        default="none",
        help="how several processes were started (default none; torchrun: pytorch)",
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--from-scratch", action="store_true", help="start from random weights, and say so"
    )
    weights.add_argument("--pretrained", metavar="FILE", help="weights of the backbone to use")
    _add_step_arguments(parser)
    add_tracking_argument(parser)
    parser.add_argument(
        "--queue",
        metavar="NAME",
        help="do not train here: put the training into this ClearML queue, for a machine that "
        "runs `clearml-agent` (see Tracking in the README)",
    )
    add_preflight_argument(parser)
    return parser


def _add_step_arguments(parser: argparse.ArgumentParser) -> None:
    """How steps are taken, and what happens to those that cannot be."""
    parser.add_argument(
        "--deterministic",
        action=argparse.BooleanOptionalAction,
        help="have the same machine and versions repeat the run bit for bit, over the same number "
        "of threads (default on the CPU; costs speed and memory on a GPU: "
        "reports/determinism_cost.md)",
    )
    parser.add_argument(
        "--on-nan",
        choices=("stop", "skip"),
        help="what to do at a loss or gradient that is not finite: stop before the weights change "
        "(default), or leave the step out; either way the step is kept for `seglab replay`",
    )
    parser.add_argument(
        "--auto-batch",
        action="store_true",
        help="try what fits into memory: smaller batches, with accumulated gradients so that the "
        "effective batch stays the same",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    # Heavy imports wait until the command line is known to be right.
    from seglab.mmseg_custom.engine.run_setup import (
        apply_options,
        choose_work_dir,
        process_rank,
        select_device,
    )
    from seglab.utils.config_outputs import require_own_outputs
    from seglab.utils.config_utils import load_config
    from seglab.utils.result_files import CONFIG_JSON

    options = _options(args, sys.argv if argv is None else ["seglab", "train", *argv])
    config = load_config(args.config, args.cfg_options, args.data_root)
    if args.queue:  # its data and its GPU are those of another machine
        return _enqueue(config, args, sys.argv[1:] if argv is None else argv)
    select_device(args.device)
    work_dir = choose_work_dir(config, options) if args.resume else None
    if work_dir is not None:  # a run goes on with its own config, whatever --config says by now
        config = load_config(work_dir / CONFIG_JSON, args.cfg_options, args.data_root)
    require_own_outputs(config, args.cfg_options, named=bool(args.work_dir or work_dir))
    # Of several processes one checks and reports.
    if process_rank(args.launcher) == 0 and not args.skip_preflight:
        check_before_compute(config, ("train", "val"))
    work_dir = work_dir or choose_work_dir(config, options)
    apply_options(config, options, work_dir)
    if args.auto_batch:
        _fit_batch(config, select_device(args.device))
    return _train(config, options, work_dir, args.tracking)


def _options(args: argparse.Namespace, command: Sequence[str]) -> TrainOptions:
    """What the command line adds to a config."""
    from seglab.mmseg_custom.engine.run_setup import TrainOptions
    from seglab.utils.errors import UserError

    if args.auto_batch and args.launcher != "none":
        raise UserError(
            "--auto-batch tries what fits on one device; processes on several might disagree",
            "find the batch size without --launcher, then name it with --cfg-options",
        )
    return TrainOptions(
        work_dir=args.work_dir,
        seed=args.seed,
        resume=args.resume,
        device=args.device,
        launcher=args.launcher,
        from_scratch=args.from_scratch,
        pretrained=args.pretrained,
        on_nan=args.on_nan,
        deterministic=args.deterministic,
        command=command,
    )


def _fit_batch(config: Config, device: str) -> None:
    from seglab.mmseg_custom.engine.determinism import repeatable
    from seglab.mmseg_custom.engine.memory import fit_batch

    with repeatable(config.randomness.deterministic, device):  # it may need more memory
        print(fit_batch(config, device), flush=True)


def _enqueue(config: Config, args: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Put the training into a queue of ClearML."""
    from seglab.mmseg_custom.engine.tracking import tracking_project
    from seglab.utils.tracking.contents import facts_of, start_entry
    from seglab.utils.tracking.remote import enqueue_training

    file = Path(config.filename)
    facts = facts_of(config.to_dict(), {"seed": args.seed}, file)
    start = start_entry(
        facts, stamp=time.strftime("%Y%m%d_%H%M%S"), project=tracking_project(config)
    )
    queued = enqueue_training(args.queue, file, arguments, start)
    print(f"waiting in queue {args.queue} as task {queued.task}: {queued.url}")
    return 0


def _train(config: Config, options: TrainOptions, work_dir: Path, tracking: str | None) -> int:
    """Train what passed its checks, tracked, and tell how it went."""
    from seglab.mmseg_custom.engine.determinism import in_words
    from seglab.mmseg_custom.engine.run_setup import (
        process_rank,
        select_device,
    )
    from seglab.mmseg_custom.engine.tracking import announce_mode, tracked_training
    from seglab.mmseg_custom.engine.training import train
    from seglab.utils.tracking.tracker import Tracker

    rank = process_rank(options.launcher)
    if rank == 0:
        words = in_words(config.randomness.deterministic, select_device(options.device))
        print(f"{_start(config, options.resume)}\n{words}\nrun folder: {work_dir}", flush=True)
    tracker = Tracker(work_dir, announce_mode(tracking, work_dir, rank))
    try:
        with tracked_training(tracker):
            result = train(config, options, work_dir, tracker)
            if rank == 0:
                _summarise(config, result)
    except KeyboardInterrupt as error:
        return _interrupted(work_dir, error)
    return 0


def _start(config: Config, resume: bool) -> str:
    """What the run starts from; finds (or downloads) the pretrained weights."""
    from seglab.utils.weights import find_weights

    if resume:
        return "resuming with the run's own config and weights"
    source = config.pretrained_backbone
    return f"backbone weights: {find_weights(source) if source else 'random (from scratch)'}"


def _interrupted(work_dir: Path, error: KeyboardInterrupt) -> int:
    from seglab.mmseg_custom.engine.record import read_record
    from seglab.utils.result_files import CONFIG_JSON, LAST_CHECKPOINT
    from seglab.utils.script import INTERRUPTED

    if read_record(work_dir).get("status") == "finished":
        note = f"the training was finished; everything is in {work_dir}"
    elif (work_dir / LAST_CHECKPOINT).is_file():
        again = tool_command(
            "train", "--config", work_dir / CONFIG_JSON, "--work-dir", work_dir, "--resume"
        )
        note = f"what was done is kept in {work_dir}; go on with\n  {again}"
    else:
        note = f"no step was finished; the log is in {work_dir}"
    print(f"\ninterrupted: {note}", file=sys.stderr)
    return int(getattr(error, "exit_code", INTERRUPTED))


def _summarise(config: Config, result: TrainResult) -> None:
    """Draw the curves, print the best epoch's table and the command to run next."""
    from seglab.mmseg_custom.engine.history import read_history
    from seglab.utils.config_utils import dataset_metainfo
    from seglab.utils.pretty_printer import print_key_values, print_metrics
    from seglab.utils.result_files import CONFIG_JSON, CURVES_FILE
    from seglab.utils.visualization_utils import plot_training_curves

    metainfo = dataset_metainfo(config)
    classes = metainfo["classes"]
    curves = result.work_dir / CURVES_FILE
    key = result.monitor.key
    if not result.best:
        print(f"no validation gave a value of {key}; the run is in {result.work_dir}")
        return
    history = read_history(result.work_dir)
    plot_training_curves(history, curves, classes, metainfo.get("palette"), key)
    title = f"val, best epoch {result.best['epoch']}: {key} {result.best[key]:.2f}"
    print_metrics(result.best, classes, title=title, prefix="val/")
    print_key_values(
        "\nrun",
        {
            "folder": result.work_dir,
            "best checkpoint": result.best_checkpoint,
            "curves": curves,
            "epochs": result.epochs,
            "minutes": f"{result.seconds / 60:.1f}",
        },
    )
    following = tool_command(
        *("test", "--config", result.work_dir / CONFIG_JSON),
        *("--checkpoint", result.best_checkpoint, "--split", "val"),
    )
    print(f"\ntest it next:\n  {following}")


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
