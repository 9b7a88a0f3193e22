import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from seglab.utils import curves
from seglab.utils.curves import plot_confusion_matrix, plot_training_curves
from seglab.utils.errors import UserError
from seglab.utils.visualization_utils import class_colors

NAMES = ("background", "cat", "dog")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, to look into; they are saved all the same."""
    figures: list[Figure] = []
    save = curves.save_figure

    def keep(figure, path):
        figures.append(figure)
        return save(figure, path)

    monkeypatch.setattr(curves, "save_figure", keep)
    return figures


def make_history(epochs=5):
    history = []
    for epoch in range(1, epochs + 1):
        record = {"epoch": epoch, "lr": 1e-3 / epoch, "loss": 1 / epoch, "decode.loss_ce": 0.5}
        if epoch > 1:
            score = [0, 70.0, 80.0, 80.0, math.nan][epoch - 1]
            record |= {"val/mDice": score, "val/Dice/cat": score - 5, "val/mIoU": score - 9}
        history.append(record)
    return history


def lines_of(axis):
    return {line.get_label(): line for line in axis.lines}


def test_curves_hold_the_log(tmp_path, drawn):
    path = plot_training_curves(make_history(), tmp_path / "curves.png", NAMES)
    assert Image.open(path).size == (1512, 528)
    losses, rate, scores = drawn[0].axes
    np.testing.assert_allclose(lines_of(losses)["loss (total)"].get_ydata(), 1 / np.arange(1, 6))
    assert lines_of(losses)["decode.loss_ce"].get_ydata().tolist() == [0.5] * 5
    np.testing.assert_allclose(rate.lines[0].get_ydata(), 1e-3 / np.arange(1, 6))
    dice = lines_of(scores)["mDice"]
    assert dice.get_xdata().tolist() == [2, 3, 4]  # no value in epoch 1, NaN in epoch 5
    assert dice.get_ydata().tolist() == [70, 80, 80]
    cat = lines_of(scores)["Dice/cat"]
    np.testing.assert_allclose(cat.get_color(), class_colors(3)[1] / 255)
    assert "Dice/dog" not in lines_of(scores)
    assert lines_of(scores)["mIoU"].get_ydata().tolist() == [61, 71, 71]


def test_first_of_equal_epochs_is_the_best(tmp_path, drawn):
    plot_training_curves(make_history(), tmp_path / "curves.png", NAMES)
    scores = drawn[0].axes[2]
    assert scores.get_title() == "best val/mDice: 80.00 in epoch 3"
    assert scores.lines[-1].get_xydata().tolist() == [[3, 80]]
    assert [axis.lines[-1].get_xdata()[0] for axis in drawn[0].axes] == [3, 3, 3]


def test_another_monitor(tmp_path, drawn):
    plot_training_curves(make_history(), tmp_path / "c.png", NAMES, monitor="val/mIoU")
    assert drawn[0].axes[2].get_title() == "best val/mIoU: 71.00 in epoch 3"


def test_log_without_validation(tmp_path, drawn):
    path = plot_training_curves([{"epoch": 1, "loss": 0.5}], tmp_path / "curves.png")
    assert path.is_file()
    texts = [[text.get_text() for text in axis.texts] for axis in drawn[0].axes]
    assert texts == [[], ["not in the log"], ["not in the log"]]


def test_log_without_epochs(tmp_path):
    with pytest.raises(UserError, match="no epoch"):
        plot_training_curves([{"step": 1}], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_confusion_matrix_is_row_normalised_with_counts(tmp_path, drawn):
    matrix = np.array([[3000, 1000, 0], [1, 1, 2], [0, 0, 0]])
    path = plot_confusion_matrix(matrix, ("a$b", "cat", "dog"), tmp_path / "matrix.png")
    assert min(Image.open(path).size) > 400
    axis = drawn[0].axes[0]
    texts = {tuple(text.get_position()): text.get_text() for text in axis.texts}
    assert texts[0, 0] == "75.0 %\n3,000"
    assert texts[1, 0] == "25.0 %\n1,000"  # column 1, row 0: truth a, predicted cat
    assert texts[2, 1] == "50.0 %\n2"
    assert texts[0, 2] == "no pixels"
    np.testing.assert_allclose(axis.images[0].get_array()[1], [25, 25, 50])


@pytest.mark.parametrize("size", [1, 12])
def test_confusion_matrix_of_other_sizes(tmp_path, size):
    path = plot_confusion_matrix(
        np.eye(size, dtype=int), [f"class {i}" for i in range(size)], tmp_path / "m.png"
    )
    assert path.is_file()
