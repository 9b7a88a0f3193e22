"""A run that was stopped and resumed equals one that was not, bit for bit."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from resuming import BY_ITERATION, EVERYTHING, assert_equal_ends, make_starts_quick, run, stop_at
from yapf.yapflib import yapf_api

from seglab.mmseg_custom.datasets.seeded import seeded_loader
from seglab.utils.config_utils import building, load_config
from seglab.utils.resume_files import resume_files


@pytest.fixture(scope="module", autouse=True)
def quick_starts() -> Iterator[None]:
    """See `make_starts_quick`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, "FormatCode", yapf_api.FormatCode)
        make_starts_quick()
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_config_text: str) -> tuple[Path, Path]:
    """A config with everything that has a state, and a run of it that nobody disturbed."""
    folder = tmp_path_factory.mktemp("exact")
    (folder / "tiny.py").write_text(tiny_config_text)
    config = folder / "everything.py"
    config.write_text(EVERYTHING.format(base=str(folder / "tiny.py")))
    return config, run(config, folder / "undisturbed")


@pytest.mark.parametrize(
    "name",
    [
        "epoch_0_step_1.pth",  # gradients of one of two steps
        "epoch_1.pth",  # before its validation
        "epoch_1_step_2.pth",
        "epoch_2_step_2.pth",
    ],
)
def test_a_run_goes_on_as_if_it_had_not_stopped(
    finished: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    config, undisturbed = finished
    stop_at(undisturbed, name, tmp_path / "run")
    assert_equal_ends(undisturbed, run(config, tmp_path / "run", resume=True))


def test_what_is_newer_than_the_state_is_not_needed(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    """A kill right after a state was kept leaves neither its validation nor the best weights."""
    config, undisturbed = finished
    stop_at(undisturbed, "epoch_1.pth", tmp_path / "run")
    for path in (tmp_path / "run").glob("best_*"):
        path.unlink()
    (tmp_path / "run" / "history.jsonl").unlink()
    (tmp_path / "run" / ".epoch_1_step_1.x_3ab1cd.pth").write_bytes(b"half of a state")
    assert_equal_ends(undisturbed, run(config, tmp_path / "run", resume=True))
    assert not list((tmp_path / "run").glob(".*.pth"))


def test_early_stopping_counts_no_validation_twice(tiny_config: Path, tmp_path: Path) -> None:
    config = tmp_path / "everything.py"
    text = EVERYTHING.format(base=str(tiny_config)).replace("max_epochs=3", "max_epochs=9")
    config.write_text(text.replace("patience=2", "patience=2, min_delta=100"))
    undisturbed = run(config, tmp_path / "undisturbed")
    assert resume_files(undisturbed)[0].name == "epoch_3.pth"  # the first is best, two are not
    for name in ("epoch_2.pth", "epoch_3.pth"):
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
    for step in (2, 3):  # a validation follows the third
        folder = tmp_path / str(step)
        stop_at(undisturbed, f"iter_{step}.pth", folder)
        for path in (*folder.glob("best_*"), folder / "history.jsonl"):
            path.unlink()
        assert_equal_ends(undisturbed, run(config, folder, resume=True))


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


def test_two_processes_stop_and_go_on_together(
    tiny_config: Path, tmp_path: Path, project_root: Path
) -> None:
    config = tmp_path / "everything.py"
    text = EVERYTHING.format(base=str(tiny_config))
    text = text.replace("momentum=0.5", "momentum=0.5, update_buffers=True")
    config.write_text(text + "train_dataloader = dict(batch_size=2)\n")
    done = subprocess.run(
        [sys.executable, project_root / "tests" / "two_processes.py", config, tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "codes": [[0, 0], [143, 143], [0, 0]],
        "kept": "epoch_1_step_2.pth",
        "different": [],
    }
