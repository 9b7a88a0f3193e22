"""A run that was stopped and resumed equals one that was not, bit for bit."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import Runner

from seglab.mmseg_custom.datasets.seeded import seeded_loader
from seglab.mmseg_custom.engine.history import read_history
from seglab.mmseg_custom.engine.training import TrainOptions, apply_options, choose_work_dir, train
from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.config_utils import building, load_config
from seglab.utils.resume_files import place_of, resume_files

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
#: What holds times: the logger's figures, the sums of an epoch that is under way.
TIMES = {"message_hub", "epoch_under_way", "seconds"}
BY_ITERATION = """
_base_ = [{base!r}]
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=8, val_interval=3)
param_scheduler = [dict(type="WarmupDecayLR", by_epoch=False)]
train_dataloader = dict(sampler=dict(type={sampler!r}))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=-1))
log_processor = dict(by_epoch=False)
"""


def run(config: Path, folder: Path, overrides: Sequence[str] = (), resume: bool = False) -> Path:
    loaded = load_config(config, overrides)
    options = TrainOptions(work_dir=folder, resume=resume, device="cpu", from_scratch=not resume)
    apply_options(loaded, options, choose_work_dir(loaded, options))
    train(loaded, options, folder)
    return folder


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """Where two states differ; times are left out."""
    if isinstance(first, torch.Tensor):
        return [] if torch.equal(first, second) else [where]
    if isinstance(first, dict):
        keys = (first.keys() | second.keys()) - TIMES
        found = [f"{where}.{key}" for key in keys if (key in first) != (key in second)]
        for key in keys & first.keys() & second.keys():
            found += differences(first[key], second[key], f"{where}.{key}")
        return found
    if isinstance(first, list | tuple):
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
    last = resume_files(expected)[0].name
    states = [load_checkpoint_file(folder / last) for folder in (expected, given)]
    assert differences(*states) == []
    histories = [
        [{k: v for k, v in record.items() if k != "seconds"} for record in read_history(folder)]
        for folder in (expected, given)
    ]
    assert histories[0] == histories[1]
    best = [
        {path.name: path.read_bytes() for path in folder.glob("best_*.safetensors")}
        for folder in (expected, given)
    ]
    assert best[0] == best[1] != {}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_config_text: str) -> tuple[Path, Path]:
    """A config with everything that has a state, and a run of it that nobody disturbed."""
    folder = tmp_path_factory.mktemp("exact")
    (folder / "tiny.py").write_text(tiny_config_text)
    config = folder / "everything.py"
    config.write_text(EVERYTHING.format(base=str(folder / "tiny.py")))
    return config, run(config, folder / "undisturbed")


def test_a_run_goes_on_from_every_step_as_if_it_had_not_stopped(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    config, undisturbed = finished
    names = [path.name for path in resume_files(undisturbed)]
    assert "epoch_1_step_2.pth" in names and "epoch_2.pth" in names
    for name in names[1:]:
        stop_at(undisturbed, name, tmp_path / name)
        assert_equal_ends(undisturbed, run(config, tmp_path / name, resume=True))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(
    finished: tuple[Path, Path], tmp_path: Path, workers: int
) -> None:
    config, undisturbed = finished
    more = [f"train_dataloader.num_workers={workers}"]
    stop_at(undisturbed, "epoch_1_step_1.pth", tmp_path / "run")
    assert_equal_ends(undisturbed, run(config, tmp_path / "run", more, resume=True))


def test_best_weights_that_a_kill_kept_from_being_written_are_made_up_for(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    config, undisturbed = finished
    best = next(undisturbed.glob("best_*.safetensors"))
    epoch = int(best.stem.rpartition("_")[2])
    stop_at(undisturbed, f"epoch_{epoch}.pth", tmp_path / "run")
    (tmp_path / "run" / best.name).write_bytes(b"half of it")
    assert_equal_ends(undisturbed, run(config, tmp_path / "run", resume=True))


@pytest.mark.parametrize("sampler", ["InfiniteSampler", "DefaultSampler"])
def test_runs_measured_in_iterations(tiny_config: Path, tmp_path: Path, sampler: str) -> None:
    config = tmp_path / "by_iteration.py"
    config.write_text(BY_ITERATION.format(base=str(tiny_config), sampler=sampler))
    undisturbed = run(config, tmp_path / "undisturbed")
    for step in (2, 4):
        stop_at(undisturbed, f"iter_{step}.pth", tmp_path / str(step))
        assert_equal_ends(undisturbed, run(config, tmp_path / str(step), resume=True))


def test_every_epoch_augments_in_another_way(tiny_config: Path, tmp_path: Path) -> None:
    """mmengine seeds worker processes alike in every epoch."""
    config = load_config(tiny_config)
    with building(config):
        loader = Runner.build_dataloader(seeded_loader(config.train_dataloader), seed=0)
    batches = []
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        samples = {
            sample.img_path: image
            for batch in loader
            for image, sample in zip(batch["inputs"], batch["data_samples"], strict=True)
        }
        batches.append(samples)
    first, second, again = batches
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "no checksum"])
def test_a_damaged_state_is_passed_over(
    finished: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: str,
) -> None:
    config, undisturbed = finished
    stop_at(undisturbed, "epoch_2_step_1.pth", tmp_path / "run")
    path = tmp_path / "run" / "epoch_2_step_1.pth"
    content = path.read_bytes()
    path.write_bytes(
        {"cut": content[:-9], "empty": b"", "no checksum": content[:-9]}.get(
            damage, content[:500] + b"?" + content[501:]
        )
    )
    if damage == "no checksum":
        (path.parent / f"{path.name}.sha256").unlink()
    assert_equal_ends(undisturbed, run(config, tmp_path / "run", resume=True))
    assert "passed over epoch_2_step_1.pth: " in capsys.readouterr().out


def test_fifty_kills(tiny_config: Path, tmp_path: Path, project_root: Path) -> None:
    config = tmp_path / "everything.py"
    text = EVERYTHING.format(base=str(tiny_config)).replace("max_keep_ckpts=-1", "max_keep_ckpts=2")
    config.write_text(text)
    done = subprocess.run(
        [
            *(sys.executable, project_root / "tests" / "killed_trainings.py"),
            *(config, tmp_path / "runs", "--kills", "50"),
        ],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["kills"] >= 50
    assert counts["kills while writing"] and counts["kills at a random time"]
    assert counts["equal ends"] == counts["runs"]
