"""What the tools' tests share: the tools called in this process, and finished runs."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from seglab.tools.main import main

_PATH = Path(__file__).parents[1] / "analysis" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("seglab_run_factory", _PATH)
assert _SPEC is not None and _SPEC.loader is not None
_FACTORY = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FACTORY)

make_run = _FACTORY.make_run
family = _FACTORY.family


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `seglab COMMAND ARGUMENTS` in this process: exit code, output, errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call
