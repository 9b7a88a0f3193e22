"""Checkpoints are data: what is safe loads, what is not is refused and not executed."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file
from torch import nn

from seglab.utils.checkpoint_utils import (
    compare_weights,
    load_checkpoint_file,
    load_weights_into,
    weights_of,
)
from seglab.utils.errors import UserError


class Executes:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


class ReachesAttribute:
    """Unpickling this would reach `HistoryBuffer.<name>` through getattr."""

    def __init__(self, owner: object, name: str) -> None:
        self.arguments = (owner, name)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (getattr, self.arguments)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_what_mmengine_writes_loads(tmp_path: Path) -> None:
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    content = {
        "state_dict": model().state_dict(),
        "meta": {"epoch": 3, "dataset_meta": {"classes": ("a", "b")}},
        "message_hub": {"log_scalars": {"loss": history}, "best": np.float32(3.5)},
    }
    path = tmp_path / "a.pth"
    torch.save(content, path)
    loaded = load_checkpoint_file(path)
    assert loaded["meta"] == content["meta"]
    assert loaded["message_hub"]["log_scalars"]["loss"].mean() == 1.5
    assert loaded["message_hub"]["best"] == np.float32(3.5)


def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    victim = tmp_path / "created_by_pickle"
    path = tmp_path / "hostile.pth"
    torch.save({"state_dict": {}, "extra": Executes(victim)}, path)
    with pytest.raises(UserError, match="was refused") as caught:
        load_checkpoint_file(path)
    assert not victim.exists()
    assert "weights_only" not in str(caught.value)  # never advise to load it unsafely
    pickle.loads(pickle.dumps(Executes(victim)))  # the bait works where pickles are trusted
    assert victim.exists()


@pytest.mark.parametrize("owner, name", [(dict, "fromkeys"), (HistoryBuffer, "__init__")])
def test_getattr_reaches_nothing_but_the_history_methods(
    tmp_path: Path, owner: object, name: str
) -> None:
    path = tmp_path / "getattr.pth"
    torch.save({"state_dict": {}, "extra": ReachesAttribute(owner, name)}, path)
    with pytest.raises(UserError, match="was refused"):
        load_checkpoint_file(path)


def test_torn_empty_missing_and_foreign_files(tmp_path: Path) -> None:
    good = tmp_path / "good.pth"
    torch.save(model().state_dict(), good)
    torn = tmp_path / "torn.pth"
    torn.write_bytes(good.read_bytes()[:-200])
    empty = tmp_path / "empty.pth"
    empty.touch()
    text = tmp_path / "text.pth"
    text.write_text("not a checkpoint")
    tensor = tmp_path / "tensor.pth"
    torch.save(torch.ones(3), tensor)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff" * 64)
    for path in (torn, empty, text, tensor, broken, tmp_path / "missing.pth"):
        with pytest.raises(UserError, match=path.name):
            load_checkpoint_file(path)


def test_safetensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(model().state_dict(), path)
    other = model()
    nn.init.zeros_(other[0].weight)  # type: ignore[arg-type]
    load_weights_into(other, load_checkpoint_file(path), path)
    assert torch.equal(other[0].weight, model()[0].weight)  # type: ignore[arg-type]


def test_data_parallel_prefix_is_removed() -> None:
    state = {f"module.{key}": value for key, value in model().state_dict().items()}
    assert weights_of({"state_dict": state}).keys() == model().state_dict().keys()


def test_compare_names_what_differs() -> None:
    expected = model().state_dict()
    given = dict(expected)
    del given["1.bias"], given["1.num_batches_tracked"]
    given["new"] = torch.ones(1)
    given["0.weight"] = torch.ones(5, 3, 1, 1)
    missing, unexpected, different = compare_weights(expected, given)
    assert (missing, unexpected) == (["1.bias"], ["new"])
    assert different == ["0.weight: the model has (4, 3, 1, 1), the file (5, 3, 1, 1)"]


class Head(nn.Module):
    """A model whose classifier is called as mmseg's."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 1)
        self.conv_seg = nn.Conv2d(4, classes, 1)


def test_other_class_count_and_other_model_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    with pytest.raises(UserError, match="another number of classes"):
        load_weights_into(Head(3), Head(5).state_dict(), path)
    with pytest.raises(UserError, match="does not belong to this model"):
        load_weights_into(Head(3), model().state_dict(), path)


def test_a_refused_load_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    ours = Head(3)
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    state = {key: value + 1 for key, value in Head(3).state_dict().items()}
    del state["conv_seg.bias"]
    with pytest.raises(UserError):
        load_weights_into(ours, state, tmp_path / "x.pth")
    assert all(torch.equal(before[key], value) for key, value in ours.state_dict().items())


@pytest.mark.parametrize("place", ["state_dict", "model", "inputs"])
def test_one_number_that_says_it_fills_the_memory_is_refused(tmp_path: Path, place: str) -> None:
    stretched: Any = torch.zeros(1).expand(10**10)  # 40 GB, in a file of a kilobyte
    content = {place: [stretched] if place == "inputs" else {"a": stretched}}
    torch.save(content, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 10_000
    with pytest.raises(UserError, match="claims to unpack to 40.0 GB"):
        load_checkpoint_file(tmp_path / "a.pth")
    endless: list[Any] = [torch.zeros(2).expand(1000, 2)]
    endless.append(endless)
    torch.save({"state_dict": {"a": torch.ones(2)}, "x": endless}, tmp_path / "b.pth")
    assert load_checkpoint_file(tmp_path / "b.pth")["x"][0].shape == (1000, 2)
