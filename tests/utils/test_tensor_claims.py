"""Tensors that are larger than their file explains."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.errors import UserError
from seglab.utils.tensor_claims import refuse_empty_claims


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"a": torch.ones(1).expand(2**40)}},
        {"meta": {"more": [[torch.ones(3), (torch.ones(1, 1).expand(2**20, 2**20),)]]}},
        # Each is small enough by itself.
        {"state_dict": {str(n): torch.ones(64).expand(2**18, -1) for n in range(20)}},
        {"state_dict": {"a": torch.ones(3, device="meta")}},
    ],
)
def test_claims_are_refused_before_anything_is_copied(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "claims.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=r"claims\.pth cannot be read.*(zip bomb|without numbers)"):
        load_checkpoint_file(path)


def test_what_is_written_in_good_faith_loads(tmp_path: Path) -> None:
    tied = torch.ones(2**20)
    content: dict[str, Any] = {
        "state_dict": {f"tied.{n}": tied for n in range(50)},
        "optimizer": {},
    }
    content["state_dict"]["ids"] = torch.arange(77).expand(1, -1)
    path = tmp_path / "tied.pth"
    torch.save(content, path)
    assert len(load_checkpoint_file(path)["state_dict"]) == 51


def test_a_list_that_holds_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(10))
    endless: list[Any] = [torch.ones(3)]
    endless.append(endless)
    refuse_empty_claims(path, endless)
    with pytest.raises(ValueError, match="zip bomb"):
        refuse_empty_claims(path, [*endless, torch.ones(1).expand(2**30)])
