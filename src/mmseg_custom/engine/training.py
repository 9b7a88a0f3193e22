"""Train one config from start to finish."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from seglab.mmseg_custom.engine.determinism import decide, repeatable
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
    complete_hooks,
    follow_monitor,
    our_evaluators,
)
from seglab.mmseg_custom.engine.record import RunRecord, read_record
from seglab.mmseg_custom.engine.resumed_settings import changed_settings
from seglab.mmseg_custom.engine.tracking import add_backend, begin_training
from seglab.utils.config_utils import building, take_pretrained
from seglab.utils.devices import choose_device
from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import require_writable
from seglab.utils.paths import PROJECT_ROOT
from seglab.utils.result_files import RUN_FILE
from seglab.utils.resume_files import (
    ResumePoint,
    fault_of,
    newest_valid,
    place_of,
    remove_leftovers,
    resume_files,
)
from seglab.utils.run_files import STAMP, counts_epochs
from seglab.utils.script import was_interrupted
from seglab.utils.tracking.tracker import Tracker

if TYPE_CHECKING:
    from seglab.mmseg_custom.engine.runner import SeglabRunner


@dataclass(frozen=True)
class TrainOptions:
    """What the command line adds to a config.

    Attributes:
        work_dir: The run's folder; None for `experiments/<hypothesis>/<stamp>`.
        seed: Replaces the config's seed.
        resume: Go on from the newest checkpoint of the work dir, or of the hypothesis's newest
            run.
        device: 'auto', 'cpu' or 'cuda'.
        launcher: 'none', or mmengine's 'pytorch' / 'slurm' / 'mpi' for several processes.
        from_scratch: Start from random weights.
        pretrained: A file of pretrained backbone weights that replaces the config's.
        on_nan: 'stop' or 'skip': what happens to a loss or gradient that is not finite; None for
            the config's choice, which is to stop.
        deterministic: Whether a repeated run gives the same to the last bit; None for the
            config's choice, which is: on the CPU.
        command: The command line, for the record.
    """

    work_dir: Path | None = None
    seed: int | None = None
    resume: bool = False
    device: str = "auto"
    launcher: str = "none"
    from_scratch: bool = False
    pretrained: str | None = None
    on_nan: str | None = None
    deterministic: bool | None = None
    command: Sequence[str] = ()


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


def process_rank(launcher: str) -> int:
    """This process's number among those a launcher started; 0 without one."""
    if launcher == "none":  # inside a scheduler's job, say, whose variables mean other processes
        return 0
    names = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
    return int(next((os.environ[name] for name in names if name in os.environ), 0))


def hypothesis_name(config: Config) -> str:
    """The run's name: the config's file name; a stored config remembers it."""
    stem = Path(config.filename).stem if config.filename else "unnamed"
    return str(config.get("hypothesis_name", stem))


def choose_work_dir(config: Config, options: TrainOptions) -> Path:
    """Find or name the run's folder and make sure it can be written.

    Raises:
        UserError: It holds an earlier run, cannot be written, or there is nothing to resume.
    """
    home = PROJECT_ROOT / "experiments" / hypothesis_name(config)
    named = options.work_dir or (Path(config.work_dir) if config.get("work_dir") else None)
    if options.launcher != "none":
        if named is None:
            raise UserError("several processes need one folder", "name it with --work-dir")
        if process_rank(options.launcher) > 0:
            return named  # the first process checks it
    if options.resume:
        work_dir = named or _newest_run(home)
        _resume_point(work_dir)
        return work_dir
    work_dir = named or home / time.strftime("%Y%m%d_%H%M%S")
    if named is None and work_dir.exists():  # another run started in the same second
        work_dir = work_dir.with_name(f"{work_dir.name}_{os.getpid()}")
    if _is_used(work_dir):
        resumable = bool(resume_files(work_dir))
        raise UserError(
            f"--work-dir {work_dir} already holds files; a run never overwrites another",
            ("add --resume to go on with that run" if resumable else "delete it")
            + ", or give another --work-dir",
        )
    require_writable(work_dir, "--work-dir")
    return work_dir


def _is_used(work_dir: Path) -> bool:
    """Whether a folder holds more than the log folders of starts that came to nothing."""
    if not work_dir.is_dir():
        return False
    return any(
        not STAMP.fullmatch(entry.name) or (entry / RUN_FILE).exists()
        for entry in work_dir.iterdir()
    )


def _newest_run(home: Path) -> Path:
    states = [path for path in home.glob("*/*.pth") if place_of(path.name)]
    if not states:
        raise UserError(
            f"nothing to resume: no run with a finished epoch under {home}",
            "start without --resume, or name the run with --work-dir",
        )
    return max(states, key=lambda path: path.stat().st_mtime).parent


def _resume_point(work_dir: Path) -> ResumePoint:
    """The newest whole state of a run; found by its name, so that a run may be moved."""
    point = newest_valid(work_dir)
    if point is not None:
        return point
    damaged = [f"{path.name}: {fault_of(path)}" for path in resume_files(work_dir)]
    raise_faults(
        f"nothing to resume: no state in {work_dir} is whole",
        damaged,
        "restore one of these files, or start again in another --work-dir",
    )
    raise UserError(
        f"nothing to resume: {work_dir} holds no finished epoch",
        "start without --resume in another --work-dir, or delete this one",
    )


def apply_options(config: Config, options: TrainOptions, work_dir: Path) -> None:
    """Write the command line's choices into the config, so that the stored one is complete.

    A resumed run keeps the start and the seed it began with.

    Raises:
        UserError: The command line contradicts the run that is to be resumed.
    """
    take_pretrained(config)
    earlier = read_record(work_dir) if options.resume else {}
    if earlier:
        config.pretrained_backbone = earlier.get("pretrained_backbone")
    elif options.from_scratch:
        config.pretrained_backbone = None
    elif options.pretrained:
        config.pretrained_backbone = options.pretrained
    config.from_scratch = config.pretrained_backbone is None
    seed = earlier.get("seed", options.seed)
    if earlier and options.seed is not None and options.seed != seed:
        raise UserError(
            f"--seed {options.seed}: the run in {work_dir} began with seed {seed}",
            "leave --seed out, or start a new run",
        )
    config.randomness = dict(config.get("randomness") or {})
    config.randomness.seed = config.randomness.get("seed", 0) if seed is None else seed
    _apply_determinism(config, options, work_dir)
    config.hypothesis_name = hypothesis_name(config)
    complete_hooks(config)
    if options.on_nan:
        guard = next(hook for hook in config.custom_hooks if hook["type"] == "StepGuardHook")
        guard["on_nan"] = options.on_nan
    monitor = best_monitor(config).key
    if earlier.get("monitor", monitor) != monitor:
        raise UserError(
            f"the run in {work_dir} chooses its best checkpoint by {earlier['monitor']}, not by "
            f"{monitor}",
            "leave default_hooks.checkpoint.save_best as it was, or start a new run",
        )
    config.launcher = options.launcher


def _apply_determinism(config: Config, options: TrainOptions, work_dir: Path) -> None:
    configured = config.randomness.get("deterministic")
    asked = options.deterministic
    if options.resume and None not in (asked, configured) and asked != configured:
        raise UserError(
            f"--{'' if asked else 'no-'}deterministic: the run in {work_dir} began otherwise",
            "leave it out, or start a new run",
        )
    config.randomness.deterministic = decide(asked, configured, choose_device(options.device))


def select_device(device: str) -> str:
    """Make mmengine use a device.

    Returns:
        What `choose_device` makes of it.

    Raises:
        UserError: CUDA is asked for and absent.
    """
    from mmengine.device import utils as device_utils

    chosen = choose_device(device)
    device_utils.DEVICE = chosen  # what mmengine.device.get_device() answers
    return chosen


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
        point = _resume_point(work_dir)
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
