"""The hand-written network, and what a sigmoid too many costs it."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from seglab.mmseg_custom.losses.functional import combo_loss
from seglab.mmseg_custom.models import SimpleDecoder

LOSS = dict(type="ComboLoss")
pytestmark = pytest.mark.usefixtures("mmseg_scope")


def build(width: int = 64) -> nn.Module:
    return MODELS.build(
        dict(
            type="EncoderDecoder",
            backbone=dict(type="SimpleEncoder", width=width),
            decode_head=dict(
                type="SimpleDecoder", in_channels=2 * width, num_classes=2, out_channels=1,
                loss_decode=LOSS,
            ),
        )
    )  # fmt: skip


def plain_network(width: int) -> nn.Sequential:
    """The same layers once more, as a course would write them, but for the last sigmoid."""
    return nn.Sequential(
        *(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.ConvTranspose2d(2 * width, width, 2, stride=2), nn.ReLU()),
        nn.ConvTranspose2d(width, 1, 2, stride=2),
    )


def test_it_is_the_two_layer_network() -> None:
    torch.manual_seed(0)
    ours, theirs = build().eval(), plain_network(64)
    theirs.load_state_dict(
        dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)), strict=True
    )
    images = torch.randn(2, 3, 32, 48)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-5)
    # 3*64*9 + 64, 64*128*9 + 128, 128*64*4 + 64, 64*1*4 + 1
    assert sum(p.numel() for p in ours.parameters()) == 1792 + 73856 + 32832 + 257


def test_a_logit_sees_10_pixels() -> None:
    # 3 of the first convolution, 4 with its pooling, 8 of the second, 10 with its pooling.
    model = build(width=8).double().eval()
    seen = torch.zeros(64, 64, dtype=torch.bool)
    for seed in range(40):  # a maximum hands on one pixel of each window: which one, differs
        torch.manual_seed(seed)
        image = torch.randn(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
        model(image)[0, 0, 32, 32].backward()
        seen |= image.grad.abs().sum(1)[0] > 0
    found = seen.nonzero()
    assert found.min(0).values.tolist() == [29, 29] and found.max(0).values.tolist() == [38, 38]


# What the sigmoid too many costs. `once` takes logits; `twice` gives its probabilities to a loss
# that takes logits, and applies the sigmoid again before the threshold.


def squares(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bright squares on dark noise: (N, 3, 32, 32) in [-1, 1] and (N, 32, 32) labels."""
    random = np.random.default_rng(seed)
    images = random.uniform(-1, -0.2, (count, 3, 32, 32)).astype(np.float32)
    labels = np.zeros((count, 32, 32), dtype=np.int64)
    for image, label in zip(images, labels, strict=True):
        top, left = random.integers(0, 16, 2)
        label[top : top + 16, left : left + 16] = 1
        image[:, label == 1] += 1.2
    return torch.from_numpy(images), torch.from_numpy(labels)


def dice_of(predicted: torch.Tensor, labels: torch.Tensor) -> float:
    true = labels == 1
    return float(2 * (predicted & true).sum() / (predicted.sum() + true.sum()))


def loss_of(values: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Cross-entropy and Dice loss of what is taken for logits."""
    parts = combo_loss(values, labels)
    return float(parts.ce), float(parts.dice)


def test_twice_even_a_perfect_prediction_is_punished_and_everything_is_foreground() -> None:
    _, labels = squares(4, seed=0)
    share = float((labels == 1).float().mean())
    perfect = torch.where(labels == 1, 40.0, -40.0)[:, None]
    ce, dice = loss_of(perfect, labels)
    assert ce < 1e-6 and dice < 1e-6
    # sigmoid(0) = 1/2 at best for background, sigmoid(1) = 0.731 for foreground.
    ce, dice = loss_of(perfect.sigmoid(), labels)
    best = 1 / (1 + np.exp(-1))
    assert ce == pytest.approx((1 - share) * np.log(2) - share * np.log(best), abs=1e-5)
    overlap = 2 * share * best / (share * best + (1 - share) * 0.5 + share)
    assert dice == pytest.approx(1 - overlap, abs=1e-5) and dice > 0.4
    # And in evaluation: a probability is never below 0, so its sigmoid never below 1/2.
    twice = perfect.sigmoid().sigmoid()[:, 0] >= 0.5
    assert bool(twice.all())
    assert dice_of(perfect[:, 0].sigmoid() > 0.5, labels) == 1.0
    assert dice_of(twice, labels) == pytest.approx(2 * share / (1 + share))


def test_twice_the_gradient_is_a_fraction() -> None:
    """By the chain rule p(1 - p) <= 1/4 comes in once more; for a sure mistake it is nothing."""
    labels = torch.ones(1, 1, 1, dtype=torch.long)
    for value, most in ((0.0, 0.25), (-4.0, 0.02), (-10.0, 1e-4)):
        gradients = []
        for twice in (False, True):
            logit = torch.full((1, 1, 1, 1), value, requires_grad=True)
            combo_loss(
                logit.sigmoid() if twice else logit, labels, dice_weight=0.0
            ).total.backward()
            gradients.append(float(logit.grad.abs()))
        assert gradients[1] <= most * gradients[0]


def trained_dice(twice: bool, seed: int) -> float:
    torch.manual_seed(seed)
    network = plain_network(8)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    images, labels = squares(16, seed)
    for _ in range(150):
        logits = network(images)
        loss = combo_loss(logits.sigmoid() if twice else logits, labels).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    held_out, truth = squares(16, seed + 100)
    with torch.no_grad():
        probability = network(held_out)[:, 0].sigmoid()
    return dice_of((probability.sigmoid() if twice else probability) > 0.5, truth)


@pytest.mark.parametrize("seed", [0, 1])
def test_trained_twice_it_scores_what_all_foreground_scores(seed: int) -> None:
    _, truth = squares(16, seed + 100)
    everything = dice_of(torch.ones_like(truth, dtype=torch.bool), truth)
    once, twice = trained_dice(False, seed), trained_dice(True, seed)
    print(f"seed {seed}: once {once:.3f}, twice {twice:.3f}, all foreground {everything:.3f}")
    assert once > 0.8
    # Where a probability is so small that float32 rounds its sigmoid to 1/2, a pixel escapes.
    assert twice == pytest.approx(everything, abs=0.1)


def test_the_models_of_this_package_cannot_apply_it_twice() -> None:
    """Their heads end in logits: a saturated network says so, no sigmoid bounds it."""
    model = build(width=8)
    nn.init.constant_(model.decode_head.layers[-1].bias, 30.0)
    assert float(model(torch.zeros(1, 3, 8, 8)).min()) > 1
    assert not any(isinstance(part, nn.Sigmoid) for part in model.modules())
    assert issubclass(type(model.decode_head), SimpleDecoder)
