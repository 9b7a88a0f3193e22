"""ComboLoss as mmseg meets it: the registry, its heads, its samplers, its own losses' faults."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.models.losses import CrossEntropyLoss, DiceLoss
from mmseg.registry import MODELS
from mmseg.structures import OHEMPixelSampler, SegDataSample

from seglab.mmseg_custom.losses import ComboLoss, DiceOptions, LossInputError, combo_loss

IGNORE = 255


def batch(classes: int = 3, ignored: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    target = torch.randint(0, max(classes, 2), (2, 8, 8))
    if ignored:
        target[0, :2] = IGNORE
    return torch.randn(2, classes, 8, 8, requires_grad=True), target


def value_and_gradient(loss: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return loss.detach(), *torch.autograd.grad(loss, logits)


def head(loss_decode, out_channels: int = 3, **options) -> FCNHead:
    torch.manual_seed(0)
    return FCNHead(
        in_channels=4,
        channels=4,
        num_classes=max(out_channels, 2),
        out_channels=out_channels,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        loss_decode=loss_decode,
        **options,
    )


def head_loss(model: FCNHead, target: torch.Tensor) -> dict[str, torch.Tensor]:
    samples = [SegDataSample(gt_sem_seg=PixelData(data=t[None])) for t in target]
    torch.manual_seed(1)
    return model.loss([torch.randn(len(target), 4, 4, 4)], samples, {})


def test_the_module_passes_every_option_on():
    logits, target = batch()
    weight = torch.rand(2, 8, 8)
    target[1, 0] = 1
    options = {"class_weight": [0.0585, 1, 1], "dice_class_weight": [1, 2, 3]}
    shared = {"ce_weight": 0.3, "dice_weight": 0.6, "label_smoothing": 0.1, **options}
    module = MODELS.build(
        {
            "type": "ComboLoss",
            "dice_over": "image",
            "absent_policy": "skip",
            "smooth": 2.0,
            "include_background": False,
            "loss_weight": 0.4,
            **shared,
        }
    )
    dice = DiceOptions("image", "skip", 2.0, False)
    extra = {"avg_factor": 50.0, "ignore_index": 1}
    target[target == IGNORE] = 0
    expected = combo_loss(logits, target, dice=dice, pixel_weight=weight, **shared, **extra)
    value = module(logits, target, weight=weight, **extra)
    torch.testing.assert_close(value, 0.4 * expected.total)
    assert not module.parts["ce"].requires_grad
    torch.testing.assert_close(module.parts["ce"], expected.ce.detach())
    torch.testing.assert_close(module.parts["dice"], expected.dice.detach())


def test_defaults_are_half_and_half_over_the_batch():
    logits, target = batch()
    module = ComboLoss()
    value = module(logits, target)
    torch.testing.assert_close(value, combo_loss(logits, target).total)
    torch.testing.assert_close(value, 0.5 * module.parts["ce"] + 0.5 * module.parts["dice"])


def test_it_leaves_no_trace_in_checkpoints_and_can_be_copied():
    module = ComboLoss(class_weight=[1, 2, 3])
    logits, target = batch()
    value = module(logits, target)
    assert module.state_dict() == {}
    assert copy.deepcopy(module)(logits, target) == value
    assert "ce_weight=0.5" in repr(module)


@pytest.mark.parametrize("out_channels", [1, 3])
def test_in_a_head_of_mmseg(out_channels):
    model = head({"type": "ComboLoss", "loss_name": "loss_x"}, out_channels)
    _, target = batch(out_channels)
    losses = head_loss(model, target)
    losses["loss_x"].backward()
    assert losses["loss_x"] > 0
    assert model.conv_seg.weight.grad.abs().sum() > 0
    twice = head([{"type": "ComboLoss"}, {"type": "ComboLoss"}], out_channels)
    torch.testing.assert_close(head_loss(twice, target)["loss_combo"], 2 * losses["loss_x"])


def test_the_head_decides_which_label_is_ignored():
    _, target = batch(ignored=False)
    default, other = head({"type": "ComboLoss"}), head({"type": "ComboLoss"}, ignore_index=2)
    marked = target.masked_fill(target == 2, IGNORE)
    torch.testing.assert_close(
        head_loss(other, target)["loss_combo"], head_loss(default, marked)["loss_combo"]
    )


@pytest.mark.parametrize("thresh", [None, 0.35])
def test_with_the_ohem_sampler_of_mmseg(thresh):
    model = head({"type": "ComboLoss"})
    model.sampler = OHEMPixelSampler(context=model, thresh=thresh, min_kept=20)
    _, target = batch()
    hard = head_loss(model, target)["loss_combo"]
    assert hard > head_loss(head({"type": "ComboLoss"}), target)["loss_combo"]
    hard.backward()


def test_reductions():
    logits, target = batch()
    module = ComboLoss(loss_weight=3.0)
    pixels = module(logits, target, reduction_override="none")
    assert pixels.shape == target.shape
    assert (pixels[target == IGNORE] == 0).all()
    module(logits, target, reduction_override="mean")
    mean = pixels.sum() / (target != IGNORE).sum()
    torch.testing.assert_close(mean, 3.0 * 0.5 * module.parts["ce"])
    with pytest.raises(LossInputError, match="no reduction 'sum'"):
        module(logits, target, reduction_override="sum")


def test_validation_can_be_switched_off():
    logits, target = batch()
    checked, unchecked = ComboLoss(), ComboLoss(validate_labels=False)
    assert checked(logits, target) == unchecked(logits, target)
    target[0, 0, 0] = 7
    with pytest.raises(LossInputError, match=r"labels \[7\]"):
        checked(logits, target)
    with pytest.raises(Exception, match="out of bounds"):
        unchecked(logits, target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ce_weight": -1}, "ce_weight, dice_weight"),
        ({"ce_weight": 0, "dice_weight": 0}, "not all 0"),
        ({"class_weight": [1, float("nan")]}, "class_weight is"),
        ({"dice_class_weight": [0, 0]}, "dice_class_weight is"),
        ({"label_smoothing": 1.5}, "label_smoothing is 1.5"),
        ({"loss_name": "combo"}, "does not start with 'loss_'"),
        ({"dice_over": "pixels"}, "'batch' or 'image'"),
        ({"legacy_mmseg_dice": True, "smooth": 1.0}, "none of the other Dice options"),
        ({"legacy_mmseg_dice": True, "dice_class_weight": [1, 2]}, "none of the other"),
    ],
)
def test_options_that_make_no_sense_raise(options, message):
    with pytest.raises(LossInputError, match=message):
        ComboLoss(**options)


def test_all_faults_are_named_at_once():
    with pytest.raises(LossInputError, match=r"ce_weight.*label_smoothing.*loss_name"):
        ComboLoss(ce_weight=-1, label_smoothing=2, loss_name="x")


@pytest.mark.parametrize("class_weight", [None, [0.0585, 1.0, 1.0]])
def test_legacy_is_the_sum_of_the_two_losses_of_mmseg(class_weight):
    # Without ignored pixels: over those the cross-entropy of mmseg averages too.
    logits, target = batch(ignored=False)
    ours = ComboLoss(class_weight=class_weight, legacy_mmseg_dice=True)(logits, target)
    ce = CrossEntropyLoss(class_weight=class_weight, loss_weight=0.5)(logits, target)
    dice = DiceLoss(use_sigmoid=False, loss_weight=0.5)(logits, target)
    torch.testing.assert_close(
        value_and_gradient(ours, logits), value_and_gradient(ce + dice, logits)
    )


def test_legacy_keeps_the_dice_of_mmseg_where_pixels_are_ignored():
    logits, target = batch()
    module = ComboLoss(legacy_mmseg_dice=True)
    module(logits, target)
    torch.testing.assert_close(
        module.parts["dice"], DiceLoss(use_sigmoid=False)(logits.detach(), target)
    )


def test_legacy_refuses_what_mmseg_cannot_do():
    logits, target = batch()
    module = ComboLoss(legacy_mmseg_dice=True)
    with pytest.raises(LossInputError, match="pixel weights"):
        module(logits, target, weight=torch.ones(2, 8, 8))
    with pytest.raises(LossInputError, match="single logit"):
        module(*batch(1))


# The known faults of mmseg's losses. Each test first shows the fault, then that ours lacks it.


def dice_part(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return ComboLoss(ce_weight=0, dice_weight=1)(logits, target)


def test_fault_the_background_decides():
    target = torch.zeros(1, 100, 100, dtype=torch.long)
    target.view(-1)[:630] = 1
    all_background = torch.zeros(1, 3, 100, 100)
    all_background[:, 0] = 30
    theirs = DiceLoss(use_sigmoid=False)(all_background, target)
    assert theirs.item() == pytest.approx(0.063, abs=1e-3)
    # Background 1 - 2 * 9370 / 19370, the missed class 1, the absent class 0.
    expected = (1 - 2 * 9370 / 19370 + 1 + 0) / 3
    assert dice_part(all_background, target).item() == pytest.approx(expected, abs=1e-6)


def test_fault_ignored_pixels_change_loss_and_gradient():
    logits, target = batch()
    changed = logits.detach().clone()
    changed[0, 0, :2] += 5
    changed.requires_grad_()
    theirs, ours = DiceLoss(use_sigmoid=False), dice_part
    assert theirs(logits, target) != theirs(changed, target)
    assert ours(logits, target) == ours(changed, target)
    for loss, touched in ((theirs, True), (ours, False)):
        _, gradient = value_and_gradient(loss(logits, target), logits)
        assert bool(gradient[0, :, :2].abs().sum() > 0) is touched


@pytest.mark.parametrize(("bad", "taken_as"), [(-100, 0), (3, 77), (254, 77)])
def test_fault_wrong_labels_are_accepted(bad, taken_as):
    logits, target = batch()
    wrong, alias = target.clone(), target.clone()
    wrong[1, 0], alias[1, 0] = bad, taken_as
    theirs = DiceLoss(use_sigmoid=False)
    assert theirs(logits, wrong) == theirs(logits, alias)
    with pytest.raises(ValueError, match=str(bad)):
        ComboLoss()(logits, wrong)


def test_fault_sigmoid_by_default():
    logits, target = batch()
    assert DiceLoss()(logits, target) != DiceLoss(use_sigmoid=False)(logits, target)
    # Softmax ignores a constant added to all logits of a pixel; a sigmoid does not.
    assert DiceLoss()(logits + 3, target) != DiceLoss()(logits, target)
    torch.testing.assert_close(dice_part(logits + 3, target), dice_part(logits, target))


def test_fault_a_weight_map_crashes():
    logits, target = batch()
    weight = torch.rand(2, 8, 8)
    with pytest.raises(AssertionError):
        DiceLoss(use_sigmoid=False)(logits, target, weight=weight)
    assert ComboLoss()(logits, target, weight=weight) != ComboLoss()(logits, target)


def test_fault_one_logit_learns_the_background():
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[:, :3] = 1
    right = torch.where(target == 1, 20.0, -20.0).unsqueeze(1)
    assert DiceLoss()(right, target) > 0.9 > 0.1 > DiceLoss()(-right, target)
    assert dice_part(right, target) < 1e-6
    assert dice_part(-right, target) > 0.99


def test_fault_class_weights_with_ignored_pixels():
    logits, target = batch()
    weights = [0.0585, 1.0, 1.0]
    with pytest.raises(IndexError):
        CrossEntropyLoss(class_weight=weights, avg_non_ignore=True)(
            logits, target, ignore_index=IGNORE
        )
    plain = torch.nn.functional.cross_entropy(logits, target, ignore_index=IGNORE)
    averaged_over_all = CrossEntropyLoss()(logits, target, ignore_index=IGNORE)
    assert averaged_over_all < plain
    torch.testing.assert_close(ComboLoss(ce_weight=1, dice_weight=0)(logits, target), plain)
    torch.testing.assert_close(
        ComboLoss(ce_weight=1, dice_weight=0, class_weight=weights)(logits, target),
        torch.nn.functional.cross_entropy(
            logits, target, torch.tensor(weights), ignore_index=IGNORE
        ),
    )


def test_fault_false_positives_of_an_absent_class_are_free():
    smp = pytest.importorskip("segmentation_models_pytorch")
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[:, 4:] = 1
    clean = torch.nn.functional.one_hot(target, 3).movedim(-1, 1) * 30.0
    spread = clean.clone()
    spread[:, 2] = 30.0
    theirs = smp.losses.DiceLoss("multiclass", classes=[2])
    assert theirs(clean, target) == theirs(spread, target) == 0
    only_absent = ComboLoss(ce_weight=0, dice_weight=1, dice_class_weight=[0, 0, 1])
    assert only_absent(clean, target) < 1e-6
    assert only_absent(spread, target).item() == pytest.approx(0.5)


def test_logits_descend_to_the_truth():
    logits, target = batch()
    optimizer = torch.optim.Adam([logits], lr=0.5)
    module = ComboLoss()
    for _ in range(60):
        optimizer.zero_grad()
        loss = module(logits, target)
        loss.backward()
        optimizer.step()
    valid = target != IGNORE
    assert (logits.argmax(1) == target)[valid].all()
    assert loss < 0.01
