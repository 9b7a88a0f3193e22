"""Slow: the lite config on the real, noisy masks reaches what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(3000)
def test_lite_reaches_87_in_25_minutes(shared_dir: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "seglab.tools.train"),
            *("--config", "configs/lite_fpn_effnetlite2_256x256.py"),
            *("--data-root", str(shared_dir / "data" / "pets_coco")),
            *("--work-dir", str(tmp_path / "run"), "--device", "cpu"),
        ]
    )
    assert done.returncode == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    print(record["best"]["val/mDice"], record["seconds"] / 60)
    assert record["best"]["val/mDice"] >= 87
    assert record["seconds"] <= 25 * 60
