from __future__ import annotations

import pytest

from seglab.data.preflight import run_preflight

from .conftest import write_pair


def only(findings, code):
    (finding,) = findings
    assert finding.code == code
    return finding


@pytest.mark.parametrize("head", ["decode_head", "auxiliary_head"])
def test_class_count_is_reported_once_for_all_splits(make_config, head):
    loss = {"type": "ComboLoss", "_delete_": True}
    cfg = make_config(**{f"model.{head}.num_classes": 4, f"model.{head}.loss_decode": loss})
    finding = only(run_preflight(cfg), "class-count")
    assert finding.severity == "fault"
    assert f"model.{head}.num_classes is 4" in finding.message
    assert "(train, val) has 3 classes (background, cat, dog)" in finding.message


def test_class_count_of_one_split(make_config):
    cfg = make_config(**{"val_dataloader.dataset.metainfo.classes": ("background", "cat")})
    findings = [f for f in run_preflight(cfg) if f.code == "class-count"]
    assert len(findings) == 2  # both heads
    assert all("(val) has 2 classes" in finding.message for finding in findings)


def test_class_weight_length_in_each_place(make_config):
    cfg = make_config()
    cfg.model.decode_head.loss_decode = {
        "type": "ComboLoss",
        "class_weight": [1.0, 1.0],
        "dice_class_weight": [1.0] * 4,
    }
    cfg.model.auxiliary_head.loss_decode[0].class_weight = [1.0] * 5
    findings = run_preflight(cfg)
    assert {f.code for f in findings} == {"class-weight-length"}
    messages = " | ".join(f.message for f in findings)
    assert "model.decode_head.loss_decode.class_weight has 2" in messages
    assert "model.decode_head.loss_decode.dice_class_weight has 4" in messages
    assert "model.auxiliary_head.loss_decode[0].class_weight has 5" in messages
    assert "background, cat, dog" in findings[0].fix


@pytest.mark.parametrize(
    ("loss", "weights", "good"),
    [
        ("ComboLoss", 2, True),
        ("ComboLoss", 1, False),
        ("CrossEntropyLoss", 1, True),
        ("CrossEntropyLoss", 2, False),
    ],
)
def test_class_weights_of_a_one_channel_head(make_config, loss, weights, good):
    cfg = make_config()
    cfg.model.decode_head.update(out_channels=1, threshold=0.5)
    cfg.model.decode_head.loss_decode = {
        "type": loss,
        "use_sigmoid": True,
        "class_weight": [1.0] * weights,
    }
    assert bool(run_preflight(cfg)) is not good


def test_class_weights_from_a_file_are_left_to_the_loss(make_config):
    cfg = make_config(**{"model.decode_head.loss_decode.class_weight": "weights.npy"})
    assert run_preflight(cfg) == []


SOFTMAX, SIGMOID = "softmax", "sigmoid"


@pytest.mark.parametrize(
    ("loss", "channels", "activation"),
    [
        ({"type": "CrossEntropyLoss"}, 1, SOFTMAX),
        ({"type": "CrossEntropyLoss", "use_sigmoid": True}, 1, None),
        ({"type": "CrossEntropyLoss", "use_sigmoid": True}, 3, SIGMOID),
        ({"type": "CrossEntropyLoss", "use_mask": True}, 3, SIGMOID),
        ({"type": "mmseg.CrossEntropyLoss"}, 3, None),
        ({"type": "DiceLoss"}, 3, SIGMOID),
        ({"type": "DiceLoss", "use_sigmoid": False}, 3, None),
        ({"type": "DiceLoss"}, 1, None),
        ({"type": "DiceLoss", "use_sigmoid": False}, 1, SOFTMAX),
        ({"type": "DiceLoss", "use_sigmoid": False, "activate": False}, 3, "no activation"),
        ({"type": "LovaszLoss"}, 1, SOFTMAX),
        ({"type": "LovaszLoss", "loss_type": "binary"}, 1, None),
        ({"type": "LovaszLoss", "loss_type": "binary"}, 3, SIGMOID),
        ({"type": "TverskyLoss"}, 1, SOFTMAX),
        ({"type": "TverskyLoss"}, 3, None),
        ({"type": "ComboLoss"}, 1, None),
        ({"type": "ComboLoss"}, 3, None),
        (None, 1, SOFTMAX),
    ],
)
def test_activations(make_config, loss, channels, activation):
    cfg = make_config()
    head = cfg.model.decode_head
    head.update(out_channels=channels, threshold=0.5)
    head.loss_decode = loss
    if loss is None:
        del head["loss_decode"]
    findings = run_preflight(cfg)
    if activation is None:
        assert findings == []
        return
    finding = only(findings, "activation-mismatch")
    assert finding.severity == "fault"
    assert f"applies {activation}" in finding.message
    assert "model.decode_head.loss_decode" in finding.message


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["CrossEntropyLoss", "DiceLoss", "LovaszLoss"])
@pytest.mark.parametrize(
    "options", [{}, {"use_sigmoid": True}, {"activate": False}, {"loss_type": "binary"}]
)
def test_the_suggested_activation_mends_the_config(make_config, channels, kind, options):
    """Carry out the fix literally; nothing may be left to find."""
    cfg = make_config()
    cfg.model.decode_head.update(
        out_channels=channels, threshold=0.5, loss_decode={"type": kind, **options}
    )
    for finding in run_preflight(cfg):
        remedy = finding.fix.removeprefix("set ").split(", or")[0]
        changes = dict(part.split("=") for part in remedy.split(" and "))
        cfg.model.decode_head.loss_decode.update({k: eval(v) for k, v in changes.items()})
    assert run_preflight(cfg) == []


def test_mmseg_bears_out_the_activation_faults():
    """What the preflight calls a fault raises or does not train in mmseg."""
    import mmseg.models  # noqa: F401
    import torch
    from mmseg.registry import MODELS

    target = torch.randint(0, 2, (2, 4, 4))

    def gradient(loss):
        logits = torch.randn(2, 1, 4, 4, requires_grad=True)
        MODELS.build(loss)(logits, target).backward()
        return logits.grad

    with pytest.raises(IndexError):
        gradient({"type": "mmseg.CrossEntropyLoss"})
    with pytest.raises(ValueError, match="Sigmoid output possible only with 1 class"):
        gradient({"type": "mmseg.LovaszLoss", "reduction": "none"})
    assert gradient({"type": "mmseg.TverskyLoss"}).abs().sum() == 0
    assert gradient({"type": "mmseg.DiceLoss"}).abs().sum() > 0


@pytest.fixture
def five(root, make_config):
    """Five training images: batches of two leave one over."""
    write_pair(root, "train", "g", 50, 1)
    return make_config


def test_last_batch_of_one(five):
    finding = only(run_preflight(five()), "batch-of-one")
    assert finding.severity == "fault"
    assert "the last training batch" in finding.message
    assert "5 images, batch size 2" in finding.message
    assert "drop_last=True" in finding.fix


@pytest.mark.parametrize(
    "changes",
    [
        {"train_dataloader.drop_last": True},
        {"train_dataloader.batch_size": 3},
        {"train_dataloader.sampler.type": "InfiniteSampler"},
        {"train_dataloader.dataset.indices": 4},
        {
            "model.backbone.norm_eval": True,
            "model.decode_head.norm_cfg.type": "GN",
            "model.auxiliary_head": None,
        },
    ],
)
def test_no_batch_of_one(five, changes):
    assert run_preflight(five(**changes)) == []


def test_repeats_count_for_the_last_batch(five):
    cfg = five()
    cfg.train_dataloader.dataset = {
        "type": "RepeatDataset",
        "times": 2,
        "dataset": cfg.train_dataloader.dataset,
    }
    assert run_preflight(cfg) == []


def test_batch_norm_that_a_backbone_brings_by_itself(five):
    cfg = five()
    cfg.model.decode_head.norm_cfg = cfg.model.auxiliary_head.norm_cfg = {"type": "GN"}
    cfg.model.backbone = {"type": "MixVisionTransformer"}
    assert run_preflight(cfg) == []
    cfg.model.backbone = {"type": "TimmBackbone", "model_name": "tf_efficientnet_lite2"}
    only(run_preflight(cfg), "batch-of-one")


def test_batch_size_one(make_config):
    cfg = make_config(**{"train_dataloader.batch_size": 1})
    finding = only(run_preflight(cfg), "batch-of-one")
    assert "every training batch" in finding.message
    assert "drop_last" not in finding.fix
    cfg.model.decode_head.type = "FPNHead"  # no branch pooled to 1x1: it runs, but badly
    assert only(run_preflight(cfg), "batch-size-one").severity == "doubt"


@pytest.mark.parametrize("head", ["ASPPHead", "DepthwiseSeparableASPPHead", "PSPHead"])
def test_mmseg_bears_out_that_a_batch_of_one_fails(head):
    import mmseg.models  # noqa: F401
    import torch
    from mmseg.registry import MODELS

    options = {"c1_in_channels": 0, "c1_channels": 0} if "Separable" in head else {}
    module = MODELS.build(
        {
            "type": f"mmseg.{head}",
            "in_channels": 4,
            "in_index": 0,
            "channels": 4,
            "num_classes": 3,
            "norm_cfg": {"type": "BN"},
            **options,
        }
    )
    module.train()
    assert module([torch.rand(2, 4, 8, 8)]).shape == (2, 3, 8, 8)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        module([torch.rand(1, 4, 8, 8)])


def test_sync_bn_on_one_device(make_config, monkeypatch):
    cfg = make_config(**{"model.backbone.norm_cfg.type": "SyncBN"})
    assert only(run_preflight(cfg), "sync-bn").severity == "doubt"
    cfg.launcher = "pytorch"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_preflight(cfg) == []


def test_each_process_sees_its_share(root, make_config, monkeypatch):
    write_pair(root, "train", "g", 50, 1)
    write_pair(root, "train", "h", 51, 1)
    cfg = make_config(launcher="pytorch")
    monkeypatch.setenv("WORLD_SIZE", "2")  # 6 images, 3 each: 2 + 1
    only(run_preflight(cfg), "batch-of-one")


def smp_config(make_config, arch, **changes):
    cfg = make_config(**changes)
    cfg.model = {
        "type": "SMPSegmentor",
        "arch": arch,
        "encoder_name": "mit_b0",
        "decode_head": {"num_classes": 3, "loss_decode": {"type": "ComboLoss"}},
    }
    return cfg


def test_smp_brings_batch_norm_by_itself(five):
    assert only(run_preflight(smp_config(five, "Unet")), "batch-of-one").severity == "fault"


@pytest.mark.parametrize(
    "arch", ["Unet", "Linknet", "FPN", "PSPNet", "PAN", "DeepLabV3", "DeepLabV3Plus", "UPerNet"]
)
def test_smp_bears_out_which_architectures_fail_on_one_image(make_config, arch):
    import segmentation_models_pytorch as smp
    import torch

    (finding,) = run_preflight(smp_config(make_config, arch, **{"train_dataloader.batch_size": 1}))
    network = smp.create_model(arch, "resnet18", encoder_weights=None).train()
    images = torch.rand(1, 3, 128, 128)
    if finding.code == "batch-size-one":
        assert network(images).shape == (1, 1, 128, 128)
        return
    assert finding.code == "batch-of-one"
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network(images)


def test_a_single_logit_says_its_threshold(make_config):
    cfg = make_config(**{"model.decode_head.out_channels": 1, "model.decode_head.num_classes": 2})
    codes = [finding.code for finding in run_preflight(cfg)]
    assert "default-threshold" in codes
    cfg.model.decode_head.threshold = 0.5
    assert "default-threshold" not in [finding.code for finding in run_preflight(cfg)]
    cfg.model.decode_head.pop("threshold")
    cfg.model.decode_head.type = "SimpleDecoder"
    assert "default-threshold" not in [finding.code for finding in run_preflight(cfg)]


def test_mmsegs_own_threshold_is_the_one_that_is_named(make_config):
    import mmseg.models  # noqa: F401
    from mmseg.registry import MODELS

    head = {"type": "mmseg.FCNHead", "in_channels": 4, "channels": 4, "in_index": 0}
    built = MODELS.build({**head, "num_classes": 2, "out_channels": 1})
    cfg = make_config(**{"model.decode_head.out_channels": 1})
    (finding,) = [f for f in run_preflight(cfg) if f.code == "default-threshold"]
    assert f"above {built.threshold}" in finding.message
