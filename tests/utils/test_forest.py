import math

import numpy as np
import pytest

from seglab.utils.errors import UserError
from seglab.utils.forest import DifferenceRow, MetricRow, plot_differences, plot_run_metrics
from seglab.utils.masks import class_colors

NAN = math.nan
NAMES = ("background", "cat", "dog")
ROWS = [
    DifferenceRow("H2 - H1", "mDice", 1.25, 0.5, 2.0, "supported", True),
    DifferenceRow("H2 - H1", "Dice/cat", -0.5, -1.5, 0.5),
    DifferenceRow("Exp1 - H1", "mDice", -2.0, -3.0, -1.0, "not supported", True),
    DifferenceRow("Exp1 - H1", "Dice/cat", NAN, NAN, NAN, "undecided"),
]


def labels_of(axis):
    return [(text.get_text(), text.get_fontweight()) for text in axis.get_yticklabels()]


def texts_of(axis):
    return [text.get_text().replace("\N{MINUS SIGN}", "-") for text in axis.texts]


def points_of(axis):
    """Value, row, colour and marker of each point."""
    return [
        (*line.get_xydata()[0].tolist(), line.get_color(), line.get_marker())
        for line in axis.lines
        if len(line.get_xydata()) == 1
    ]


def bars_of(axis):
    """Low, high and row of each interval."""
    segments = [segment for lines in axis.collections for segment in lines.get_segments()]
    return [(low, high, row) for (low, row), (high, _) in np.array(segments).tolist()]


def test_differences(tmp_path, drawn, check_readable):
    check_readable(plot_differences(ROWS, tmp_path / "d.png", "val"))
    axis = drawn[0].axes[0]
    assert labels_of(axis) == [
        ("H2 - H1", "bold"),
        ("mDice", "bold"),
        ("Dice/cat", "normal"),
        ("Exp1 - H1", "bold"),
        ("mDice", "bold"),
        ("Dice/cat", "normal"),
    ]
    assert texts_of(axis) == [
        "+1.25  [+0.50, +2.00]",
        "-0.50  [-1.50, +0.50]",
        "-2.00  [-3.00, -1.00]",
        "no value",
    ]
    assert bars_of(axis) == [(0.5, 2.0, 1), (-1.5, 0.5, 2), (-3.0, -1.0, 4)]
    values, rows, colors, markers = zip(*points_of(axis), strict=True)
    assert (values, rows) == ((1.25, -0.5, -2.0), (1, 2, 4))
    assert len(set(colors)) == len(set(markers)) == 3, "verdicts differ in shape and colour"
    assert axis.get_ylim()[0] > axis.get_ylim()[1], "the first row is on top"
    left, right = axis.get_xlim()
    assert left < -3 and right > 2
    zero = [line for line in axis.lines if list(line.get_xdata()) == [0, 0]]
    assert len(zero) == 1
    legend = [text.get_text() for text in drawn[0].legends[0].texts]
    assert legend == ["supported", "not supported", "undecided", "nothing expected"]
    assert "percentage points, with its 95 % interval" in axis.get_xlabel()


def test_zero_is_in_sight_however_large_the_difference(tmp_path, drawn):
    plot_differences([DifferenceRow("b - a", "mDice", 50, 49, 51)], tmp_path / "d.png")
    left, right = drawn[0].axes[0].get_xlim()
    assert left < 0 < 51 < right
    assert not drawn[0].legends, "without an expectation there is no verdict to explain"


def test_pixels_and_percentages_have_axes_of_their_own(tmp_path, drawn, check_readable):
    rows = [*ROWS, DifferenceRow("Exp1 - H1", "HD95/dog", -4.0, -8.0, 0.0, "undecided")]
    check_readable(plot_differences(rows, tmp_path / "d.png", confidence=0.9))
    percent, pixels = drawn[0].axes
    assert percent.get_xlabel() == "difference in percentage points, with its 90 % interval"
    assert pixels.get_xlabel() == "difference in pixels, with its 90 % interval"
    assert [name for name, _ in labels_of(pixels)] == ["Exp1 - H1", "HD95/dog ↓"]
    assert points_of(pixels)[0][0] == -4.0


def test_many_differences_with_long_names(tmp_path, check_readable):
    rows = [
        DifferenceRow(f"a long label {a} - a long label {b}", f"Dice/a $long name {c}", c, -9, 9)
        for a, b in ((1, 0), (2, 0), (3, 2))
        for c in range(13)
    ]
    check_readable(plot_differences(rows, tmp_path / "d.png", "a long title " * 10))


def test_bad_differences(tmp_path):
    with pytest.raises(UserError, match="no difference"):
        plot_differences([], tmp_path / "d.png")
    with pytest.raises(ValueError, match="'maybe'.*supported"):
        plot_differences([ROWS[0]._replace(verdict="maybe")], tmp_path / "d.png")
    with pytest.raises(UserError, match="no metric"):
        plot_run_metrics([], tmp_path / "d.png")
    assert not list(tmp_path.iterdir())


def test_run_metrics(tmp_path, drawn, check_readable):
    rows = [
        MetricRow("H1", "mDice", 90.0, 88.0, 91.0),
        MetricRow("H1", "Dice/dog", 80.0, 70.0, 85.0),
        MetricRow("H2", "mDice", 91.5, 90.0, 93.0),
        MetricRow("H2", "Dice/dog", NAN),
        MetricRow("H1", "mHD95", 12.0),
        MetricRow("H2", "mHD95", 15.0),
    ]
    check_readable(plot_run_metrics(rows, tmp_path / "m.png", NAMES, title="val"))
    percent, pixels = drawn[0].axes
    assert labels_of(percent) == [
        ("mDice", "bold"),
        ("H1", "normal"),
        ("H2", "bold"),
        ("Dice/dog", "bold"),
        ("H1", "bold"),
        ("H2", "normal"),
    ]
    assert labels_of(pixels) == [("mHD95 ↓", "bold"), ("H1", "bold"), ("H2", "normal")]
    assert texts_of(percent) == [
        "90.00  [88.00, 91.00]",
        "91.50  [90.00, 93.00]",
        "80.00  [70.00, 85.00]",
        "no value",
    ]
    assert texts_of(pixels) == ["12.00", "15.00"]
    assert bars_of(percent) == [(88, 91, 1), (90, 93, 2), (70, 85, 4)]
    dog = percent.lines[2]
    np.testing.assert_allclose(dog.get_markerfacecolor(), class_colors(3)[2] / 255)
    assert percent.get_xlabel() == "%, with its 95 % interval; bold: the best run"


def test_metrics_of_one_run(tmp_path, drawn, check_readable):
    check_readable(plot_run_metrics([MetricRow("H1", "mDice", 90.0)], tmp_path / "m.png"))
    assert drawn[0].axes[0].get_xlabel() == "%"
    assert labels_of(drawn[0].axes[0])[1] == ("H1", "normal")
