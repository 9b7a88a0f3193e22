"""What `import seglab` prepares, seen from fresh processes."""

import os
import subprocess
import sys

import pytest


def run(code: str, **environment: str) -> str:
    kept = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=kept | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_threads_wait_passively_unless_the_user_says_otherwise() -> None:
    code = "import seglab, torch; torch.ones(9).sum()"
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in run(code, OMP_DISPLAY_ENV="TRUE")
    chosen = run(code, OMP_DISPLAY_ENV="TRUE", OMP_WAIT_POLICY="ACTIVE")
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in chosen


def test_torchvision_imports_after_seglab() -> None:
    # On a sound install this holds without us; on a CPU-only torch only with the repair.
    assert "ok" in run("import seglab, torchvision, timm; print('ok')")


def test_the_repair_leaves_a_sound_install_alone() -> None:
    code = """
import sys, types
import seglab.utils.torchvision_repair as repair
repair._extension_loads = lambda: True
before = list(sys.meta_path)
assert repair.repair_torchvision() is False
assert sys.meta_path == before and not repair._LIBRARIES
print('untouched')
"""
    assert "untouched" in run(code)


def test_importing_twice_arms_once() -> None:
    code = """
import sys, seglab
from seglab.utils.environment import _BeforeTorchvision, prepare_environment
prepare_environment()
print(sum(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path))
"""
    assert run(code).strip() == "1"


@pytest.mark.parametrize("module", ["timm", "segmentation_models_pytorch", "mmseg.apis"])
def test_libraries_that_need_torchvision_import(module: str) -> None:
    run(f"import seglab, {module}")


def test_the_repair_steps_aside_once_torchvision_is_imported() -> None:
    run(
        "import seglab, torchvision, sys; from seglab.utils.environment import *; "
        "prepare_environment(); assert not any('BeforeTorch' in repr(f) for f in sys.meta_path)"
    )
