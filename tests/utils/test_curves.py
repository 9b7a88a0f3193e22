import math

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from seglab.utils.curves import plot_training_curves
from seglab.utils.errors import UserError
from seglab.utils.masks import class_colors

NAMES = ("background", "cat", "dog")


def make_history(epochs=5):
    history = []
    for epoch in range(1, epochs + 1):
        record = {"epoch": epoch, "lr": 1e-3 / epoch, "loss": 1 / epoch, "decode.loss_ce": 0.5}
        if epoch > 1:
            score = [0, 70.0, 80.0, 80.0, math.nan][epoch - 1]
            record |= {"val/mDice": score, "val/Dice/cat": score - 5, "val/mIoU": score - 9}
            record |= {
                "val/Dice/dog": 60.0 + 2 * epoch,
                "val/ECE": [0, 9.0, 2.5, 4.0, 3.0][epoch - 1],
            }
            record |= {
                "val/HD95/dog": 30.0 - epoch,
                "val/mHD95": 31.0,
                "val/image_mean/mDice": 50.0,
            }
            record |= {"val/Dice/background": 99.0}
        history.append(record)
    return history


def lines_of(axis):
    return {line.get_label(): line for line in axis.lines}


def test_curves_hold_the_log(tmp_path, drawn, check_readable):
    check_readable(plot_training_curves(make_history(), tmp_path / "curves.png", NAMES))
    losses, rate, scores = drawn[0].axes
    np.testing.assert_allclose(lines_of(losses)["loss (total)"].get_ydata(), 1 / np.arange(1, 6))
    assert lines_of(losses)["decode.loss_ce"].get_ydata().tolist() == [0.5] * 5
    np.testing.assert_allclose(rate.lines[0].get_ydata(), 1e-3 / np.arange(1, 6))
    dice = lines_of(scores)["mDice"]
    assert dice.get_xdata().tolist() == [2, 3, 4]  # no value in epoch 1, NaN in epoch 5
    assert dice.get_ydata().tolist() == [70, 80, 80]
    for index, name in ((1, "cat"), (2, "dog")):
        np.testing.assert_allclose(lines_of(scores)[name].get_color(), class_colors(3)[index] / 255)
    assert lines_of(scores)["cat"].get_ydata().tolist() == [65, 75, 75]
    assert lines_of(scores)["mIoU"].get_ydata().tolist() == [61, 71, 71]
    assert "background" not in lines_of(scores)
    assert scores.get_ylabel() == "Dice (%)"


def test_first_of_equal_epochs_is_the_best(tmp_path, drawn):
    plot_training_curves(make_history(), tmp_path / "curves.png", NAMES)
    scores = drawn[0].axes[2]
    assert scores.get_title() == "best val/mDice: 80.00 in epoch 3"
    assert scores.lines[-2].get_xydata().tolist() == [[3, 80]]
    assert [axis.lines[-1].get_xdata()[0] for axis in drawn[0].axes] == [3, 3, 3]


@pytest.mark.parametrize(
    ("monitor", "title", "bold"),
    [
        ("val/Dice/dog", "best val/Dice/dog: 70.00 in epoch 5", "dog"),
        ("val/Dice/background", "best val/Dice/background: 99.00 in epoch 2", "background"),
        ("val/image_mean/mDice", "best val/image_mean/mDice: 50.00 in epoch 2", "mDice"),
        ("val/mIoU", "best val/mIoU: 71.00 in epoch 3", "mIoU"),
        ("val/ECE", "best val/ECE (lowest): 2.50 in epoch 3", "ECE"),
        ("val/HD95/dog", "best val/HD95/dog (lowest): 25.00 in epoch 5", "dog"),
        ("val/mNSD", "val/mNSD", None),
    ],
)
def test_another_monitor(tmp_path, drawn, check_readable, monitor, title, bold):
    check_readable(plot_training_curves(make_history(), tmp_path / "c.png", NAMES, monitor=monitor))
    axes = drawn[0].axes
    assert axes[2].get_title() == title
    widths = {line.get_label(): line.get_linewidth() for line in axes[2].lines}
    drawn_bold = [name for name, width in widths.items() if width > 2 and name[0] != "_"]
    assert drawn_bold == ([bold] if bold else [])
    # What the run is judged by in the end stays in sight.
    others = [axis.get_title() for axis in axes[3:]]
    assert others == ([] if "Dice" in monitor else ["val/mDice"])
    if bold in NAMES:
        color = class_colors(3)[NAMES.index(bold)] / 255
        np.testing.assert_allclose(lines_of(axes[2])[bold].get_color(), color)
    if bold:
        assert axes[2].get_ylabel().endswith("(pixels)" if "HD95" in monitor else "(%)")


def test_many_classes_with_long_names(tmp_path, drawn, check_readable):
    names = ["background", *(f"class number {i} of $many" for i in range(1, 13))]
    history = [
        {"epoch": e, "val/mDice": e, "decode_head_0.loss_cross_entropy": 1.0}
        | {f"val/Dice/{name}": e + i for i, name in enumerate(names)}
        for e in range(1, 41)
    ]
    check_readable(plot_training_curves(history, tmp_path / "c.png", names))
    assert len(lines_of(drawn[0].axes[2])) == 15  # 12 objects, the mean, the best epoch's two marks


def test_loss_parts_have_no_classs_color(tmp_path, drawn):
    parts = {f"loss_{i}": float(i) for i in range(12)}
    plot_training_curves([{"epoch": e, **parts} for e in (1, 2)], tmp_path / "c.png")
    lines = drawn[0].axes[0].lines
    styles = {(line.get_color(), str(line._dash_pattern)) for line in lines}
    assert all(len(set(to_rgb(line.get_color()))) == 1 for line in lines), "a colour, not a grey"
    assert len(styles) >= 6


def test_one_epoch_is_seen(tmp_path, drawn):
    plot_training_curves(make_history(2)[1:], tmp_path / "c.png", NAMES)
    series = [line for axis in drawn[0].axes for line in axis.lines if line.get_label()[0] != "_"]
    assert len(series) == 6
    assert {line.get_marker() for line in series} == {"o"}


def test_log_without_validation(tmp_path, drawn):
    path = plot_training_curves([{"epoch": 1, "loss": 0.5}], tmp_path / "curves.png")
    assert path.is_file()
    texts = [[text.get_text() for text in axis.texts] for axis in drawn[0].axes]
    assert texts == [[], ["not in the log"], ["not in the log"]]


def test_log_without_epochs(tmp_path):
    with pytest.raises(UserError, match="no epoch"):
        plot_training_curves([{"step": 1}], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())
