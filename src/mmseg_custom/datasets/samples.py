"""The files behind a data set's samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seglab.utils.data_hashes import SampleFiles


def sample_files(dataset: Any) -> Iterator[SampleFiles]:
    """The image and the label of every sample, once each.

    Args:
        dataset: An mmseg data set, or mmengine's wrappers around some. A data set other than
            ours has no ids: its images' paths take their place.
    """
    seen = set()
    for position in range(len(dataset)):
        info = dataset.get_data_info(position)
        sample_id = str(info.get("sample_id", info["img_path"]))
        if sample_id not in seen:
            seen.add(sample_id)
            label = info.get("seg_map_path") or ""
            yield SampleFiles(sample_id, Path(info["img_path"]), Path(label))
