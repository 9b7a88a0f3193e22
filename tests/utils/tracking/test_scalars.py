"""Figures get the same names live and read from files."""

import numpy as np

from seglab.utils.tracking.scalars import epoch_scalars, logged_scalars, validation_scalars


def names(points: list) -> dict:
    return {(point.title, point.series, point.step): point.value for point in points}


def test_a_step_of_training() -> None:
    tags = {
        "lr": 1e-3, "data_time": 0.01, "loss": np.float32(0.5), "decode.loss_ce": 0.25,
        "time": 0.1, "memory": 700, "epoch": 2, "iter": 30,
    }  # fmt: skip
    points = logged_scalars(tags, 30, 5.0)
    assert names(points) == {
        ("lr", "lr", 30): 1e-3,
        ("data_time", "data_time", 30): 0.01,
        ("loss", "loss", 30): 0.5,
        ("loss", "decode.loss_ce", 30): 0.25,
        ("time", "time", 30): 0.1,
        ("memory", "memory", 30): 700.0,
    }
    assert {point.time for point in points} == {5.0}


def test_the_times_of_a_validation_stay_apart_from_the_trainings() -> None:
    tags = {"val/mDice": 80.0, "val/Dice/dog": 70.0, "time": 0.2, "data_time": 0.1}
    assert names(logged_scalars(tags, 3, 0.0)) == {
        ("val", "mDice", 3): 80.0,
        ("val/Dice", "dog", 3): 70.0,
        ("val", "time", 3): 0.2,
        ("val", "data_time", 3): 0.1,
    }


def test_what_is_no_number_is_left_out() -> None:
    tags = {"a": float("nan"), "b": None, "c": "x", "d": True, "e": np.ones(3), "f": np.inf, "g": 1}
    assert names(logged_scalars(tags, 1, 0.0)) == {("g", "g", 1): 1.0}


def test_an_epochs_means_do_not_mix_with_its_steps() -> None:
    record = {
        "epoch": 4, "iter": 96, "lr": 1e-4, "loss": 0.3, "decode.loss_ce": 0.2, "seconds": 9.0,
        "val/mDice": 81.0, "val/Dice/dog": 70.0,
    }  # fmt: skip
    assert names(epoch_scalars(record, 4, 0.0)) == {
        ("epoch/lr", "lr", 4): 1e-4,
        ("epoch/loss", "loss", 4): 0.3,
        ("epoch/loss", "decode.loss_ce", 4): 0.2,
        ("epoch/seconds", "seconds", 4): 9.0,
    }
    # ... and its validation is what LoggerHook gave the live run.
    live = logged_scalars({"val/mDice": 81.0, "val/Dice/dog": 70.0}, 4, 0.0)
    assert validation_scalars(record, 4, 0.0) == live
