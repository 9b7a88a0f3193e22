"""A config's JSON does what its Python does: the same samples, from every config's pipelines."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from PIL import Image

from seglab.utils.config_utils import load_config
from seglab.utils.io_utils import write_json
from seglab.utils.random_state import isolated

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.py"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A photograph of noise with a mask of 1 and 2, which every config understands."""
    folder = tmp_path_factory.mktemp("sample")
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(folder / "a.png")
    Image.fromarray(random.integers(1, 3, (90, 120), dtype=np.uint8)).save(folder / "m.png")
    files = dict(img_path=str(folder / "a.png"), seg_map_path=str(folder / "m.png"))
    return dict(**files, sample_id="a", reduce_zero_label=False, seg_fields=[], label_map=None)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_pipelines(path: Path, sample: dict[str, Any], tmp_path: Path, mmseg_scope: None) -> None:
    python = load_config(path)
    again = load_config(write_json(tmp_path / "config.json", python.to_dict()))
    assert json.dumps(again.to_dict(), sort_keys=True) == json.dumps(
        python.to_dict(), sort_keys=True
    )
    for split in ("train", "val"):
        found = []
        for config in (python, again):
            with isolated(3):
                loaded = Compose(config[f"{split}_dataloader"].dataset.pipeline)(
                    copy.deepcopy(sample)
                )
            found.append((loaded["inputs"], loaded["data_samples"].gt_sem_seg.data))
        for first, second in zip(*found, strict=True):
            assert torch.equal(first, second)
