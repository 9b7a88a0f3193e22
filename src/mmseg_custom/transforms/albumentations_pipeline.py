"""An albumentations pipeline as one step of an mmseg pipeline."""

from __future__ import annotations

import inspect
import os
import random
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from seglab.utils.errors import raise_faults


@TRANSFORMS.register_module()
class Albumentations(BaseTransform):
    """Applies albumentations transforms to an image and its masks alike.

    Unlike mmseg's `Albu`:

    - every draw follows mmengine's seed: albumentations 2 has random numbers of its own, which
      `set_random_seed` and the seeds of workers do not reach;
    - what comes into an image from outside it is ignored in the mask, not background;
    - an argument that a transform does not take is refused; albumentations warns and drops it.

    Images are handed over as RGB and taken back as mmseg's BGR.

    Example::

        dict(
            type="Albumentations",
            transforms=[
                dict(type="HorizontalFlip", p=0.5),
                dict(type="Rotate", limit=15, p=0.5),
            ],
        )

    Args:
        transforms: albumentations transforms by their class's name, with their arguments; those
            that hold others (`OneOf`, `SomeOf`, `Sequential`) have `transforms` of their own.
        seg_pad_val: Label of the pixels that were not in the image, where a transform has a
            `fill_mask` and names no other.

    Raises:
        UserError: A transform is unknown or does not take its arguments; every fault is named.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]], seg_pad_val: int = 255) -> None:
        albumentations = _import_albumentations()
        faults: list[str] = []
        steps = [
            _build(albumentations, spec, seg_pad_val, f"transforms[{index}]", faults)
            for index, spec in enumerate(transforms)
        ]
        raise_faults(
            "the Albumentations step of the pipeline does not build",
            faults,
            "see albumentations' reference for the names and their arguments",
        )
        self.transforms = list(transforms)
        self.compose = albumentations.Compose(steps)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transform one sample.

        Args:
            results: mmseg's dict with `img`, (H, W, 3) uint8 BGR, and, named in `seg_fields`,
                masks (H, W).

        Returns:
            The same dict with the new image, masks and `img_shape`.
        """
        seed = int(np.random.randint(2**31))  # numpy's global numbers are mmengine's to seed
        # One stream for all transforms: `set_random_seed` would give each the same one, and a
        # flip would come exactly when a rotation comes.
        self.compose.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311
        fields = list(results.get("seg_fields", []))
        given: dict[str, Any] = {"image": np.ascontiguousarray(results["img"][..., ::-1])}
        if fields:
            given["masks"] = [results[field] for field in fields]
        done = self.compose(**given)
        results["img"] = np.ascontiguousarray(done["image"][..., ::-1])
        results["img_shape"] = results["img"].shape[:2]
        results.update(zip(fields, done.get("masks", []), strict=True))
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(transforms={self.transforms})"


def _import_albumentations() -> ModuleType:
    # It would ask the package registry for a newer version of itself.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations  # a second; only pipelines that use it pay

    module: ModuleType = albumentations
    return module


def _build(
    albumentations: ModuleType,
    spec: Mapping[str, Any],
    seg_pad_val: int,
    where: str,
    faults: list[str],
) -> Any:
    """Build one transform and those inside it; None, and a fault, if that fails."""
    if not isinstance(spec, Mapping):
        faults.append(f"{where}: {spec!r} is no dict(type=..., ...)")
        return None
    arguments = dict(spec)
    name = arguments.pop("type", None)
    cls = getattr(albumentations, str(name), None)
    if not (inspect.isclass(cls) and hasattr(cls, "set_random_state")):
        faults.append(f"{where}: albumentations has no transform {name!r}")
        return None
    if "transforms" in arguments:
        inner = [
            _build(albumentations, item, seg_pad_val, f"{where}.transforms[{index}]", faults)
            for index, item in enumerate(arguments["transforms"])
        ]
        if None in inner:
            return None
        arguments["transforms"] = inner
    if "fill_mask" in inspect.signature(cls).parameters:
        arguments.setdefault("fill_mask", seg_pad_val)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Argument")
            return cls(**arguments)
    except (ValueError, TypeError, UserWarning) as error:  # pydantic's faults are ValueErrors
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        faults.append(f"{where} ({name}): {': '.join(lines[:3])}")
        return None
