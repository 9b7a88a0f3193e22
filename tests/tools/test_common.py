"""What several tools share."""

import importlib
from pathlib import Path

import pytest

from seglab.tools.main import COMMANDS

WITH_DATA_ROOT = ("train", "test", "check", "audit", "repair-gain", "report", "demo", "eda")
REQUIRED = {
    "test": ["--config", "c", "--checkpoint", "k"],
    "repair-gain": ["--config", "c", "--masks", "m"],
    "report": ["--runs", "r"],
    "demo": [],
    "eda": [],
}


@pytest.mark.parametrize("command", WITH_DATA_ROOT)
@pytest.mark.parametrize("spelling", ["--data-root", "--data_root"])
def test_the_data_root_is_spelled_either_way(command: str, spelling: str) -> None:
    module = importlib.import_module(COMMANDS[command][0])
    words = [*REQUIRED.get(command, ["--config", "c"]), spelling, "somewhere"]
    assert Path(module.build_parser().parse_args(words).data_root) == Path("somewhere")
