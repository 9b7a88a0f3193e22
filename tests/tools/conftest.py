"""The tools' tests use the run folders of the analysis' tests."""

import importlib.util
from pathlib import Path

_PATH = Path(__file__).parents[1] / "analysis" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("seglab_run_factory", _PATH)
assert _SPEC is not None and _SPEC.loader is not None
_FACTORY = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FACTORY)

make_run = _FACTORY.make_run
family = _FACTORY.family
