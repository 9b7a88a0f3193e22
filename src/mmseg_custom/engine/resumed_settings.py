"""A run that goes on with other settings than it began with: told, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from seglab.utils.config_diff import effective_difference, format_change
from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import to_plain
from seglab.utils.result_files import CONFIG_JSON
from seglab.utils.run_files import read_object

#: What a state brings along: a new value would stand in the config, and change nothing.
_IN_STATE = (
    *("optim_wrapper.optimizer", "optim_wrapper.paramwise_cfg", "optim_wrapper.constructor"),
    "param_scheduler",
)


def changed_settings(config: Config, work_dir: Path) -> list[str]:
    """What differs between the settings of a run and those it is to go on with.

    Args:
        config: The resolved config to go on with.
        work_dir: The run's folder, with the config it was made with so far.

    Returns:
        A line for each, such as `train_cfg.max_epochs: 2 -> 6`.

    Raises:
        UserError: One of them would change nothing, for the state holds it.
    """
    stored = work_dir / CONFIG_JSON
    if not stored.is_file():
        return []
    changes = effective_difference(read_object(stored), to_plain(config.to_dict()))
    raise_faults(
        f"the run in {work_dir} cannot go on with these: its state holds the optimizer and the "
        "schedulers with what they were set to",
        [format_change(change) for change in changes if change.key.startswith(_IN_STATE)],
        f"leave them out, or {from_its_weights(work_dir)}",
    )
    return [format_change(change) for change in changes]


def check_seed(meta: dict[str, Any], seed: int | None, state: str | Path) -> None:
    """Refuse a state of another seed: somebody put another run's into this one's folder.

    mmengine would go on with that seed, and the run's record would tell its own.

    Args:
        meta: Of the state.
        seed: The run's; None where it has none of its own.
        state: The file.

    Raises:
        UserError: It is such a state.
    """
    if seed is not None and meta.get("seed", seed) != seed:
        raise UserError(
            f"{state} is of a run with seed {meta['seed']}; this one has seed {seed}",
            "move it away: --resume takes the newest state that is there",
        )


def check_steps(meta: dict[str, Any], steps: int, work_dir: str | Path) -> None:
    """Refuse a state of epochs of another length.

    Its place in the data and in the schedules, which count steps, would be another one.

    Args:
        meta: Of the state.
        steps: Steps of an epoch now.
        work_dir: The run's folder.

    Raises:
        UserError: It is such a state.
    """
    before = meta.get("steps_per_epoch", steps)
    if before != steps:
        raise UserError(
            f"the run in {work_dir} had {before} steps in an epoch, now it would have {steps}: "
            "another batch size, number of processes or data",
            f"go on with those it began with, or {from_its_weights(Path(work_dir))}",
        )


def from_its_weights(work_dir: Path) -> str:
    """How a run's weights start another run."""
    return (
        "start a new run from its weights: --cfg-options "
        f"load_from={work_dir / 'epoch_N.pth'}, without --resume"
    )
