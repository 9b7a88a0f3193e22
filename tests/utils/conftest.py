"""Fixtures for the tests of pictures."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

#: The width at which a report shows a picture, and the least height of its letters there.
REPORT_PIXELS, LEAST_PIXELS = 900, 9


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, to look into; they are saved all the same."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure, *args, **kwargs):
        figures.append(figure)
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


@pytest.fixture
def check_readable(drawn):
    """Asserts that the picture just drawn is readable in a report and cut off nowhere."""

    def check(path):
        picture = np.array(Image.open(path).convert("RGB"))
        height, width = picture.shape[:2]
        figure = drawn[-1]
        scale = width / figure.get_figwidth() / 72 * min(1.0, REPORT_PIXELS / width)
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        smallest = min(texts, key=lambda text: text.get_fontsize())
        assert smallest.get_fontsize() * scale >= LEAST_PIXELS, smallest
        frame = picture[[0, 1, -2, -1]].reshape(-1, 3), picture[:, [0, 1, -2, -1]].reshape(-1, 3)
        assert all((edge == 255).all() for edge in frame), f"{path} is cut off at its border"
        assert width <= 1600, "a report would shrink it"
        assert height <= 2600, "longer than two screens"

    return check
