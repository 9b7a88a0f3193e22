"""`seglab audit` from training to the page, on tiny images."""

import json
from pathlib import Path

import pytest

from seglab.mmseg_custom.engine import out_of_fold
from seglab.tools import audit
from seglab.utils.errors import UserError


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
