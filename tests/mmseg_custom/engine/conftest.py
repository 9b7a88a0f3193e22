"""What the tests of training's and testing's parts share."""

from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS

from seglab.mmseg_custom.datasets.samples import build_dataset
from seglab.mmseg_custom.engine.inference import load_model
from seglab.utils.config_utils import load_config

ONE_LOGIT = """
metainfo = dict(classes=("background", "animal"), palette=[[0, 0, 0], [230, 159, 0]])
{splits}
model = dict(
    _delete_=True, type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True,
        size=(64, 64), seg_pad_val=255,
    ),
    backbone=dict(type="SimpleEncoder", width=4),
    decode_head=dict(
        type="SimpleDecoder", in_channels=8, num_classes=2, out_channels=1,
        loss_decode=dict(type="ComboLoss"),
    ),
    train_cfg=dict(), test_cfg=dict(mode="whole"),
)
"""


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


@pytest.fixture
def one_logit(tiny_pets: Path, tiny_config_text: str, tmp_path: Path, project_root: Path) -> Path:
    """A config of the smallest network on the tiny pets, border ignored."""
    base = tmp_path / "base.py"
    base.write_text(tiny_config_text.replace("datasets/pets_coco.py", "datasets/oxford_pet.py"))
    loaders = "".join(
        f'{split}_dataloader = dict(dataset=dict(data_root="{tiny_pets}"))\n'
        for split in ("train", "val", "test")
    )
    path = tmp_path / "one_logit.py"
    path.write_text('_base_ = ["base.py"]\n' + ONE_LOGIT.format(splits=loaders))
    return path


@pytest.fixture
def weights(one_logit: Path, tmp_path: Path, mmseg_scope: None) -> Path:
    """Random weights whose probabilities are all over the place, mostly below one half."""
    torch.manual_seed(2)
    model = MODELS.build(load_config(one_logit).model)
    torch.nn.init.normal_(model.decode_head.layers[-1].weight, std=4.0)
    torch.nn.init.constant_(model.decode_head.layers[-1].bias, -1.0)
    path = tmp_path / "k.pth"
    torch.save({"state_dict": model.state_dict()}, path)
    return path


@pytest.fixture
def balanced(one_logit: Path, weights: Path, tmp_path: Path) -> Path:
    """These weights, moved so that half of the first training image is an animal."""
    config = load_config(one_logit)
    model = load_model(config, weights, "cpu")
    sample = build_dataset(config, config.train_dataloader.dataset)[0]
    with torch.inference_mode():
        pixels = sample["inputs"][None].flip(1).float().sub(127.5).div(127.5)
        median = model.decode_head(model.backbone(pixels)).median()
    content = torch.load(weights)
    content["state_dict"]["decode_head.layers.2.bias"] -= median
    torch.save(content, tmp_path / "balanced.pth")
    return tmp_path / "balanced.pth"
