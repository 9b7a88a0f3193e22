"""Make `import torchvision` work when its compiled extension cannot load.

The registry's torchvision wheel is a CUDA build. Beside a CPU build of torch its `_C.so` does
not load, and `import torchvision` dies with "operator torchvision::nms does not exist", which
takes timm, segmentation_models_pytorch, ultralytics and sam2 down with it. On an install whose
extension loads, nothing here has any effect.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_LIBRARIES: list[object] = []  # torch.library registrations live as long as their object


def _extension_loads() -> bool:
    """Whether torchvision's compiled operators load beside this torch."""
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # not installed: nothing to repair
    extensions = sorted(Path(spec.origin).parent.glob("_C*.so")) + sorted(
        Path(spec.origin).parent.glob("_C*.pyd")
    )
    for extension in extensions:
        try:
            torch.ops.load_library(str(extension))
        except (ImportError, OSError):
            continue
        return True
    return False


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression, as `torchvision.ops.nms` defines it.

    Args:
        boxes: (N, 4) float, corners x1, y1, x2, y2 in pixels.
        scores: (N,) float.
        iou_threshold: A box whose IoU with a kept, better box is above this is dropped.

    Returns:
        (K,) int64 indices of the kept boxes, best score first.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    keep: list[int] = []
    while order.numel():
        best, order = order[0], order[1:]
        keep.append(int(best))
        top_left = torch.maximum(boxes[best, :2], boxes[order, :2])
        bottom_right = torch.minimum(boxes[best, 2:], boxes[order, 2:])
        intersection = (bottom_right - top_left).clamp(min=0).prod(dim=1)
        union = area[best] + area[order] - intersection
        # Compared as a product: two boxes without area have no IoU and both stay.
        order = order[intersection <= iou_threshold * union]
    return torch.tensor(keep, dtype=torch.int64, device=boxes.device)


class _AllowPythonOperators(importlib.abc.MetaPathFinder):
    """Neutralises torchvision's "has compiled operators" assertion once its ops are imported."""

    def find_spec(
        self,
        fullname: str,
        path: object,  # noqa: ARG002 - the protocol's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> None:
        """Watch for `torchvision.ops.boxes`; never answers for a module."""
        if fullname == "torchvision.ops.boxes":
            sys.meta_path.remove(self)
            extension = sys.modules["torchvision.extension"]
            # `from torchvision.extension import _assert_has_ops` copies this very object.
            extension._assert_has_ops = lambda: None  # type: ignore[attr-defined]


def repair_torchvision() -> bool:
    """Define `nms` in plain torch if torchvision's compiled operators do not load.

    Must run before the first `import torchvision` of the process; `import seglab` sees to it.

    Returns:
        Whether a repair was needed.
    """
    if importlib.util.find_spec("torch") is None or _extension_loads():
        return False
    import torch

    logging.getLogger("seglab").debug(
        "torchvision's compiled operators do not load beside torch %s; using a plain-torch nms",
        torch.__version__,
    )
    definitions = torch.library.Library("torchvision", "DEF")
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    definitions.define(f"nms{signature}")
    definitions.define(f"qnms{signature}")  # torchvision registers a fake for it unconditionally
    definitions.impl("nms", nms, "CPU")
    _LIBRARIES.append(definitions)
    sys.meta_path.insert(0, _AllowPythonOperators())
    return True
