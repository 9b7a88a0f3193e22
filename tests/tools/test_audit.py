"""`seglab audit` from training to the page, on tiny images."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.mmseg_custom.engine import out_of_fold
from seglab.tools import audit
from seglab.utils.data_hashes import SampleFiles, hash_samples
from seglab.utils.errors import UserError
from seglab.utils.prediction_cache import CacheIndex, save_probabilities, write_index


def test_one_command_trains_judges_and_writes(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["--config", str(tiny_config), "--folds", "2", "--epochs", "1", "--device", "cpu"]
    command += ["--cache-dir", str(tmp_path / "oof"), "--output-dir", str(tmp_path / "out")]
    assert audit.main([*command, "--write-bad-masks", "1"]) == 0
    listed = json.loads((tmp_path / "out/audit.json").read_text())
    scores = [item["score"] for item in listed["ranking"]]
    assert scores == sorted(scores, reverse=True)
    assert listed["predictions"][0]["folds"] == 2
    assert len(json.loads((tmp_path / "out/bad_mask_paths.json").read_text())["masks"]) == 1
    assert len(list((tmp_path / "oof").iterdir())) == 1
    monkeypatch.setattr(out_of_fold, "predict_out_of_fold", None)  # refused before any training
    with pytest.raises(UserError, match="already"):
        audit.main([*command, "--write-bad-masks", "1"])
    with pytest.raises(UserError, match="the config trains on train"):
        audit.main([*command, "--split", "val"])


def test_what_cannot_be_judged_is_refused_before_any_training(
    tiny_config: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_fold, "predict_out_of_fold", None)
    root = tmp_path / "data"
    shutil.copytree(tiny_data, root)
    Image.new("RGB", (64, 64)).save(root / "labels/train/003.png")
    (root / "img/train/004.jpg").write_bytes(b"torn")

    def refused(*more: str) -> str:
        command = ["--config", str(tiny_config), "--data-root", str(root), "--output-dir"]
        with pytest.raises(UserError) as caught:
            audit.main([*command, str(tmp_path / "out"), *more])
        return str(caught.value)

    message = refused()
    assert "003.png (mode RGB)" in message
    assert "004.jpg" in message
    assert "--folds 1 is less than 2; --epochs 0" in refused("--folds", "1", "--epochs", "0")
    assert "--seeds -1 is less than 0" in refused("--seeds", "0", "-1")
    assert "--detector-classes without" in refused("--detector-classes", "1=cat")
    assert "nowhere.onnx" in refused("--detector", "nowhere.onnx")
    for option in ("+{}.seg_map_suffix=_gt.png", "+{}.reduce_zero_label=True", "+{}.indices=3"):
        option = option.format("train_dataloader.dataset")
        key = option.strip("+").partition("=")[0]
        assert f"the config sets {key}" in refused("--cfg-options", option)


def test_files_and_pixels_that_the_config_leaves_out_are_not_judged(
    tiny_config: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of another suffix, pixels of another `ignore_index` than 255."""
    root = tmp_path / "data"
    shutil.copytree(tiny_data, root)
    Image.new("RGB", (64, 64)).save(root / "img/train/000.png")  # the config reads .jpg
    mask = np.asarray(Image.open(root / "labels/train/005.png")).copy()
    mask[:3] = 250
    Image.fromarray(mask).save(root / "labels/train/005.png")
    samples = [
        SampleFiles(image.name, image, root / f"labels/train/{image.stem}.png")
        for image in sorted((root / "img/train").glob("*.jpg"))
    ]
    labels = {key: str(pair["label"]) for key, pair in hash_samples(samples).items()}
    classes = ("background", "cat", "dog")
    write_index(tmp_path / "oof", CacheIndex(classes, dict.fromkeys(labels, 0), labels, {}))
    for key in labels:
        save_probabilities(tmp_path / "oof", key, np.full((3, 64, 64), 1 / 3, np.float32))
    monkeypatch.setattr(out_of_fold, "predict_out_of_fold", lambda *_: tmp_path / "oof")
    command = ["--config", str(tiny_config), "--data-root", str(root), "--output-dir"]
    option = "train_dataloader.dataset.ignore_index=250"
    with pytest.raises(UserError, match=r"005\.png \(value 250\)"):
        audit.main([*command, str(tmp_path / "out")])
    assert audit.main([*command, str(tmp_path / "out"), "--cfg-options", f"+{option}"]) == 0
    listed = json.loads((tmp_path / "out/audit.json").read_text())
    assert len(listed["ranking"]) == len(labels) == 12
