"""Train one config from start to finish."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from seglab.mmseg_custom.engine.determinism import repeatable
from seglab.mmseg_custom.engine.memory import (
    is_out_of_memory,
    out_of_memory,
    out_of_memory_in_validation,
)
from seglab.mmseg_custom.engine.monitor import (
    Monitor,
    best_checkpoint,
    best_epoch,
    best_monitor,
    follow_monitor,
    our_evaluators,
)
from seglab.mmseg_custom.engine.record import RunRecord
from seglab.mmseg_custom.engine.resumed_settings import changed_settings
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    hypothesis_name,
    process_rank,
    resume_point,
    select_device,
)
from seglab.mmseg_custom.engine.tracking import add_backend, begin_training
from seglab.utils.config_utils import building
from seglab.utils.resume_files import (
    remove_leftovers,
)
from seglab.utils.run_files import counts_epochs
from seglab.utils.script import was_interrupted
from seglab.utils.tracking.tracker import Tracker

if TYPE_CHECKING:
    from seglab.mmseg_custom.engine.runner import SeglabRunner


@dataclass(frozen=True)
class TrainResult:
    """How a training run ended.

    Attributes:
        work_dir: The run's folder.
        best_checkpoint: The best checkpoint on val; None if no epoch had a value to choose by.
        best: The record of the best epoch: its validation metrics, `epoch`, its losses.
        monitor: The metric that chose it.
        epochs: Epochs that were finished.
        seconds: Wall-clock time of this process's training.
    """

    work_dir: Path
    best_checkpoint: Path | None
    best: dict[str, Any]
    monitor: Monitor
    epochs: int
    seconds: float


def train(
    config: Config, options: TrainOptions, work_dir: Path, tracker: Tracker | None = None
) -> TrainResult:
    """Train a config that has passed its checks.

    Args:
        config: A config with the options applied (`apply_options`).
        options: The command line's choices.
        work_dir: The run's folder (`choose_work_dir`).
        tracker: Records what the run reports; whoever made it ends it.

    Returns:
        How it ended.

    Raises:
        UserError: Something the user can mend.
        KeyboardInterrupt: Ctrl-C; what was saved stays.
    """
    import torch.distributed

    import seglab.mmseg_custom as _registered  # noqa: F401
    from seglab.mmseg_custom.engine.history import read_history

    device = select_device(options.device)
    record = _new_record(config, options, work_dir, device)
    monitor = best_monitor(config)
    started = time.perf_counter()
    status = "failed"
    runner: Any = None
    if options.launcher == "pytorch" and device == "cpu":
        # mmengine's own start-up asks for a CUDA device whatever the backend is.
        torch.distributed.init_process_group("gloo")
    try:
        with repeatable(config.randomness.deterministic, device):
            runner = _build(config, _for_runner(config, options, work_dir, device), tracker)
            if process_rank(options.launcher) == 0:
                runner.on_start = lambda: _begin(record, config, runner, tracker)
            with runner.stop_request:
                runner.train()
        status = "finished"
    except BaseException as error:
        if was_interrupted(error):
            status = "interrupted"
        _raise_plainly(error, config, runner)
        raise
    finally:
        history = read_history(work_dir)
        best = best_epoch(history, monitor)
        record.end(status, len(history), best)
    return TrainResult(
        work_dir,
        best_checkpoint(work_dir, monitor),
        best,
        monitor,
        len(history),
        time.perf_counter() - started,
    )


def _build(config: Config, own: Config, tracker: Tracker | None) -> SeglabRunner:
    from seglab.mmseg_custom.engine.runner import SeglabRunner

    with building(config):
        add_backend(own, tracker)
        runner = SeglabRunner.from_cfg(own)
        runner.build_parts()
    assert isinstance(runner, SeglabRunner)
    return runner


def _raise_plainly(error: BaseException, config: Config, runner: Any) -> None:
    """Raise Ctrl-C that came in disguise, and memory that ran out, as what they are."""
    if was_interrupted(error) and not isinstance(error, KeyboardInterrupt):
        raise KeyboardInterrupt from error
    if is_out_of_memory(error):
        validates = runner is not None and not runner.bare_model.training
        raise (out_of_memory_in_validation if validates else out_of_memory)(config) from error


def _begin(record: RunRecord, config: Config, runner: Any, tracker: Tracker | None) -> None:
    """Write what is known when nothing can refuse the run any more."""
    from seglab.mmseg_custom.engine.history import rewind_history

    remove_leftovers(record.work_dir)
    record.begin(config, _facts_of(runner))
    if record.changes:
        print("this run began elsewhere or otherwise, so it may not end as it would have there:")
        print("\n".join(f"  {change}" for change in record.changes), flush=True)
    if runner._resume:
        rewind_history(runner)
    if tracker is not None:
        begin_training(tracker, config)


def _facts_of(runner: Any) -> dict[str, Any]:
    """What is known of a run once it is built: the size of its model, the data it trains on."""
    from seglab.mmseg_custom.datasets.samples import sample_files
    from seglab.utils.data_hashes import hash_samples, summarise_hashes

    loops = {"train": runner.train_loop, "val": runner.val_loop}
    data = {
        split: summarise_hashes(hash_samples(sample_files(loop.dataloader.dataset)))
        for split, loop in loops.items()
        if loop is not None
    }
    parameters = sum(parameter.numel() for parameter in runner.bare_model.parameters())
    return {"parameters": parameters, "data": data}


def _new_record(config: Config, options: TrainOptions, work_dir: Path, device: str) -> RunRecord:
    from seglab.mmseg_custom.engine.environment import describe_environment

    facts = {
        "hypothesis": hypothesis_name(config),
        "hypothesis_id": (config.get("hypothesis") or {}).get("id", hypothesis_name(config)),
        "config_file": str(config.filename),
        "seed": config.randomness.get("seed"),
        "monitor": best_monitor(config).key,
        "from_scratch": bool(config.from_scratch),
        "pretrained_backbone": config.pretrained_backbone,
        "load_from": config.get("load_from"),
        "environment": describe_environment(),
    }
    session: dict[str, Any] = {"command": list(options.command), "device": device}
    if options.resume and (changed := changed_settings(config, work_dir)):
        session["changed_settings"] = changed
        if process_rank(options.launcher) == 0:
            print("settings that the run did not begin with:", *changed, sep="\n  ", flush=True)
    return RunRecord(work_dir, facts, session)


def _count_validations(config: Config) -> None:
    """Have validations logged by epoch, or by iteration where a run is measured in those.

    mmengine's logger takes a setting for it, and by epoch all of a run in iterations are step 0.
    """
    logger = config.default_hooks.get("logger", dict(type="LoggerHook"))
    if logger and str(logger.get("type")).rpartition(".")[2] == "LoggerHook":
        config.default_hooks["logger"] = {**logger, "log_metric_by_epoch": counts_epochs(config)}


def _for_runner(config: Config, options: TrainOptions, work_dir: Path, device: str) -> Config:
    """The config with what belongs to this process only, which is not stored."""
    config = copy.deepcopy(config)
    follow_monitor(config)
    _count_validations(config)
    config.work_dir = str(work_dir)
    config.resume = options.resume
    if options.resume:
        point = resume_point(work_dir)
        for skipped in point.skipped if process_rank(options.launcher) == 0 else ():
            print(f"passed over {skipped}", flush=True)
        config.load_from = str(point.path)
    # mmengine keeps its log, its history and its visualizer per name for the whole process: two
    # runs of one name would mix.
    config.experiment_name = f"{hypothesis_name(config)}_{time.time_ns()}"
    if config.get("visualizer"):
        config.visualizer.name = config.experiment_name
    for evaluator in our_evaluators(config) if config.launcher != "none" else ():
        # mmengine exchanges results through a folder in the current directory otherwise.
        evaluator["collect_dir"] = str(work_dir / "exchange")
    if config.launcher != "none" and device == "cpu":
        config.model_wrapper_cfg = dict(
            type="MMDistributedDataParallel", device_ids=None, broadcast_buffers=False
        )
    return config
