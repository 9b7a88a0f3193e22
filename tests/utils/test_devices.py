import pytest
import torch

from seglab.utils.devices import choose_device
from seglab.utils.errors import UserError


def test_auto_takes_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device("auto") == "cpu" and choose_device("cpu") == "cpu"
    with pytest.raises(UserError, match="sees no CUDA device"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == "cuda" and choose_device("cuda:0") == "cuda:0"
    with pytest.raises(UserError, match="sees 1 CUDA"):
        choose_device("cuda:1")
    with pytest.raises(UserError, match="none of auto, cpu"):
        choose_device("tpu")
