"""YOLOv8 through ultralytics: detection, and segmentation where the weights do that too.

Four habits of ultralytics are held in check here: it writes settings when it is imported, it may
fetch weights and packages by itself, it sets torch's thread count for the whole process, and it
puts functions of its own into Pillow and torch.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seglab.data.detection.interface import BoolArray, Detection, Detector
from seglab.data.detection.yolo_weights import find_yolo_weights
from seglab.utils.devices import choose_device
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file
from seglab.utils.masks import ImageArray

DECLARED = (
    "The detector was trained on COCO: on photographs from COCO its figures are optimistic, it "
    "may have seen them."
)
_TASKS = ("detect", "segment")


def load_detector(
    weights: str | Path,
    class_map: Mapping[int, int],
    device: str = "auto",
    min_confidence: float = 0.25,
    batch_size: int = 8,
) -> Detector:
    """Load YOLOv8 weights.

    Args:
        weights: A `.pt` or `.onnx` file (an ONNX model is run at its own input size), or an
            official name such as `yolov8x.pt`, see `find_yolo_weights`. A `.pt` file is a pickle
            that ultralytics unpacks: load only those whose source you trust.
        class_map: The detector's class number -> the data set's class index, see
            `class_map_for`. Other classes are not looked for.
        device: `"auto"` (cuda where there is one, else cpu), `"cpu"`, `"cuda"` or `"cuda:N"`.
        min_confidence: Detections below it are dropped.
        batch_size: Images handed to the network at once.

    Raises:
        UserError: The extra is not installed, the weights cannot be had or read, or they do not
            know a class of the map.
    """
    if not 0 < min_confidence < 1:
        raise UserError(f"a detector's confidence of {min_confidence} is not between 0 and 1")
    _require_extra("ultralytics")
    path = find_yolo_weights(weights)
    if path.suffix == ".onnx":
        _require_extra("onnxruntime")
    return YoloDetector(path, class_map, device, min_confidence, batch_size)


class YoloDetector:
    """A `Detector` on ultralytics' YOLO; made by `load_detector`."""

    declared = DECLARED

    def __init__(
        self,
        path: Path,
        class_map: Mapping[int, int],
        device: str,
        min_confidence: float,
        batch_size: int,
    ) -> None:
        self.name = path.stem
        self.sha256 = sha256_file(path)
        self.device = choose_device(device)
        if path.suffix == ".onnx" and not _onnx_on_cuda():
            self.device = "cpu"
        self._class_map, self._batch_size = dict(class_map), max(1, batch_size)
        self._min_confidence = min_confidence
        self._model = _open_model(path)
        self.segments = self._model.task == "segment"
        with _own_thread_count():
            known = dict(self._model.names)
        strange = sorted(set(self._class_map) - set(known))
        if strange:
            raise UserError(
                f"{path} knows no class {', '.join(map(str, strange))} (it has {len(known)})",
                "map classes that the detector has",
            )

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        """See `Detector.detect`."""
        found: list[list[Detection]] = []
        for start in range(0, len(images), self._batch_size):
            batch = images[start : start + self._batch_size]
            # ultralytics reads arrays as OpenCV does: blue first.
            blue_first = [np.ascontiguousarray(image[..., ::-1]) for image in batch]
            with _own_thread_count():
                results = self._model.predict(
                    blue_first,
                    conf=self._min_confidence,
                    classes=sorted(self._class_map),
                    device=self.device,
                    retina_masks=True,  # masks at the image's size, not the network's
                    verbose=False,
                    save=False,
                )
            found += [self._read(result) for result in results]
        return found

    def _read(self, result: Any) -> list[Detection]:
        boxes = result.boxes.xyxy.cpu().numpy().astype(float)
        height, width = result.orig_shape
        masks = None if result.masks is None else result.masks.data.cpu().numpy() > 0.5
        found = []
        for index, box in enumerate(boxes):
            limited = box.clip(0, (width, height, width, height))
            if limited[2] - limited[0] < 1 or limited[3] - limited[1] < 1:
                continue  # a box without area holds nothing to segment
            mask: BoolArray | None = None
            if self.segments:
                mask = np.zeros((height, width), bool) if masks is None else masks[index]
            found.append(
                Detection(
                    (float(limited[0]), float(limited[1]), float(limited[2]), float(limited[3])),
                    self._class_map[int(result.boxes.cls[index])],
                    float(result.boxes.conf[index]),
                    mask,
                )
            )
        return sorted(found, key=lambda each: (-each.confidence, each.label, each.box))


def _open_model(path: Path) -> Any:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    settings = cache / "seglab" / "ultralytics"
    # Read once, when ultralytics is imported; what the user has set stays.
    for name, value in {
        "YOLO_CONFIG_DIR": str(settings),
        "YOLO_OFFLINE": "true",  # no analytics, no update checks, no downloads by itself
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
    }.items():
        os.environ.setdefault(name, value)
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    try:
        with _own_thread_count(), _without_patches():
            from ultralytics import YOLO

            model = YOLO(str(path))
            task = model.task
            len(model.names)  # an ONNX file is opened here
    except Exception as error:  # ultralytics, torch and onnxruntime raise almost anything
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise UserError(
            f"{path} cannot be opened as YOLOv8 weights: {reason}",
            "give a .pt or .onnx file of YOLOv8",
        ) from error
    if task not in _TASKS:
        raise UserError(f"{path} is a model for {task!r}", "give one that detects or segments")
    return model


@contextmanager
def _own_thread_count() -> Iterator[None]:
    """Undo what `select_device` does to torch's thread count."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _without_patches() -> Iterator[None]:
    """Undo what importing ultralytics does to Pillow and torch for the whole process.

    Its `Image.open` looks for a package for HEIF whenever a file is no image, and complains of
    that package instead of the file; its `torch.save` tries three times.
    """
    import torch

    opened, saved = Image.open, torch.save
    try:
        yield
    finally:
        Image.open, torch.save = opened, saved


def _require_extra(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"detecting needs the package {package}, which is not installed",
            "install the optional extras: make curation",
        )


def _onnx_on_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()
