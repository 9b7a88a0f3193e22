"""A small sound data set on disk and a sound config for it; tests then spoil one thing."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

CLASSES = ("background", "cat", "dog")
SIZE = 16


def draw_image(seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> Image.Image:
    """An RGB image of noise, another for each seed; size is (width, height)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def draw_mask(label: int, size: tuple[int, int] = (SIZE, SIZE)) -> Image.Image:
    """A mode L mask with a square of `label` on background."""
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[4:10, 4:12] = label
    return Image.fromarray(pixels)


def write_pair(root: Path, split: str, name: str, seed: int, label: int) -> tuple[Path, Path]:
    """Write image and mask of one sample; returns their paths."""
    image = root / "img" / split / f"{name}.jpg"
    mask = root / "labels" / split / f"{name}.png"
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    draw_image(seed).save(image, quality=95)
    draw_mask(label).save(mask)
    return image, mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sound data set: train a, b, c, d and val e, f, each with a cat or a dog."""
    for seed, name in enumerate("abcd"):
        write_pair(tmp_path, "train", name, seed, 1 + seed % 2)
    for seed, name in enumerate("ef", start=4):
        write_pair(tmp_path, "val", name, seed, 1 + seed % 2)
    return tmp_path


def dataset_dict(root: Path, split: str, **options: Any) -> dict[str, Any]:
    """The config of one `MaskFolderDataset`."""
    return {
        "type": "MaskFolderDataset",
        "data_root": str(root),
        "split": split,
        "img_dir": "img",
        "mask_dir": "labels",
        "img_suffix": ".jpg",
        "seg_map_suffix": ".png",
        "metainfo": {"classes": CLASSES},
        **options,
    }


def config_dict(root: Path) -> dict[str, Any]:
    """A config in which there is nothing to find."""
    norm_cfg = {"type": "BN"}
    return {
        "model": {
            "backbone": {"type": "ResNetV1c", "norm_cfg": norm_cfg},
            "decode_head": {
                "type": "DepthwiseSeparableASPPHead",
                "num_classes": 3,
                "norm_cfg": norm_cfg,
                "loss_decode": {"type": "ComboLoss"},
            },
            "auxiliary_head": {
                "type": "FCNHead",
                "num_classes": 3,
                "norm_cfg": norm_cfg,
                "loss_decode": [{"type": "CrossEntropyLoss", "class_weight": [0.1, 1.0, 1.0]}],
            },
        },
        "train_dataloader": {
            "batch_size": 2,
            "sampler": {"type": "DefaultSampler"},
            "dataset": dataset_dict(root, "train"),
        },
        "val_dataloader": {"batch_size": 2, "dataset": dataset_dict(root, "val")},
        "val_cfg": {},
        "train_cfg": {"type": "EpochBasedTrainLoop", "max_epochs": 10},
        "optim_wrapper": {"optimizer": {"type": "AdamW", "lr": 1e-3}},
        "param_scheduler": [{"type": "WarmupDecayLR", "warmup_ratio": 0.1}],
    }


@pytest.fixture
def make_config(root: Path) -> Callable[..., Config]:
    """Build the sound config, with some keys replaced (deep, as by --cfg-options)."""

    def make(**changes: Any) -> Config:
        cfg = Config(config_dict(root))
        cfg.merge_from_dict(deepcopy(changes))  # it takes `_delete_` out of what it is given
        return cfg

    return make
