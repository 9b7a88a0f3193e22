"""Averaged predictions against a reference that runs backbone and head by hand."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmseg.registry import MODELS
from PIL import Image

from seglab.mmseg_custom.engine.augmented import SCALES, averaged_probabilities
from seglab.utils.config_utils import load_config

HEIGHT, WIDTH = 50, 70  # not of the 32 that the network wants: it is padded


@pytest.fixture
def sample(tmp_path: Path, mmseg_scope: None) -> dict[str, Any]:
    """A photograph without any symmetry, as the test pipeline packs it."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(3).integers(0, 60, (HEIGHT, WIDTH, 3))
    picture = noise + (np.stack([2 * rows, columns, rows + columns], axis=2) % 190)
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "x.png")
    pipeline = Compose([dict(type="LoadImageFromFile"), dict(type="PackSegInputs")])
    packed = pipeline(dict(img_path=str(tmp_path / "x.png")))
    assert isinstance(packed, dict)
    return packed


def build(config: Path, logits: int) -> Any:
    """The tiny network with random weights, large enough in the last layer to say something."""
    head = load_config(config).model
    if logits == 1:
        head.decode_head.update(num_classes=2, out_channels=1, threshold=0.5)
        head.decode_head.loss_decode = dict(
            type="CrossEntropyLoss", use_sigmoid=True, avg_non_ignore=True
        )
    torch.manual_seed(1)
    model = MODELS.build(head)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=60.0)
    return model.eval()


@torch.no_grad()
def reference(model: Any, picture: np.ndarray, scales: tuple[float, ...]) -> np.ndarray:
    """(C, H, W): each enlargement and its mirror image through backbone and head.

    Args:
        model: The network.
        picture: (H, W, 3) uint8 BGR.
        scales: Enlargements.
    """
    found = []
    for scale in scales:
        size = (round(WIDTH * scale), round(HEIGHT * scale))
        large = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        for mirrored in (False, True):
            rgb = (large[:, ::-1] if mirrored else large)[..., ::-1].astype(np.float32)
            down, right = -size[1] % 32, -size[0] % 32
            padded = np.pad((rgb - 127.5) / 127.5, ((0, down), (0, right), (0, 0)))
            inputs = torch.from_numpy(padded.transpose(2, 0, 1)[None].copy())
            logits = model.decode_head(model.backbone(inputs))
            for shape, crop in ((padded.shape[:2], size), ((HEIGHT, WIDTH), (WIDTH, HEIGHT))):
                logits = torch.nn.functional.interpolate(logits, shape, mode="bilinear")
                logits = logits[..., : crop[1], : crop[0]]
            if logits.shape[1] == 1:
                sure = logits.sigmoid()
                chances = torch.cat([1 - sure, sure], dim=1)
            else:
                chances = logits.softmax(dim=1)
            values = chances[0].numpy()
            found.append(values[..., ::-1] if mirrored else values)
    return np.mean(found, axis=0)


@pytest.mark.parametrize(("logits", "classes"), [(3, 3), (1, 2)])
@pytest.mark.parametrize("scales", [(1.0,), (2.0,), SCALES])
def test_the_mean_over_enlargements_and_mirror_images(
    tiny_config: Path,
    sample: dict[str, Any],
    logits: int,
    classes: int,
    scales: tuple[float, ...],
) -> None:
    model = build(tiny_config, logits)
    picture = sample["inputs"].permute(1, 2, 0).numpy()
    before = sample["inputs"].clone()
    chances = averaged_probabilities(model, sample, classes, scales)
    assert chances.dtype == np.float32
    assert chances.shape == (classes, HEIGHT, WIDTH)
    np.testing.assert_allclose(chances.sum(axis=0), 1, atol=1e-5)
    expected = reference(model, picture, scales)
    # OpenCV and torch enlarge 8-bit pictures with at most one grey level between them.
    near = 1e-5 if scales == (1.0,) else 0.01
    np.testing.assert_allclose(chances, expected, atol=near)
    for other in {(1.0,), (1.5,), (2.0,), SCALES} - {scales}:  # none of these would pass
        assert abs(reference(model, picture, other) - expected).max() > 5 * near
    assert abs(expected - expected[..., ::-1]).max() > 5 * near
    assert torch.equal(sample["inputs"], before)
    assert tuple(sample["data_samples"].img_shape) == (HEIGHT, WIDTH)


def test_a_mirrored_picture_has_the_mirrored_prediction(
    tiny_config: Path, sample: dict[str, Any]
) -> None:
    model = build(tiny_config, 3)
    turned = {**sample, "inputs": sample["inputs"].flip(-1)}
    chances = averaged_probabilities(model, sample, 3, (1.0, 1.5))
    mirrored = averaged_probabilities(model, turned, 3, (1.0, 1.5))
    np.testing.assert_allclose(mirrored, chances[..., ::-1], atol=0.01)
    assert abs(mirrored - chances).max() > 0.1
