"""What the tests of training's and testing's parts share."""

from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS

from seglab.utils.config_utils import load_config


@pytest.fixture
def checkpoint(tiny_config: Path, tmp_path: Path, mmseg_scope: None) -> Path:
    """Random weights of the tiny network, as a checkpoint."""
    torch.manual_seed(1)
    model = MODELS.build(load_config(tiny_config).model)
    # Large last-layer weights: otherwise one class wins everywhere and nothing is tested.
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=5.0)
    meta = {"dataset_meta": {"classes": ("background", "cat", "dog")}}
    path = tmp_path / "model.pth"
    torch.save({"state_dict": model.state_dict(), "meta": meta}, path)
    return path
