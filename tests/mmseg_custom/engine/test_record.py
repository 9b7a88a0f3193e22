"""A run's record, as a stranger may have left it."""

import json
from pathlib import Path
from typing import Any

import pytest

from seglab.mmseg_custom.engine.record import read_record
from seglab.utils.errors import UserError


@pytest.mark.parametrize(
    "content",
    [[], 1, None, {"seed": "0"}, {"monitor": ["a"]}, {"sessions": {}}, {"sessions": [1]},
     {"data": {"train": "0"}}, {"data": []}, {"pretrained_backbone": 3}],
)  # fmt: skip
def test_a_record_that_cannot_be_is_refused(tmp_path: Path, content: Any) -> None:
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="run.json"):
        read_record(tmp_path)


def test_a_record_may_lack_anything(tmp_path: Path) -> None:
    assert read_record(tmp_path) == {}
    for content in ({}, {"seed": None, "sessions": None, "data": None}):
        (tmp_path / "run.json").write_text(json.dumps(content))
        assert read_record(tmp_path) == content
