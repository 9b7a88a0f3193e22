"""Runs that are done once: what is trained and tested already is recognised by its own record."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seglab.analysis.run_folder import Run, load_run, raise_all
from seglab.mmseg_custom.datasets.samples import build_dataset, sample_files
from seglab.mmseg_custom.engine.monitor import best_checkpoint, best_monitor
from seglab.mmseg_custom.engine.record import read_record
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
)
from seglab.mmseg_custom.engine.testing import TestOptions, test
from seglab.mmseg_custom.engine.tracking import track_test, tracked_training
from seglab.mmseg_custom.engine.training import train
from seglab.tools.gain.sides import Side
from seglab.utils.config_diff import effective_difference, format_change
from seglab.utils.config_utils import load_config
from seglab.utils.data_hashes import hash_samples, summarise_hashes
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, sha256_file, to_plain
from seglab.utils.result_files import CONFIG_JSON, LAST_CHECKPOINT
from seglab.utils.run_files import dig, run_hypothesis, run_seed
from seglab.utils.tracking.mode import OFF, Mode
from seglab.utils.tracking.tracker import Tracker

_SHOWN = 5

#: Split -> `summarise_hashes` of its files.
Hashes = Mapping[str, Mapping[str, Any]]


class State(Enum):
    """What there is of a run."""

    NEW = "to be trained"
    RESTART = "to be trained again: it was stopped before its first epoch was done"
    RESUME = "to be resumed"
    FINISHED = "trained already"


@dataclass(frozen=True)
class PlannedRun:
    """One training with one seed.

    Attributes:
        side: What is trained.
        seed: Of the training.
        state: What there is of it.
        hashes: Of the data it trains, validates and is tested on, as they are now.
        device: 'auto', 'cpu' or 'cuda'.
        command: The command line, for the record.
    """

    side: Side
    seed: int
    hashes: Hashes = field(repr=False)
    device: str = "auto"
    command: Sequence[str] = ()
    state: State = State.NEW

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.side.home / f"seed_{self.seed}"

    @property
    def options(self) -> TrainOptions:
        """How `train` is called."""
        return TrainOptions(
            work_dir=self.folder,
            seed=self.seed,
            resume=self.state is State.RESUME,
            device=self.device,
            command=self.command,
        )


def data_hashes(config: Config, splits: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The hashes of the images and labels of a config's splits.

    Raises:
        UserError: A data set does not build.
    """
    return {
        split: summarise_hashes(
            hash_samples(sample_files(build_dataset(config, config[f"{split}_dataloader"].dataset)))
        )
        for split in splits
    }


def plan_runs(
    sides: Sequence[Side], seeds: Sequence[int], split: str, device: str, command: Sequence[str]
) -> list[PlannedRun]:
    """All runs, seed by seed, and what there is of each.

    Raises:
        UserError: A folder holds a run of another config, seed or data; lists every such run.
    """
    splits = tuple(dict.fromkeys(("train", "val", split)))
    hashes = {side.id: data_hashes(side.config, splits) for side in sides}
    planned, faults = [], []
    for seed in seeds:
        for side in sides:
            run = PlannedRun(side, seed, hashes[side.id], device, command)
            try:
                planned.append(replace(run, state=_state(run)))
            except UserError as error:
                faults.append(error)
    raise_all(faults, "the folders of the runs cannot be used")
    return planned


def _state(run: PlannedRun) -> State:
    """What there is of a run.

    Raises:
        UserError: The folder holds something else.
    """
    record = read_record(run.folder)
    if not record:
        choose_work_dir(run.side.config, run.options)
        return State.NEW
    differing = list(_contradictions(run, record))
    if differing:
        raise UserError(
            f"{run.folder} holds another run: " + "; ".join(differing),
            "give another --output-dir, or move this run away",
        )
    if record.get("status") == "finished":
        return State.FINISHED
    return State.RESUME if (run.folder / LAST_CHECKPOINT).is_file() else State.RESTART


def _contradictions(run: PlannedRun, record: Mapping[str, Any]) -> Iterator[str]:
    """What a stored run differs in from the one that is wanted."""
    stored = read_json(run.folder / CONFIG_JSON)
    wanted = _with_options(run.side.config, run)
    found = run_hypothesis(stored, record, run.folder).id
    if found != run.side.id:
        yield f"of the hypothesis {found}, not {run.side.id}"
    if run_seed(stored, record) != run.seed:
        yield f"with seed {run_seed(stored, record)}, not {run.seed}"
    changes = effective_difference(stored, to_plain(wanted.to_dict()))
    yield from (format_change(change) for change in changes[:_SHOWN])
    if len(changes) > _SHOWN:
        yield f"and {len(changes) - _SHOWN} more settings"
    for split in ("train", "val"):
        for kind, name in (("images_sha256", "images"), ("labels_sha256", "labels")):
            if dig(record, "data", split, kind) != run.hashes[split][kind]:
                yield f"it saw other {split} {name} than there are now"


def _with_options(config: Config, run: PlannedRun) -> Config:
    config = copy.deepcopy(config)
    apply_options(config, run.options, run.folder)
    return config


def finish_run(run: PlannedRun, split: str, mode: Mode = OFF) -> Run:
    """Train what is not trained, test what is not tested.

    Args:
        run: From `plan_runs`; its side's config is written (`write_sides`).
        split: 'val' or 'test'.
        mode: How the run and its test are tracked.

    Returns:
        The run with its test, read back.

    Raises:
        UserError: Something the user can mend.
        KeyboardInterrupt: Ctrl-C; what was saved stays.
    """
    config = _with_options(load_config(run.side.file), run)
    if run.state is State.RESTART:
        shutil.rmtree(run.folder)
    if run.state is not State.FINISHED:
        choose_work_dir(config, run.options)
        tracker = Tracker(run.folder, mode)
        with tracked_training(tracker):
            train(copy.deepcopy(config), run.options, run.folder, tracker)
    checkpoint = best_checkpoint(run.folder, best_monitor(config))
    if checkpoint is None:
        raise UserError(
            f"{run.folder} is trained, but holds no best checkpoint: no validation gave a value "
            "to choose by, or it was deleted",
            "delete the folder to train again",
        )
    tested = _tested(run, split, sha256_file(checkpoint))
    if tested is not None:
        return tested
    options = TestOptions(
        checkpoint, split, run.folder / f"test_{split}", run.device, overwrite=True
    )
    track_test(test(config, options).output_dir, config, mode)
    return load_run(run.folder, split)


def _tested(run: PlannedRun, split: str, checkpoint_sha256: str) -> Run | None:
    """The run with its test if this checkpoint was scored on these files."""
    try:
        found = load_run(run.folder, split)
    except UserError:  # not tested, or the test is damaged: it is done again
        return None
    data, now = found.provenance["data"], run.hashes[split]
    same = found.provenance["checkpoint_sha256"] == checkpoint_sha256
    same = same and data["images"] == now["images_sha256"]
    return found if same and data["labels"] == now["labels_sha256"] else None
