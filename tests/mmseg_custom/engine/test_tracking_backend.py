"""What mmengine reports arrives in the journal under the field's names, or nowhere."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import VISBACKENDS
from PIL import Image as PillowImage

from seglab.mmseg_custom.engine import SeglabClearMLBackend
from seglab.mmseg_custom.engine.tracking_backend import track_epoch
from seglab.utils.tracking.journal import Image, Scalar, Text, read_journal


@pytest.fixture
def backend(tmp_path: Path, mmseg_scope: None) -> SeglabClearMLBackend:
    """As a Runner builds it, with a folder that is not there yet."""
    node = dict(type="SeglabClearMLBackend", save_dir="x", folder=str(tmp_path / "tracking"))
    return VISBACKENDS.build(node)


def points(folder: Path) -> dict[tuple[str, str, int], float]:
    """The journal's scalars: (title, series, step) -> value."""
    entries = [entry for entry in read_journal(folder) if isinstance(entry, Scalar)]
    return {(entry.title, entry.series, entry.step): entry.value for entry in entries}


def test_what_the_logger_hook_reports(backend: SeglabClearMLBackend, tmp_path: Path) -> None:
    backend.add_scalars({"lr": 0.01, "loss": torch.tensor(0.5), "decode.loss_ce": 0.4}, step=10)
    backend.add_scalars({"time": 0.2, "data_time": 0.1, "memory": 900, "epoch": 1}, step=10)
    backend.add_scalars(
        {"val/mDice": np.float32(88.5), "val/Dice/dog": 80.0, "time": 9.0, "data_time": 3.0}, step=2
    )
    backend.add_scalar("val/mIoU", 70.0, step=2)
    backend.add_scalars({"dev/mDice": 1.0, "time": 7.0}, step=2)  # of another evaluator
    assert points(tmp_path / "tracking") == {
        ("lr", "lr", 10): 0.01,
        ("loss", "loss", 10): 0.5,
        ("loss", "decode.loss_ce", 10): 0.4,
        ("time", "time", 10): 0.2,
        ("data_time", "data_time", 10): 0.1,
        ("memory", "memory", 10): 900.0,
        ("val", "mDice", 2): 88.5,
        ("val/Dice", "dog", 2): 80.0,
        ("val", "time", 2): 7.0,  # counted in epochs: not among the training's
        ("dev", "mDice", 2): 1.0,
        ("val", "data_time", 2): 3.0,
        ("val", "mIoU", 2): 70.0,
    }


def test_what_is_no_number_is_left_out(backend: SeglabClearMLBackend, tmp_path: Path) -> None:
    backend.add_scalars(
        {"a": math.nan, "b": math.inf, "c": "word", "d": np.zeros(3), "e": None, "f": 1}, step=1
    )
    backend.add_scalars({"g": 10**400, "h": torch.zeros(2)}, step=1)
    assert points(tmp_path / "tracking") == {("f", "f", 1): 1.0}


def test_an_epochs_means_have_a_title_of_their_own(
    backend: SeglabClearMLBackend, tmp_path: Path
) -> None:
    backend.add_epoch({"epoch": 3, "iter": 30, "lr": 0.1, "loss": 2.0, "val/mDice": 1.0}, 3)
    assert points(tmp_path / "tracking") == {
        ("epoch/lr", "lr", 3): 0.1,
        ("epoch/loss", "loss", 3): 2.0,
    }


def test_images(backend: SeglabClearMLBackend, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    backend.add_image("panel/cat 1", image, step=4)
    (entry,) = read_journal(tmp_path / "tracking")
    assert isinstance(entry, Image)
    assert (entry.title, entry.series, entry.step) == ("panel", "cat 1", 4)
    assert np.array_equal(np.array(PillowImage.open(tmp_path / entry.file)), image)


def test_the_journal_takes_other_entries_and_opens_again(
    backend: SeglabClearMLBackend, tmp_path: Path
) -> None:
    assert backend.experiment is not None
    backend.experiment.add(Text("one"))
    backend.close()
    backend.close()
    backend.add_scalar("loss", 1.0, step=1)
    assert [type(entry) for entry in read_journal(tmp_path / "tracking")] == [Text, Scalar]


def test_without_a_folder_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmseg_scope: None
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = VISBACKENDS.build(dict(type="SeglabClearMLBackend", save_dir=str(tmp_path)))
    backend.add_config(Config(dict(a=1)))
    backend.add_scalars({"loss": 1.0}, step=1)
    backend.add_epoch({"loss": 1.0}, 1)
    backend.add_image("x", np.zeros((2, 2, 3), np.uint8))
    backend.close()
    assert backend.experiment is None
    assert list(tmp_path.iterdir()) == []


def test_a_config_alone_makes_no_folder(backend: SeglabClearMLBackend, tmp_path: Path) -> None:
    # The Runner gives it before anything can still refuse the run.
    backend.add_config(Config(dict(a=1)))
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_reaches_ours_among_other_backends(
    backend: SeglabClearMLBackend, tmp_path: Path
) -> None:
    class Visualizer:
        _vis_backends = {"local": object(), "ours": backend}  # noqa: RUF012

    track_epoch(Visualizer(), {"loss": 1.5}, 2)
    assert points(tmp_path / "tracking") == {("epoch/loss", "loss", 2): 1.5}


def test_what_cannot_be_recorded_is_a_warning(
    backend: SeglabClearMLBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend.add_image("heat", np.zeros((4, 4, 3)), step=1)  # not uint8: Pillow refuses it
    backend.add_scalars({5: 1.0}, step=1)  # type: ignore[dict-item]
    backend.add_scalar("loss", 1.0, step=2)
    assert caplog.text.count("the run goes on") == 2
    assert points(tmp_path / "tracking") == {("loss", "loss", 2): 1.0}
