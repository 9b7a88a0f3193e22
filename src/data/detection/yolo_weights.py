"""Where YOLOv8's weights are."""

from __future__ import annotations

import re
from pathlib import Path

from seglab.utils.errors import UserError
from seglab.utils.paths import resolve_input
from seglab.utils.weights import PretrainedWeights, find_published

#: The official names and their sizes in megabytes. Their publisher gives no checksums; what was
#: used is written down with its own.
_MEGABYTES = {
    **{"yolov8n.pt": 7, "yolov8s.pt": 23, "yolov8m.pt": 52, "yolov8l.pt": 88, "yolov8x.pt": 137},
    **{"yolov8n-seg.pt": 7, "yolov8s-seg.pt": 24, "yolov8m-seg.pt": 55},
    **{"yolov8l-seg.pt": 92, "yolov8x-seg.pt": 144},
}
_RELEASE = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
_SUFFIXES = (".pt", ".onnx")


def find_yolo_weights(weights: str | Path) -> Path:
    """Find the file of YOLOv8 weights that is meant.

    Args:
        weights: A path, or an official name. A name is looked for in the folder named by
            `$SEGLAB_WEIGHTS`, in `weights/` and in torch's download cache, and then downloaded.

    Returns:
        The path of an existing file.

    Raises:
        UserError: There is no such file, it is of no known kind, or it cannot be downloaded;
            says what to fetch and where to put it.
    """
    text = str(weights)
    name = text if text.endswith(_SUFFIXES) or "." in Path(text).name else f"{text}.pt"
    for path in (resolve_input(weights), resolve_input(name)):
        if path.is_file():
            if path.suffix.lower() not in _SUFFIXES:
                raise UserError(f"{path} is no .pt or .onnx file", "give YOLOv8 weights")
            return path
    if name not in _MEGABYTES:
        hint = f"give a .pt or .onnx file, or one of {', '.join(_MEGABYTES)}"
        if re.search(r"[/\\]", text):
            raise UserError(f"detector weights not found: {text}", hint)
        raise UserError(f"detector weights {text!r}: neither a file nor a known name", hint)
    published = PretrainedWeights(name, name, "", _MEGABYTES[name], f"{_RELEASE}/{name}")
    return find_published(published, "name another file of YOLOv8 weights")
