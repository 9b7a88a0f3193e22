"""smp's networks as segmentors: its own logits, in mmseg's contract."""

from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image

from seglab.mmseg_custom.engine.augmented import averaged_probabilities
from seglab.mmseg_custom.engine.inference import load_model
from seglab.mmseg_custom.engine.prediction import predict_images
from seglab.mmseg_custom.models import SMPSegmentor
from seglab.mmseg_custom.models.pretrained import load_backbone
from seglab.utils.config_utils import load_config, take_pretrained
from seglab.utils.errors import UserError
from seglab.utils.weights import find_weights

ONE_LOGIT = dict(num_classes=2, out_channels=1, loss_decode=dict(type="ComboLoss"))
pytestmark = pytest.mark.usefixtures("mmseg_scope")


def segmentor(arch: str = "Unet", encoder: str = "resnet18", **kwargs) -> SMPSegmentor:
    kwargs.setdefault("decode_head", ONE_LOGIT)
    config = dict(
        type="SMPSegmentor",
        arch=arch,
        encoder_name=encoder,
        data_preprocessor=dict(
            type="SegDataPreProcessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True,
            size=(64, 64), seg_pad_val=255, test_cfg=dict(size_divisor=32),
        ),
        test_cfg=ConfigDict(mode="whole"),
        **kwargs,
    )  # fmt: skip
    return MODELS.build(config)


def names_in_smp(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our state dict as smp's own model names it."""
    prefixes = ("backbone.", "decode_head.")
    return {
        key.removeprefix(prefix): value
        for key, value in state.items()
        for prefix in prefixes
        if key.startswith(prefix)
    }


def sample(label: np.ndarray) -> SegDataSample:
    height, width = label.shape
    truth = PixelData(data=torch.from_numpy(label)[None].long())
    shape = (height, width)
    metainfo = dict(img_shape=shape, ori_shape=shape, pad_shape=shape)
    return SegDataSample(gt_sem_seg=truth, metainfo=metainfo)


PAIRS = [
    (cls.__name__, "resnet18", {})
    for cls in smp.MODEL_ARCHITECTURES_MAPPING.values()
    if cls.__name__ != "DPT"
]
PAIRS += [
    ("Unet", "mit_b0", {}),
    ("Unet", "tu-test_efficientnet", {}),
    ("Unet", "tu-tf_efficientnet_lite2", {}),
    ("Unet", "mobilenet_v2", dict(decoder_channels=(32, 16, 8, 8, 4))),
    ("DPT", "tu-vit_tiny_patch16_224", dict(dynamic_img_size=True)),
]


@pytest.mark.parametrize(("arch", "encoder", "options"), PAIRS, ids=lambda value: str(value))
@pytest.mark.parametrize("logits", [1, 3])
def test_the_logits_are_smps(arch: str, encoder: str, options: dict, logits: int) -> None:
    torch.manual_seed(0)
    head = dict(num_classes=max(2, logits), out_channels=logits, loss_decode=dict(type="ComboLoss"))
    ours = segmentor(arch, encoder, decode_head=head, arch_options=options).eval()
    theirs = smp.create_model(arch, encoder, encoder_weights=None, classes=logits, **options).eval()
    theirs.load_state_dict(names_in_smp(ours.state_dict()), strict=True)
    images = torch.randn(1, 3, 128, 128)  # PAN pools what is smaller to nothing
    with torch.no_grad():
        expected = theirs(images)
        torch.testing.assert_close(ours(images), expected, rtol=0, atol=1e-5)
    metas = [dict(img_shape=(128, 128), pad_shape=(128, 128))]
    with torch.no_grad():
        torch.testing.assert_close(ours.encode_decode(images, metas), expected, rtol=0, atol=1e-5)


def test_loss_prediction_and_threshold_of_one_logit() -> None:
    torch.manual_seed(0)
    head = {**ONE_LOGIT, "threshold": 0.4}
    model = segmentor(decode_head=head).eval()
    label = np.zeros((64, 64), dtype=np.uint8)
    label[:, :20] = 1
    label[:9] = 255
    images = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    data = dict(inputs=[images], data_samples=[sample(label)])
    with torch.no_grad():
        (result,) = model.test_step(data)
        batch = model.data_preprocessor(data, True)
        losses = model(**batch, mode="loss")
        logit = model(batch["inputs"])[0, 0].double().numpy()
    probability = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(result.seg_logits.data[0].numpy(), probability, atol=1e-6)
    assert np.array_equal(result.pred_sem_seg.data[0].numpy(), probability > 0.4)
    # Cross-entropy and Dice of the probabilities, by hand.
    kept, true = label != 255, label == 1
    p, y = probability[kept], true[kept].astype(float)
    ce = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    dice = 1 - 2 * (p * y).sum() / (p.sum() + y.sum())
    assert losses["decode.loss_combo"].item() == pytest.approx(0.5 * ce + 0.5 * dice, abs=1e-5)
    right = ((p > 0.4) == y.astype(bool)).mean()
    assert losses["decode.acc_seg"].item() == pytest.approx(100 * right, abs=1e-3)


def test_the_default_threshold_is_one_half_and_nonsense_is_refused() -> None:
    assert segmentor().decode_head.threshold == 0.5
    with pytest.raises(UserError, match="threshold is 50"):
        segmentor(decode_head={**ONE_LOGIT, "threshold": 50})


def test_images_of_any_size_come_back_at_their_size() -> None:
    model = segmentor("FPN").eval()  # an architecture that insists on multiples of 32
    image = torch.randint(0, 256, (3, 50, 70), dtype=torch.uint8)
    (result,) = model.test_step(
        dict(inputs=[image], data_samples=[sample(np.zeros((50, 70), np.uint8))])
    )
    assert result.pred_sem_seg.data.shape == (1, 50, 70)


def test_memory_order_changes_speed_not_values() -> None:
    plain = segmentor(encoder="tu-test_efficientnet").eval()
    nhwc = segmentor(encoder="tu-test_efficientnet", channels_last=True).eval()
    nhwc.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 64, 64)
    features = nhwc.backbone(images)
    assert features[-1].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(nhwc(images), plain(images), rtol=1e-4, atol=1e-5)


def test_the_initial_weights_are_smps_and_follow_the_seed() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        model = segmentor()
        model.init_weights()
        states.append(model.state_dict())
    torch.manual_seed(3)
    theirs = smp.Unet("resnet18", encoder_weights=None, classes=1).state_dict()
    for key, value in names_in_smp(states[0]).items():
        assert torch.equal(value, theirs[key]), key
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_the_packages_weights_land_in_the_encoder() -> None:
    model = segmentor(encoder="tu-tf_efficientnet_lite2")
    load_backbone(model.backbone, "efficientnet_lite2")
    package = torch.load(find_weights("efficientnet_lite2"), weights_only=True)
    loaded = list(model.backbone.encoder.state_dict().values())
    for ours, theirs in zip(loaded, package.values(), strict=False):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0", "tu-test_convnext"])
def test_published_encoders_and_whole_smp_models_are_taken(tmp_path: Path, encoder: str) -> None:
    theirs = smp.Unet(encoder, encoder_weights=None, classes=1)
    states = {"encoder": theirs.encoder.state_dict(), "whole": theirs.state_dict()}
    if encoder.startswith("tu-"):
        import timm

        states["classifier"] = timm.create_model(encoder.removeprefix("tu-")).state_dict()
    for name, state in states.items():
        torch.save(state, tmp_path / f"{name}.pth")
        model = segmentor(encoder=encoder)
        load_backbone(model.backbone, str(tmp_path / f"{name}.pth"))
        source = {k.replace(".", "_"): v for k, v in state.items()}
        for key, value in model.backbone.encoder.state_dict().items():
            flat = key.replace(".", "_")
            candidates = {flat, flat.removeprefix("model_"), f"encoder_{flat}"}
            (match,) = (source[c] for c in candidates if c in source)
            assert torch.equal(value, match), key


@pytest.mark.parametrize("encoder", ["resnet18", "tu-test_efficientnet"])
def test_a_model_inside_a_lightning_module_is_taken(tmp_path: Path, encoder: str) -> None:
    """As in smp's own examples, whose checkpoints call the network `model`."""
    theirs = smp.Unet(encoder, encoder_weights=None, classes=1)
    state = {f"model.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({"state_dict": {**state, "mean": torch.zeros(3)}}, tmp_path / "last.ckpt")
    model = segmentor(encoder=encoder)
    load_backbone(model.backbone, str(tmp_path / "last.ckpt"))
    loaded = model.backbone.encoder.state_dict()
    for key, value in theirs.encoder.state_dict().items():
        assert torch.equal(loaded[key], value), key


def test_weights_in_the_config_are_loaded_by_other_programs_as_well(tmp_path: Path) -> None:
    encoder = smp.Unet("resnet18", encoder_weights=None).encoder
    torch.save(encoder.state_dict(), tmp_path / "x.pth")
    model = segmentor(pretrained=str(tmp_path / "x.pth"))
    assert torch.equal(model.backbone.encoder.conv1.weight, encoder.conv1.weight)
    with pytest.raises(UserError, match="another architecture"):
        segmentor(encoder="resnet34", pretrained=str(tmp_path / "x.pth"))


@pytest.mark.parametrize(
    ("change", "message", "fix"),
    [
        (dict(arch="Unett"), "no architecture 'Unett'", "Unet"),
        (dict(encoder="resnet43"), "no encoder 'resnet43'", "resnet34"),
        (dict(encoder="tu-nothing_at_all"), "cannot build Unet on tu-nothing_at_all", "timm"),
        (dict(arch_options=dict(activation="sigmoid")), "arch_options holds activation", "logits"),
        (dict(arch_options=dict(width=3)), "Unet takes no width", "decoder_channels"),
        (dict(arch_options=dict(decoder_channels=(3,))), "cannot build Unet", "documentation"),
    ],
)
def test_a_wrong_name_is_a_users_mistake(change: dict, message: str, fix: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        segmentor(**change)
    assert fix in caught.value.fix


def test_tools_work_on_it_unchanged(tiny_pets: Path, tmp_path: Path, project_root: Path) -> None:
    """Predicting files, and the averaged probabilities that the audit judges by."""
    config = load_config(
        project_root / "configs" / "unet_lite.py",
        ["model.encoder_name=tu-test_efficientnet", "model.data_preprocessor.size=(64,64)"],
        tiny_pets,
    )
    take_pretrained(config)
    torch.manual_seed(0)
    weights = tmp_path / "k.pth"
    torch.save({"state_dict": MODELS.build(config.model).state_dict()}, weights)
    image = next((tiny_pets / "images").glob("*.jpg"))
    predict_images(config, weights, {image: Path("a")}, tmp_path / "out", device="cpu")
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "a.png"))
    assert mask.shape == np.asarray(Image.open(image)).shape[:2] and set(np.unique(mask)) <= {0, 1}

    model = load_model(config, weights, "cpu")
    dataset = Runner.build_dataloader(config.val_dataloader).dataset
    averaged = averaged_probabilities(model, dataset[0], num_classes=2)
    height, width = dataset[0]["data_samples"].ori_shape
    assert averaged.shape == (2, height, width)
    np.testing.assert_allclose(averaged.sum(0), 1, atol=1e-5)
