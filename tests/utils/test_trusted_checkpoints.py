"""`--trust-checkpoint` is the only way round a refusal, and a loud one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import hostile_checkpoint

from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file


def test_trust_runs_what_a_checkpoint_carries_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = tmp_path / "victim"
    path = hostile_checkpoint(tmp_path / "a.pth", victim, {"w": torch.ones(2)})
    with pytest.raises(UserError, match="was refused") as caught:
        load_checkpoint_file(path)
    assert "--trust-checkpoint" in caught.value.fix and not victim.exists()
    assert capsys.readouterr().err == ""
    content = load_checkpoint_file(path, trust=True)
    assert torch.equal(content["state_dict"]["w"], torch.ones(2)) and victim.exists()
    said = capsys.readouterr().err
    assert said.count("WARNING") == 3 and sha256_file(path) in said and str(path) in said


def test_trust_changes_nothing_where_none_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pth")
    assert list(load_checkpoint_file(tmp_path / "a.pth", trust=True)) == ["w"]
    (tmp_path / "torn.pth").write_bytes((tmp_path / "a.pth").read_bytes()[:-50])
    (tmp_path / "text.pth").write_text("no checkpoint")
    assert capsys.readouterr().err == ""
    for name in ("torn.pth", "text.pth", "missing.pth"):
        with pytest.raises(UserError, match=name):
            load_checkpoint_file(tmp_path / name, trust=True)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": [1, 2]},
        {"state_dict": {}, "meta": "config = 1"},
        {"state_dict": {}, "meta": [1]},
        {"state_dict": {}, "message_hub": 3},
        {"state_dict": {1: torch.ones(1)}},
        {1: torch.ones(1)},
        [torch.ones(1)],
    ],
)
def test_a_strange_layout_is_one_message(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth"):
        load_checkpoint_file(tmp_path / "a.pth")
