"""Trainings that are stopped and resumed: configs, and how their ends are compared."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from yapf.yapflib import yapf_api

from seglab.mmseg_custom.engine.history import read_history
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
)
from seglab.mmseg_custom.engine.training import train
from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.config_utils import load_config
from seglab.utils.io_utils import sha256_file
from seglab.utils.resume_files import fault_of, place_of, resume_files

#: Random augmentation, dropout, averaged weights, early stopping, gradients over two steps: what
#: has a state of its own. 12 images in batches of 4: three steps an epoch.
EVERYTHING = """
_base_ = [{base!r}]
train_cfg = dict(max_epochs=3)
optim_wrapper = dict(accumulative_counts=2)
custom_hooks = [
    dict(type="HistoryHook"), dict(type="ProgressHook"), dict(type="CatchUpValidationHook"),
    dict(type="EMAHook", momentum=0.5), dict(type="HistoryEarlyStoppingHook", patience=2),
]
default_hooks = dict(checkpoint=dict(every_n_steps=1, max_keep_ckpts=-1))
"""
BY_ITERATION = """
_base_ = [{base!r}]
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=8, val_interval=3)
param_scheduler = [dict(type="WarmupDecayLR", by_epoch=False)]
train_dataloader = dict(sampler=dict(type={sampler!r}))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=-1))
log_processor = dict(by_epoch=False)
"""


#: What holds times: the logger's figures, the sums of an epoch that is under way.
TIMES = {"message_hub", "epoch_under_way", "seconds"}


def make_starts_quick() -> None:
    """Leave out what takes half of a start and decides nothing: the layout of `config.py`."""
    yapf_api.FormatCode = lambda text, **_: (text, True)


def run(
    config: Path,
    folder: Path,
    overrides: Sequence[str] = (),
    resume: bool = False,
    launcher: str = "none",
) -> Path:
    """Train, or go on training; returns the folder."""
    loaded = load_config(config, overrides)
    options = TrainOptions(
        work_dir=folder, resume=resume, device="cpu", from_scratch=not resume, launcher=launcher
    )
    apply_options(loaded, options, choose_work_dir(loaded, options))
    train(loaded, options, folder)
    return folder


def ended(folder: Path) -> dict[str, Any]:
    """What has to be equal: the last state, the best weights and the history."""
    best = list(folder.glob("best_*.safetensors"))
    assert best and not any(fault_of(path) for path in best)
    return {
        "state": load_checkpoint_file(resume_files(folder)[0]),
        "history": read_history(folder),
        "best": {path.name: sha256_file(path) for path in best},
    }


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """Where two ends differ by a bit; times are left out."""
    if isinstance(first, torch.Tensor):
        return [] if torch.equal(first, second) else [where]
    if isinstance(first, dict):
        keys = (first.keys() | second.keys()) - TIMES
        found = [f"{where}.{key}" for key in keys if (key in first) != (key in second)]
        for key in keys & first.keys() & second.keys():
            found += differences(first[key], second[key], f"{where}.{key}")
        return found
    if isinstance(first, list | tuple):
        if len(first) != len(second):
            return [f"{where}: {len(first)} and {len(second)} items"]
        pairs = enumerate(zip(first, second, strict=True))
        return [each for i, pair in pairs for each in differences(*pair, f"{where}[{i}]")]
    return [] if first == second else [where]


def stop_at(finished: Path, name: str, folder: Path) -> None:
    """What a run would have left if it had been killed after writing a state.

    Its history and its best weights may be newer than the state, as after a real kill.
    """
    shutil.copytree(finished, folder)
    for path in resume_files(folder):
        if place_of(path.name) > place_of(name):
            path.unlink()


def assert_equal_ends(expected: Path, given: Path) -> None:
    """Two trainings ended alike, bit for bit."""
    assert differences(ended(expected), ended(given)) == []
