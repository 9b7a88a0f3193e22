"""A disk that is full is reported, and training goes on with the state kept before."""

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from resuming import EVERYTHING, assert_equal_ends, make_starts_quick, run
from yapf.yapflib import yapf_api

from seglab.mmseg_custom.engine import checkpointing
from seglab.mmseg_custom.evaluation import ConfusionMetric
from seglab.utils.checkpoint_utils import facts_path
from seglab.utils.resume_files import newest_valid

FILLER = "filler.bin"


def limit_files(size: int) -> None:
    """Have every file end at so many bytes: the writer gets EFBIG, as ENOSPC on a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def fill(folder: Path) -> None:
    """Take the rest of a file system."""
    with (folder / FILLER).open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            return


@HOOKS.register_module()
class FullDiskHook(Hook):
    """Leaves no room during the second of three epochs."""

    priority = "VERY_HIGH"

    def __init__(self, real: bool) -> None:
        self.real = real

    def before_train_epoch(self, runner: Any) -> None:
        """Fill the disk, or make room again; notes what is there to resume from."""
        folder = Path(runner.work_dir)
        if runner.epoch == 1:
            fill(folder.parent) if self.real else limit_files(40_000)
        if runner.epoch == 2:
            point = newest_valid(folder)
            assert point is not None and point.path.name == "epoch_1.pth" and not point.skipped
            if self.real:
                (folder.parent / FILLER).unlink()
            else:
                limit_files(resource.RLIM_INFINITY)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, tiny_config_text: str
) -> Iterator[tuple[Path, Path]]:
    """A config, and a run of it on a disk with room."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "tiny.py").write_text(tiny_config_text)
    text = EVERYTHING.format(base=str(folder / "tiny.py")).replace("max_keep_ckpts=-1", "")
    (folder / "everything.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, "FormatCode", yapf_api.FormatCode)
        make_starts_quick()
        yield folder / "everything.py", run(folder / "everything.py", folder / "undisturbed")


def with_full_disk(config: Path, folder: Path, real: bool) -> Path:
    path = folder / "full.py"
    path.write_text(
        f"_base_ = [{str(config)!r}]\n"
        f"custom_hooks = [*_base_.custom_hooks, dict(type='FullDiskHook', real={real})]\n"
    )
    return path


def test_files_that_cannot_grow(
    undisturbed: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, expected = undisturbed
    try:
        run(with_full_disk(config, tmp_path, False), tmp_path / "run")
    finally:
        limit_files(resource.RLIM_INFINITY)
    out = capsys.readouterr().out
    assert "warning: training goes on, with epoch_1.pth to resume from: cannot write" in out
    assert "epoch_1_step_1.pth: File too large" in out
    assert_equal_ends(expected, tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))  # nothing half written


def test_a_disk_that_is_really_full(
    undisturbed: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, expected = undisturbed
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only an administrator can mount a small disk")
    try:
        run(with_full_disk(config, tmp_path, True), disk / "run")
        assert_equal_ends(expected, disk / "run")
        assert not list((disk / "run").glob(".*"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)  # the log is open
    out = capsys.readouterr().out
    assert "warning: training goes on, with epoch_1.pth to resume from: cannot write" in out
    assert "history.jsonl: No space left on device" in out


def test_the_next_best_weights_are_kept_where_the_best_found_no_room(
    undisturbed: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripted = iter([50.0, 90.0, 70.0, 60.0])
    real = checkpointing.write_weights

    def compute_metrics(self: ConfusionMetric, results: object) -> dict[str, float]:
        return {"mDice": next(scripted)}

    def write_weights(path: Path, *more: Any) -> None:
        if path.stem.endswith("_2"):
            facts_path(path).write_text("{}")  # which is written first
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, *more)

    monkeypatch.setattr(ConfusionMetric, "compute_metrics", compute_metrics)
    monkeypatch.setattr(checkpointing, "write_weights", write_weights)
    folder = run(undisturbed[0], tmp_path / "run", ["train_cfg.max_epochs=4"])
    stem = "best_val_mDice_epoch_3"
    names = [f"{stem}.json", f"{stem}.safetensors", f"{stem}.safetensors.sha256"]
    assert sorted(path.name for path in folder.glob("best_*")) == names
