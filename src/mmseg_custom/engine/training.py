"""Train one config from start to finish."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seglab.utils.config_utils import take_pretrained
from seglab.utils.errors import UserError
from seglab.utils.io_utils import write_json, write_text
from seglab.utils.paths import PROJECT_ROOT

RUN_FILE = "run.json"
CONFIG_FILE = "config.py"
CONFIG_JSON = "config.json"


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
        command: The command line, for the record.
    """

    work_dir: Path | None = None
    seed: int | None = None
    resume: bool = False
    device: str = "auto"
    launcher: str = "none"
    from_scratch: bool = False
    pretrained: str | None = None
    command: Sequence[str] = ()


@dataclass(frozen=True)
class TrainResult:
    """How a training run ended.

    Attributes:
        work_dir: The run's folder.
        best_checkpoint: The best checkpoint on val; None if none was validated.
        best: The validation metrics of the best epoch, and `epoch`.
        epochs: Epochs that were finished.
        seconds: Wall-clock time of this process's training.
    """

    work_dir: Path
    best_checkpoint: Path | None
    best: dict[str, Any]
    epochs: int
    seconds: float


def hypothesis_name(config: Config) -> str:
    """The run's name: the config's file name."""
    return Path(config.filename).stem if config.filename else "unnamed"


def choose_work_dir(config: Config, options: TrainOptions) -> Path:
    """Find or name the run's folder and make sure it can be written.

    Raises:
        UserError: It holds an earlier run, cannot be written, or there is nothing to resume.
    """
    home = PROJECT_ROOT / "experiments" / hypothesis_name(config)
    if options.resume:
        work_dir = options.work_dir or _newest_run(home)
        if not (work_dir / "last_checkpoint").is_file():
            raise UserError(
                f"nothing to resume: {work_dir} holds no finished epoch",
                "start without --resume, in another --work-dir",
            )
        return work_dir
    # The process id keeps runs apart that start in the same second.
    stamp = time.strftime("%Y%m%d_%H%M%S")
    work_dir = options.work_dir or home / stamp
    if options.work_dir is None and work_dir.exists():
        work_dir = home / f"{stamp}_{os.getpid()}"
    if work_dir.exists() and not work_dir.is_dir():
        raise UserError(f"--work-dir {work_dir} is a file", "give a folder")
    if work_dir.is_dir() and any(work_dir.iterdir()):
        raise UserError(
            f"--work-dir {work_dir} already holds files; a run never overwrites another",
            "add --resume to go on with that run, or give another --work-dir",
        )
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        (work_dir / ".writable").touch()
        (work_dir / ".writable").unlink()
    except OSError as error:
        raise UserError(
            f"--work-dir {work_dir} cannot be written: {error.strerror}", "give another folder"
        ) from error
    return work_dir


def _newest_run(home: Path) -> Path:
    runs = [path.parent for path in home.glob("*/last_checkpoint")]
    if not runs:
        raise UserError(
            f"nothing to resume: no run with a finished epoch under {home}",
            "start without --resume, or name the run with --work-dir",
        )
    return max(runs, key=lambda run: (run / "last_checkpoint").stat().st_mtime)


def apply_options(config: Config, options: TrainOptions, work_dir: Path) -> None:
    """Write the command line's choices into the config, so that the stored one is complete."""
    take_pretrained(config)
    if options.from_scratch:
        config.pretrained_backbone = None
    elif options.pretrained:
        config.pretrained_backbone = options.pretrained
    config.from_scratch = config.pretrained_backbone is None
    config.work_dir = str(work_dir)
    config.resume = options.resume
    config.launcher = options.launcher
    if options.seed is not None:
        config.randomness = dict(config.get("randomness", {}), seed=options.seed)


def select_device(device: str) -> str:
    """Make mmengine use a device.

    Returns:
        'cpu' or 'cuda'.

    Raises:
        UserError: CUDA is asked for and absent.
    """
    import torch
    from mmengine.device import utils as device_utils

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: torch sees no CUDA device",
            "use --device cpu, or install a CUDA build of torch and its driver",
        )
    chosen = device
    if device == "auto":
        chosen = "cuda" if torch.cuda.is_available() else "cpu"
    device_utils.DEVICE = chosen  # what mmengine.device.get_device() answers
    return chosen


def train(config: Config, options: TrainOptions, work_dir: Path) -> TrainResult:
    """Train a config that has passed its checks.

    Args:
        config: A config with the options applied (`apply_options`).
        options: The command line's choices.
        work_dir: The run's folder (`choose_work_dir`).

    Returns:
        How it ended.

    Raises:
        UserError: Something the user can mend.
        KeyboardInterrupt: Ctrl-C; what was saved stays.
    """
    import seglab.mmseg_custom as _registered  # noqa: F401
    from seglab.mmseg_custom.engine.environment import describe_environment
    from seglab.mmseg_custom.engine.hooks import read_history
    from seglab.mmseg_custom.engine.runner import SeglabRunner

    device = select_device(options.device)
    record = {
        "schema": 1,
        "hypothesis": hypothesis_name(config),
        "config_file": str(config.filename),
        "command": list(options.command),
        "seed": config.randomness.get("seed"),
        "device": device,
        "from_scratch": bool(config.from_scratch),
        "pretrained_backbone": config.pretrained_backbone,
        "environment": describe_environment(),
        "status": "running",
    }
    write_text(work_dir / CONFIG_FILE, config.pretty_text)
    write_json(work_dir / CONFIG_JSON, config.to_dict())
    write_json(work_dir / RUN_FILE, record)
    # mmengine keeps its log, its history and its visualizer per name for the whole process: two
    # runs of one name would mix.
    config.experiment_name = f"{hypothesis_name(config)}_{time.time_ns()}"
    config.visualizer.name = config.experiment_name
    started = time.perf_counter()
    status = "failed"
    try:
        SeglabRunner.from_cfg(config).train()
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        seconds = time.perf_counter() - started
        history = read_history(work_dir)
        best = best_epoch(history, config.default_hooks.checkpoint.save_best)
        record.update(status=status, seconds=seconds, epochs=len(history), best=best)
        write_json(work_dir / RUN_FILE, record)
    checkpoints = sorted(work_dir.glob("best_*.pth"), key=lambda path: path.stat().st_mtime)
    return TrainResult(
        work_dir, checkpoints[-1] if checkpoints else None, best, len(history), seconds
    )


def best_epoch(history: Sequence[dict[str, Any]], metric: str) -> dict[str, Any]:
    """The record of the first epoch whose metric is highest; empty if none has it."""
    scored = [record for record in history if record.get(metric) is not None]
    return dict(max(scored, key=lambda record: record[metric])) if scored else {}
