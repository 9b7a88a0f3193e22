"""Images of several sizes in one batch."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from seglab.data.preflight import run_preflight

from .conftest import draw_image, draw_mask


def add_larger(root: Path, split: str) -> None:
    draw_image(99, (20, 18)).save(root / "img" / split / "larger.jpg")
    draw_mask(1, (20, 18)).save(root / "labels" / split / "larger.png")


def found(config: Config) -> list[str]:
    return [f.message for f in run_preflight(config) if f.code == "mixed-sizes"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_mixed_sizes_share_batches(
    root: Path, make_config: Callable[..., Config], split: str
) -> None:
    assert found(make_config()) == []
    add_larger(root, split)
    (message,) = found(make_config())
    assert message.startswith(f"{split} split") and "16x16, 20x18" in message


@pytest.mark.parametrize("split", ["train", "val"])
def test_one_by_one_or_resized_they_may_differ(
    root: Path, make_config: Callable[..., Config], split: str
) -> None:
    add_larger(root, split)
    loader = f"{split}_dataloader"
    assert found(make_config(**{f"{loader}.batch_size": 1})) == []
    resized = {f"{loader}.dataset.pipeline": [{"type": "LoadImageFromFile"}, {"type": "Resize"}]}
    assert found(make_config(**resized)) == []


def test_training_pads_up_to_the_preprocessors_size(
    root: Path, make_config: Callable[..., Config]
) -> None:
    add_larger(root, "train")
    assert found(make_config(**{"model.data_preprocessor": {"size": (18, 20)}})) == []
    assert found(make_config(**{"model.data_preprocessor": {"size": (18, 19)}})) != []
    add_larger(root, "val")
    assert len(found(make_config(**{"model.data_preprocessor": {"size": (32, 32)}}))) == 1


def test_albumentations_brings_to_one_size_only_if_it_resizes(
    root: Path, make_config: Callable[..., Config]
) -> None:
    add_larger(root, "train")

    def with_steps(*names: str) -> Config:
        inner = [{"type": "OneOf", "transforms": [{"type": name} for name in names]}]
        steps = [{"type": "Albumentations", "transforms": inner}]
        return make_config(**{"train_dataloader.dataset.pipeline": steps})

    assert found(with_steps("HorizontalFlip", "Rotate")) != []
    assert found(with_steps("HorizontalFlip", "RandomCrop")) == []
