"""Configs that are data, made by somebody who means harm."""

import json
import time
from pathlib import Path

import pytest

from seglab.utils.config_data import read_config_data
from seglab.utils.errors import UserError


def yaml_bomb(levels: int = 9) -> str:
    """Four hundred bytes that come to 9 ** levels words."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]")
    return "\n".join(lines)


def test_a_yaml_that_names_a_part_over_and_over_is_refused_in_time(tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(yaml_bomb())
    began = time.process_time()
    with pytest.raises(UserError, match="more than 1,000,000 values"):
        read_config_data(path)
    assert time.process_time() - began < 10  # without a bound it takes minutes and all memory
    path.write_text("a: &a " + "x" * 100_000 + "\nb: [" + ", ".join(["*a"] * 1000) + "]\n")
    with pytest.raises(UserError, match="more than 1,000,000 values"):
        read_config_data(path)  # 100 MB once it is written out


def test_what_yaml_names_twice_is_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "fair.yaml"
    path.write_text("a: &a {size: [1, 2]}\nb: *a\n")
    assert read_config_data(path) == {"a": {"size": (1, 2)}, "b": {"size": (1, 2)}}
    path.write_text("a: &a [*a]\n")
    with pytest.raises(UserError, match="nested without end"):
        read_config_data(path)


@pytest.mark.parametrize("key", ["a b", "x = 1\nimport os\ny", "class", "", "\uff4dodel"])
def test_a_key_at_the_top_is_a_name(tmp_path: Path, key: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model": {}, key: 1}))
    with pytest.raises(UserError, match="no names"):
        read_config_data(path)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
@pytest.mark.parametrize("place", ["key", "value"])
def test_text_that_no_file_holds_is_refused(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"a": [{text: 1} if place == "key" else text]}))
    with pytest.raises(UserError, match="no file can hold|surrogates not allowed"):
        read_config_data(path)
