"""What mmcv and mmseg decode of a data set, bounded and told by the file's name.

OpenCV has its limits from `seglab.utils.environment`. Pillow, which reads masks, and whatever else
a pipeline names get theirs here: a run may skip the preflight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mmcv
from mmcv.image import io as mmcv_io
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations

from seglab.utils.errors import UserError
from seglab.utils.image_limits import oversized_words, require_modest_content

_decode = mmcv_io.imfrombytes


def make_decoding_safe() -> None:
    """Put it in force; doing so again changes nothing."""
    mmcv.imfrombytes = mmcv_io.imfrombytes = _decode_bounded
    LoadImageFromFile.transform = _load_image
    LoadAnnotations._load_seg_map = _load_mask


def _decode_bounded(
    content: bytes, flag: str = "color", channel_order: str = "bgr", backend: str | None = None
) -> Any:
    if (backend or mmcv_io.imread_backend) != "cv2":
        require_modest_content(content)
    return _decode(content, flag, channel_order, backend)


def _naming(load: Callable[..., Any], key: str) -> Callable[..., Any]:
    """A loader that names the file it cannot read.

    Args:
        load: A method of a transform.
        key: What the path is called among its results.

    Raises:
        UserError: In place of whatever the decoder raised.
    """

    def loading(self: Any, results: dict[str, Any]) -> Any:
        try:
            return load(self, results)
        except Exception as error:  # decoders raise almost anything on damaged files
            raise UserError(
                f"cannot read {results.get(key)}: {_reason(error)}",
                "`seglab check` names every such file; mend or remove them",
            ) from error

    return loading


def _reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # OpenCV returns nothing, or fails in its own words, whatever is wrong.
    return f"it is no image, damaged, or has {oversized_words()}"


_load_image = _naming(LoadImageFromFile.transform, "img_path")
_load_mask = _naming(LoadAnnotations._load_seg_map, "seg_map_path")
