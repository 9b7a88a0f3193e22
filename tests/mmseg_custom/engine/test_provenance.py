"""Which split chose a checkpoint."""

import json
from pathlib import Path

import pytest

from seglab.mmseg_custom.engine.provenance import config_sha256, selected_on
from seglab.utils.config_utils import load_config


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("best_val_mDice_epoch_12.safetensors", "val"),
        ("best_val_Dice_dog_iter_300.pth", "val"),
        ("epoch_12.pth", None),
        ("best_of_all.pth", None),
        ("model.safetensors", None),
    ],
)
def test_the_name_says_whether_a_validation_chose(
    tmp_path: Path, name: str, expected: str | None
) -> None:
    for split in ("val", "test"):
        assert selected_on(tmp_path / name, split, "1" * 64) == expected


def test_the_same_images_under_another_name(tmp_path: Path) -> None:
    record = {"data": {"val": {"files": 5, "images_sha256": "1" * 64}}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    best = tmp_path / "best_val_mDice_epoch_1.safetensors"
    assert selected_on(best, "test", "1" * 64) == "test"
    assert selected_on(best, "test", "2" * 64) == "val"
    assert selected_on(tmp_path / "epoch_1.pth", "val", "1" * 64) is None


def test_the_configs_hash_follows_its_content(tiny_config: Path) -> None:
    first = config_sha256(load_config(tiny_config))
    assert first == config_sha256(load_config(tiny_config))
    assert first != config_sha256(load_config(tiny_config, ["train_cfg.max_epochs=3"]))
