"""A config that is data names no place to write to."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from seglab.utils.config_outputs import require_own_outputs
from seglab.utils.errors import UserError
from seglab.utils.paths import PROJECT_ROOT

#: Each of these was written to outside the run's folder when a training read it.
PLACES = {
    "default_hooks.logger.out_dir": {"default_hooks": {"logger": {"out_dir": "/x"}}},
    "visualizer.save_dir": {"visualizer": {"save_dir": "../x"}},
    "visualizer.vis_backends.1.save_dir": {"visualizer": {"vis_backends": [{}, {"save_dir": "x"}]}},
    "custom_hooks.0.json_trace_path": {"custom_hooks": [{"json_trace_path": "/x"}]},
    "val_evaluator.0.out_file_path": {"val_evaluator": [{"out_file_path": "/x.pkl"}]},
}


def config_of(content: dict[str, Any], file: Path) -> Config:
    file.touch()
    return Config(content, filename=str(file))


@pytest.mark.parametrize("key", PLACES)
def test_places_in_a_json_are_named_and_refused(tmp_path: Path, key: str) -> None:
    config = config_of(PLACES[key], tmp_path / "config.json")
    with pytest.raises(UserError, match=f"where files are to be written.*\n +{key}: '"):
        require_own_outputs(config)
    require_own_outputs(config, [f"{key}=/y"])  # a person chose it
    python = config_of(PLACES[key], tmp_path / "config.py")
    require_own_outputs(python)  # code by nature


def test_all_of_them_are_named_at_once(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    for each in PLACES.values():
        content |= each
    with pytest.raises(UserError, match="4 faults"):
        require_own_outputs(config_of(content, tmp_path / "config.json"))


def test_the_folder_of_a_run_is_the_command_lines_or_the_configs_own(tmp_path: Path) -> None:
    file = tmp_path / "run" / "config.json"
    file.parent.mkdir()
    for folder, fair in ((tmp_path / "run", True), (tmp_path, False), (tmp_path / "other", False),
                         (PROJECT_ROOT / "experiments" / "lite" / "1", True),
                         (PROJECT_ROOT / "experiments", False), (PROJECT_ROOT / "src", False),
                         (PROJECT_ROOT / "experiments" / ".." / "src", False)):  # fmt: skip
        config = config_of({"work_dir": str(folder)}, file)
        require_own_outputs(config, named=True)
        require_own_outputs(config, ["work_dir=x"], named=False)
        if fair:
            require_own_outputs(config, named=False)
        else:
            with pytest.raises(UserError, match="work_dir: "):
                require_own_outputs(config, named=False)
