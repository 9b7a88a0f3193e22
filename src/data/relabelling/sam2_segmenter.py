"""SAM 2.1 behind the segmenter's interface, through the `sam2` package.

Ravi et al., "SAM 2: Segment Anything in Images and Videos" (2024). Its checkpoints are unpacked
with `weights_only=True`: nothing in them is executed.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seglab.data.detection import Detection
from seglab.data.relabelling.segmenters import FALLBACKS, Segment
from seglab.utils.devices import choose_device
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file
from seglab.utils.masks import ImageArray
from seglab.utils.paths import resolve_input
from seglab.utils.weights import PretrainedWeights, find_published

_PUBLISHED = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"
#: Name -> the network's configuration in the `sam2` package, sha256 and megabytes of its weights.
_MODELS = {
    "sam2.1_hiera_large": (
        "configs/sam2.1/sam2.1_hiera_l.yaml",
        "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        898,
    ),
    "sam2.1_hiera_tiny": (
        "configs/sam2.1/sam2.1_hiera_t.yaml",
        "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
        156,
    ),
}


def load_sam2(name: str, weights: str | Path | None, device: str) -> Sam2Segmenter:
    """Load SAM 2.1 with its trained weights.

    Args:
        name: A key of the models above.
        weights: A checkpoint instead of the official one.
        device: See `choose_device`.

    Raises:
        UserError: The package or the weights cannot be had, or they do not fit the network.
    """
    if importlib.util.find_spec("sam2") is None:
        raise UserError(
            f"--segmenter {name} needs the package sam2, which is not installed",
            f"install the optional extras: make curation; or {FALLBACKS}",
        )
    path = _find_checkpoint(name, weights)
    try:
        predictor = build_predictor(name, path, device)
    except UserError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError, EOFError) as error:
        reason = (str(error) or "its tensors do not fit the network").strip().splitlines()[0]
        raise UserError(
            f"{path} is no checkpoint of {name}: {reason}", f"restore it; or {FALLBACKS}"
        ) from error
    return Sam2Segmenter(predictor, path.stem if weights else name, sha256_file(path))


def build_predictor(name: str, checkpoint: Path | None, device: str) -> Any:
    """A `SAM2ImagePredictor`; without a checkpoint its weights are random, which only tests want.

    Raises:
        UserError: The device is not there.
    """
    chosen = choose_device(device)
    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    # sam2 reads the checkpoint with torch.load(..., weights_only=True).
    model = build_sam2(_MODELS[name][0], str(checkpoint) if checkpoint else None, device=chosen)
    return SAM2ImagePredictor(model)


class Sam2Segmenter:
    """A `Segmenter` on SAM 2.1; made by `load_sam2`."""

    score_means = "SAM 2.1's own estimate of its mask's IoU"
    # Not measured: no SAM 2.1 weights could be had where the rule was chosen.
    sure_score = 0.7
    sure_outline = 0.9
    recognises = False
    outlines = True

    def __init__(self, predictor: Any, name: str, sha256: str) -> None:
        self.name, self.sha256 = name, sha256
        self._predictor = predictor

    def segment(
        self, images: Sequence[ImageArray], found: Sequence[Sequence[Detection]]
    ) -> list[list[Segment]]:
        """See `Segmenter.segment`. Images without boxes are not looked at."""
        segments: list[list[Segment]] = [[] for _ in images]
        asked = [index for index, boxes in enumerate(found) if boxes]
        if not asked:
            return segments
        # The predictor's own batch; sam2 turns each image into 1024 x 1024 by itself.
        self._predictor.set_image_batch([np.ascontiguousarray(images[index]) for index in asked])
        boxes = [np.array([each.box for each in found[i]], np.float32) for i in asked]
        masks, scores, _ = self._predictor.predict_batch(box_batch=boxes, multimask_output=False)
        self._predictor.reset_predictor()
        for place, index in enumerate(asked):
            count, shape = len(found[index]), images[index].shape[:2]
            layers = np.asarray(masks[place]).reshape(count, *shape) > 0
            estimates = np.asarray(scores[place], np.float64).reshape(count).clip(0, 1)
            segments[index] = [
                Segment(layer, float(value)) for layer, value in zip(layers, estimates, strict=True)
            ]
        return segments


def _find_checkpoint(name: str, weights: str | Path | None) -> Path:
    _, sha256, megabytes = _MODELS[name]
    if weights is not None:
        path = resolve_input(weights)
        if not path.is_file():
            raise UserError(
                f"SAM 2.1's checkpoint is not there: {weights}", f"check the path; or {FALLBACKS}"
            )
        return path
    filename = f"{name}.pt"
    published = PretrainedWeights(name, filename, sha256, megabytes, f"{_PUBLISHED}/{filename}")
    way_out = f"give its path with --segmenter-weights; or {FALLBACKS}"
    return find_published(published, way_out)
