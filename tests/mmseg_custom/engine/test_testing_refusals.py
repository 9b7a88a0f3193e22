"""Bad input of a test: one message that names the file, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seglab.mmseg_custom.engine.testing import TestOptions as Options
from seglab.mmseg_custom.engine.testing import test as run_test
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError

pytestmark = pytest.mark.usefixtures("mmseg_scope")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three images with their labels."""
    random = np.random.default_rng(0)
    for index in range(3):
        for folder, name in (("img", "jpg"), ("labels", "png")):
            (tmp_path / "data" / folder / "val" / "a").mkdir(parents=True, exist_ok=True)
            shape = (64, 64, 3) if folder == "img" else (64, 64)
            pixels = random.integers(0, 3, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / folder / f"val/a/{index}.{name}")
    return tmp_path / "data"


@pytest.fixture
def refused(tiny_config: Path, checkpoint: Path, tmp_path: Path, data: Path) -> Callable[..., str]:
    """Test, be refused, leave nothing; gives the message."""

    def start(*overrides: str, out: Path | None = None) -> str:
        folder = out or tmp_path / "out"
        config = load_config(tiny_config, overrides, data)
        with pytest.raises(UserError) as caught:
            run_test(config, Options(checkpoint, "val", folder, device="cpu"))
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    return start


def test_the_data_is_sound(tiny_config: Path, checkpoint: Path, tmp_path: Path, data: Path) -> None:
    config = load_config(tiny_config, [], data)
    options = Options(checkpoint, "val", tmp_path / "out", device="cpu", pictures=0)
    assert run_test(config, options).metrics["images/mDice"] == 3


def test_no_labels_at_all(refused: Callable[..., str], data: Path) -> None:
    (data / "labels").rename(data / "elsewhere")
    message = refused()
    assert f"3 of 3 images of the val split have no label in {data}/labels/val/a" in message


def test_some_labels_missing(refused: Callable[..., str], data: Path) -> None:
    (data / "labels" / "val" / "a" / "1.png").unlink()
    assert "1 of 3 images of the val split have no label in " in (message := refused())
    assert "e.g. 1.png" in message


def test_an_empty_split(refused: Callable[..., str], data: Path) -> None:
    for path in (data / "img" / "val" / "a").iterdir():
        path.unlink()
    assert f"no images in {data}/img/val" in refused()


def test_a_split_that_is_not_there(refused: Callable[..., str], data: Path) -> None:
    (data / "img" / "val").rename(data / "img" / "other")
    assert f"image folder not found: {data}/img/val" in refused()


@pytest.mark.parametrize("size", [(64, 32), (128, 128)])
def test_a_label_of_another_size(
    refused: Callable[..., str], data: Path, size: tuple[int, int]
) -> None:
    path = data / "labels" / "val" / "a" / "1.png"
    Image.new("L", size).save(path)
    message = refused()
    assert message.startswith("a/1.jpg: the prediction is (64, 64) and the truth")
    assert str(path) in message


def test_a_label_that_is_no_class(refused: Callable[..., str], data: Path) -> None:
    path = data / "labels" / "val" / "a" / "2.png"
    Image.fromarray(np.full((64, 64), 7, dtype=np.uint8)).save(path)
    message = refused()
    assert message.startswith("a/2.jpg: the truth holds values that are no class (0 to 2): 7")
    assert str(path) in message


def test_nothing_but_ignored_pixels(refused: Callable[..., str], data: Path) -> None:
    for path in (data / "labels" / "val" / "a").iterdir():
        Image.fromarray(np.full((64, 64), 255, dtype=np.uint8)).save(path)
    assert "there are no labelled pixels to evaluate" in refused()


def test_a_model_of_more_classes_than_the_data(
    refused: Callable[..., str], checkpoint: Path
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    torch.save({"state_dict": content["state_dict"]}, checkpoint)  # it does not say its classes
    metainfo = "{'classes': ('background', 'cat'), 'palette': [[0, 0, 0], [9, 9, 9]]}"
    splits = ("train", "val", "test")
    message = refused(*(f"{split}_dataloader.dataset.metainfo={metainfo}" for split in splits))
    assert "no class (0 to 1)" in message or "3 logits for 2 classes" in message


def test_a_folder_that_cannot_be_written(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "--output-dir" in refused(out=tmp_path / "file")


def test_a_checkpoint_that_is_not_there(tiny_config: Path, data: Path, tmp_path: Path) -> None:
    options = Options(tmp_path / "no.pth", "val", tmp_path / "out", device="cpu")
    with pytest.raises(UserError, match=r"checkpoint not found: .*no\.pth"):
        run_test(load_config(tiny_config, [], data), options)
