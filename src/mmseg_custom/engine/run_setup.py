"""What a run is before it trains: its options, its folder, its complete config."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from seglab.mmseg_custom.engine.determinism import decide
from seglab.mmseg_custom.engine.monitor import best_monitor, complete_hooks
from seglab.mmseg_custom.engine.record import read_record
from seglab.utils.config_utils import take_pretrained
from seglab.utils.devices import choose_device
from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import require_writable
from seglab.utils.paths import PROJECT_ROOT, output_path
from seglab.utils.result_files import RUN_FILE
from seglab.utils.resume_files import ResumePoint, fault_of, newest_valid, place_of, resume_files
from seglab.utils.run_files import STAMP


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
    home = output_path(PROJECT_ROOT / "experiments", hypothesis_name(config))
    named = options.work_dir or (Path(config.work_dir) if config.get("work_dir") else None)
    if options.launcher != "none":
        if named is None:
            raise UserError("several processes need one folder", "name it with --work-dir")
        if process_rank(options.launcher) > 0:
            return named  # the first process checks it
    if options.resume:
        work_dir = named or _newest_run(home)
        resume_point(work_dir)
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


def resume_point(work_dir: Path) -> ResumePoint:
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
