"""The plain-torch nms against an independent loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.utils.torchvision_repair import nms


def reference_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Greedy suppression, one pair at a time, in float64."""
    kept: list[int] = []
    for candidate in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        for other in kept:
            width = min(boxes[candidate][2], boxes[other][2]) - max(
                boxes[candidate][0], boxes[other][0]
            )
            height = min(boxes[candidate][3], boxes[other][3]) - max(
                boxes[candidate][1], boxes[other][1]
            )
            inside = max(width, 0) * max(height, 0)
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[candidate], boxes[other])]
            if inside > threshold * (sum(areas) - inside):
                break
        else:
            kept.append(candidate)
    return kept


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 30),
    threshold=st.sampled_from([0.1, 0.5, 0.7]),
)
def test_nms_equals_the_loop(seed: int, count: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    corners = random.integers(0, 20, (count, 2, 2)).astype(np.float64)
    boxes = np.concatenate([corners.min(1), corners.max(1) + 1], axis=1)
    scores = random.permutation(count) / max(count, 1)
    found = nms(
        torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4), torch.tensor(scores), threshold
    )
    assert found.dtype == torch.int64
    assert found.tolist() == reference_nms(boxes, scores, threshold)


def test_torchvision_uses_it_or_its_own() -> None:
    torchvision = pytest.importorskip("torchvision")
    boxes = torch.tensor([[0, 0, 10, 10.0], [1, 1, 10, 10], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.9, 0.3])
    assert torchvision.ops.nms(boxes, scores, 0.5).tolist() == [1, 2]
    labels = torch.tensor([0, 1, 1])
    assert torchvision.ops.batched_nms(boxes, scores, labels, 0.5).tolist() == [1, 0, 2]
