"""Objects as windows, against arrays of the whole mask."""

import numpy as np
import pytest
from scipy import ndimage

from seglab.data.relabelling.parts import parts_of


def test_parts_agree_with_whole_masks() -> None:
    random = np.random.default_rng(0)
    mask = ndimage.binary_opening(random.random((40, 50)) < 0.6, np.ones((2, 2)))
    other, values = random.random((40, 50)) < 0.5, random.random((40, 50), np.float32)
    parts = parts_of(mask, 2)
    assert len(parts) > 5 and {part.label for part in parts} == {2}
    assert [part.area for part in parts] == sorted((p.area for p in parts), reverse=True)
    again = np.zeros(mask.shape, int)
    for part in parts:
        whole = np.zeros(mask.shape, bool)
        whole[part.window] = part.inside
        again += whole
        assert ndimage.label(whole, np.ones((3, 3)))[1] == 1
        rows, columns = np.nonzero(whole)
        assert part.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert part.area == whole.sum() and part.common(other) == (whole & other).sum()
        assert part.mean(values) == pytest.approx(values[whole].mean())
        for _ in range(20):
            x0, x1 = sorted(random.uniform(-2, 52, 2))
            y0, y1 = sorted(random.uniform(-2, 42, 2))
            box = np.zeros(mask.shape, bool)
            box[max(0, round(y0)) : max(0, round(y1)), max(0, round(x0)) : max(0, round(x1))] = True
            assert part.share_in_box((x0, y0, x1, y1)) == pytest.approx(
                (whole & box).sum() / whole.sum()
            )
    assert (again == mask).all()
    assert parts_of(np.zeros((3, 3), bool), 1) == []
