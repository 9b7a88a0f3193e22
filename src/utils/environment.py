"""What must hold before torch, torchvision or mmengine are imported.

Called once by `import seglab`; imports nothing heavy itself, so `--help` stays quick.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType

#: The most pixels of an image that anything decodes, in millions (`seglab.utils.image_limits`).
MEGAPIXELS_VARIABLE, DEFAULT_MEGAPIXELS = "SEGLAB_MAX_MEGAPIXELS", 100.0

# Each is a default: what the user has set stays.
_ENVIRONMENT = {
    # libgomp's spinning barriers slow every step down when another process shares the
    # cores; it reads this when torch loads it.
    "OMP_WAIT_POLICY": "PASSIVE",
    # albumentations asks the network for a newer version at import.
    "NO_ALBUMENTATIONS_UPDATE": "1",
}


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Mends torchvision in the moment somebody imports it, and then steps aside."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """Run the repair on the first `import torchvision`; never answers for a module."""
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            from seglab.utils.torchvision_repair import repair_torchvision

            repair_torchvision()
        return None


def prepare_environment() -> None:
    """Set environment defaults and put the torchvision repair in force."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # OpenCV reads it when it is loaded; what is no number is complained of where images are read.
    with suppress(ValueError, OverflowError):
        pixels = int(1e6 * float(os.environ.get(MEGAPIXELS_VARIABLE, DEFAULT_MEGAPIXELS)))
        os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(pixels))
    armed = any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path)
    if "torchvision" not in sys.modules and not armed:
        sys.meta_path.insert(0, _BeforeTorchvision())
