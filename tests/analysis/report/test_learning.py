"""Signs in a training curve."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglab.analysis.report.learning import learning_signs


def history(
    values: list[Any], losses: list[Any] | None = None, key: str = "val/mDice"
) -> list[dict[str, Any]]:
    losses = losses or [1.0 / (1 + index) for index in range(len(values))]
    return [
        {"epoch": epoch, "loss": loss, key: value}
        for epoch, (value, loss) in enumerate(zip(values, losses, strict=True), start=1)
    ]


def test_over_fitting_is_a_decline_beyond_chance_while_the_loss_falls() -> None:
    falling = [50.0, 80.0, 80.2, 80.0, 79.0, 78.0, 77.0, 76.0]
    signs = learning_signs(history(falling), "val/mDice")
    assert signs is not None
    assert (signs.best_epoch, signs.best, signs.last_epoch) == (3, 80.2, 8)
    assert signs.decline == pytest.approx(4.2) and signs.restlessness == 1.0
    assert signs.loss_change == pytest.approx((1 / 8) / (1 / 3) - 1)
    assert signs.overfits and not signs.still_rising
    rising_loss = learning_signs(history(falling, [1.0] * 3 + [2.0] * 5), "val/mDice")
    assert rising_loss is not None and not rising_loss.overfits
    # As large a decline is nothing where the metric jumps that far anyway.
    jumping = learning_signs(history([50, 80, 76, 80.2, 76, 80, 76, 78, 76]), "val/mDice")
    assert jumping is not None and not jumping.overfits


def test_still_rising_is_a_gain_of_the_last_quarter() -> None:
    signs = learning_signs(history([10, 20, 30, 40, 50, 60, 70, 90]), "val/mDice")
    assert signs is not None
    assert signs.late_gain == pytest.approx(30.0) and signs.still_rising and not signs.overfits
    assert math.isnan(signs.loss_change)
    flat = learning_signs(history([10, 70, 71, 70, 71, 70, 71, 70.5]), "val/mDice")
    assert flat is not None and flat.late_gain == 0.0 and not flat.still_rising


def test_where_lower_is_better_the_lowest_is_best() -> None:
    signs = learning_signs(history([9.0, 4.0, 6.0, 12.0], key="val/mHD95"), "val/mHD95")
    assert signs is not None
    assert (signs.metric, signs.best_epoch, signs.best, signs.decline) == ("mHD95", 2, 4.0, 8.0)


@pytest.mark.parametrize("values", [[None, None], [], [math.nan], ["high"], [True]])
def test_without_values_there_are_no_signs(values: list[Any]) -> None:
    assert learning_signs(history(values), "val/mDice") is None


def test_one_epoch_says_nothing_of_a_trend() -> None:
    signs = learning_signs(history([50.0]), "val/mDice")
    assert signs is not None and not signs.overfits and not signs.still_rising
    assert math.isnan(signs.restlessness) and math.isnan(signs.late_gain)


@given(st.lists(st.floats(0, 100) | st.none(), min_size=1, max_size=30))
def test_the_best_is_the_first_of_the_highest(values: list[float | None]) -> None:
    signs = learning_signs(history(values), "val/mDice")
    known = [(value, epoch) for epoch, value in enumerate(values, start=1) if value is not None]
    if signs is None:
        assert not known
        return
    highest = max(value for value, _ in known)
    assert signs.best == highest and signs.epochs == len(known)
    assert signs.best_epoch == min(epoch for value, epoch in known if value == highest)
    assert signs.decline >= 0 and not (signs.overfits and signs.best_epoch == signs.last_epoch)
