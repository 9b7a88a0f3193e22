import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from seglab.utils.figures import metric_unit, new_figure, plain, save_figure, shorten, unit_color


@given(st.text(), st.integers(4, 60))
def test_shorten(text, length):
    short = shorten(text, length)
    assert len(short) <= length
    if len(text) <= length:
        assert short == text
    else:
        head, _, tail = short.partition("…") if "…" not in text else (text[:1], "", text[-1:])
        assert text.startswith(head)
        assert text.endswith(tail)


def test_shorten_keeps_more_of_the_end():
    assert shorten("abcdefghijklmnopqrstuvwxyz", 10) == "abc…uvwxyz"


@given(st.text(alphabet="a$_{}^\\ %", max_size=12))
def test_plain_text_is_no_formula(text):
    figure = new_figure(2, 1)
    figure.text(0, 0, plain(text))
    figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("key", "unit"),
    [("mDice", "%"), ("ECE", "%"), ("mHD95", "pixels"), ("image_mean/HD95/dog", "pixels"),
     ("Dice/HD95", "%")],
)  # fmt: skip
def test_unit(key, unit):
    assert metric_unit(key) == unit


def test_unit_color():
    assert unit_color((0, 51, 255)) == (0, 0.2, 1)


def test_a_figure_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError

    save_figure(new_figure(1, 1), tmp_path / "whole.png")
    monkeypatch.setattr(Figure, "savefig", fail)
    for name in ("whole.png", "other.png"):
        with pytest.raises(RuntimeError):
            save_figure(new_figure(1, 1), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.png"]
    assert (tmp_path / "whole.png").stat().st_size > 100
