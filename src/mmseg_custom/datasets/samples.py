"""The files behind a data set's samples."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from mmseg.utils import register_all_modules

from seglab.utils.config_utils import building
from seglab.utils.data_hashes import SampleFiles


def build_dataset(config: Config, node: Any) -> Any:
    """Build a data set of a config without a Runner.

    Args:
        config: The config, for the message.
        node: The data set's dict in it; it is not changed.

    Raises:
        UserError: It does not build.
    """
    register_all_modules(init_default_scope=False)
    init_default_scope("mmseg")
    with building(config):
        return DATASETS.build(copy.deepcopy(node))


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
            mapped = info.get("label_map")
            reading = json.dumps(mapped, sort_keys=True) if mapped else ""
            yield SampleFiles(sample_id, Path(info["img_path"]), Path(label), reading)
