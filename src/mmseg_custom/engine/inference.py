"""Load a trained model and run it on images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import nn

import seglab.mmseg_custom as _registered  # noqa: F401
from seglab.mmseg_custom.engine.console import quiet_console
from seglab.utils.checkpoint_utils import load_checkpoint_file, load_weights_into
from seglab.utils.config_utils import building, class_names, take_pretrained
from seglab.utils.errors import UserError
from seglab.utils.image_limits import open_image

LabelArray = npt.NDArray[np.uint8]


def load_model(
    config: Config, checkpoint: str | Path, device: str, trust: bool = False
) -> nn.Module:
    """Build the config's model with a checkpoint's weights, ready for inference.

    Args:
        config: The config the checkpoint was trained with.
        checkpoint: A `.pth` or `.safetensors` file.
        device: 'cpu' or 'cuda'.
        trust: Unpickle a checkpoint that holds more than weights, see `load_checkpoint_file`.

    Returns:
        The model on the device, in evaluation mode.

    Raises:
        UserError: The checkpoint is missing, damaged, or of another model or other classes.
    """
    content = load_checkpoint_file(checkpoint, trust=trust)
    trained = _trained_classes(content)
    if trained and trained != class_names(config):
        raise UserError(
            f"checkpoint {checkpoint} was trained for the classes {', '.join(trained)}; the "
            f"config declares {', '.join(class_names(config))}",
            "use the config the checkpoint was trained with (config.json beside it)",
        )
    model = build_model(config)
    load_weights_into(model, content, checkpoint)
    quiet_console(MMLogger.get_current_instance())
    return model.to(device).eval()


def build_model(config: Config) -> nn.Module:
    """Build the config's model without pretrained weights: a checkpoint holds every weight.

    Raises:
        UserError: It does not build.
    """
    register_all_modules(init_default_scope=False)
    init_default_scope("mmseg")
    take_pretrained(config)
    with building(config):
        model: nn.Module = MODELS.build(config.model)
    return model


def _trained_classes(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes that a checkpoint says it was trained for; none where it does not say."""
    known = content.get("meta", {}).get("dataset_meta")
    classes = known.get("classes") if isinstance(known, Mapping) else None
    return tuple(map(str, classes)) if isinstance(classes, list | tuple) else ()


@torch.inference_mode()
def run_batch(model: nn.Module, batch: dict[str, Any]) -> list[Any]:
    """Segment a batch as a data loader yields it; see `predict_batch`."""
    step = model.test_step
    assert callable(step)
    return list(step(batch))


def predict_batch(model: nn.Module, samples: Sequence[dict[str, Any]]) -> list[Any]:
    """Segment packed samples.

    Args:
        model: From `load_model`.
        samples: Each with `inputs`, a (3, H, W) uint8 BGR tensor, and `data_samples`.

    Returns:
        mmseg's `SegDataSample`s with `pred_sem_seg` set.
    """
    return run_batch(model, pseudo_collate(samples))


def label_map(sample: Any) -> LabelArray:
    """The predicted class of each pixel of a `SegDataSample`: (H, W) uint8."""
    labels: LabelArray = sample.pred_sem_seg.data.squeeze(0).cpu().numpy().astype(np.uint8)
    return labels


class ImageSegmenter:
    """Segments image files of any size.

    Args:
        model: From `load_model`.
        image_size: (width, height) the model was trained at; images are scaled to fit into it
            and the prediction is scaled back. None runs them at their own size.
    """

    def __init__(self, model: nn.Module, image_size: tuple[int, int] | None) -> None:
        self.model = model
        self.image_size = image_size
        load, pack = dict(type="LoadImageFromFile"), dict(type="PackSegInputs")
        self._native = Compose([load, pack])
        resize = dict(type="Resize", scale=image_size, keep_ratio=True)
        self._scaled = self._native if image_size is None else Compose([load, resize, pack])

    def __call__(self, path: str | Path) -> LabelArray:
        """The class of each pixel of an image file: (H, W) uint8 at the image's own size."""
        pipeline = self._scaled if self._fits(path) else self._native
        sample = pipeline(dict(img_path=str(path)))
        return label_map(predict_batch(self.model, [sample])[0])

    def _fits(self, path: str | Path) -> bool:
        """Whether an image is to be scaled: a hair-thin one would be left without pixels."""
        if self.image_size is None:
            return False
        with open_image(Path(path)) as image:
            return max(image.size) < min(image.size) * min(self.image_size)
