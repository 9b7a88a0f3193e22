"""The optional extras live beside the core: they import, and leave it as it is.

Skipped where they are not installed (`make curation`; `make test` installs them).
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


def python(code: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "YOLO_CONFIG_DIR": str(home),
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "FIFTYONE_DO_NOT_TRACK": "true",
            "FIFTYONE_DATABASE_DIR": str(home / "database"),
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["ultralytics", "onnxruntime", "sam2.sam2_image_predictor"])
def test_extras_import_after_seglab(module: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(module.split(".")[0]) is None:
        pytest.skip(f"{module} is not installed; run `make curation`")
    assert "ok" in python(f"import seglab, {module}; print('ok')", tmp_path)


def test_fiftyone_has_its_database(tmp_path: Path) -> None:
    if importlib.util.find_spec("fiftyone") is None:
        pytest.skip("fiftyone is not installed; run `make curation`")
    spec = importlib.util.find_spec("fiftyone")
    assert spec is not None and spec.submodule_search_locations
    mongod = Path(next(iter(spec.submodule_search_locations))) / "db" / "bin" / "mongod"
    done = subprocess.run([mongod, "--version"], capture_output=True, text=True, check=True)
    assert "db version" in done.stdout
