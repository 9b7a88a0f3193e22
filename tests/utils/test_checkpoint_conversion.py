"""Checkpoints of other tools become weights to share."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_as_numpy

from seglab.tools.convert_checkpoint import main
from seglab.utils.checkpoint_conversion import check_conversions, convert, read_for_conversion
from seglab.utils.checkpoint_utils import load_checkpoint_file, weights_of
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file
from seglab.utils.resume_files import fault_of

WEIGHTS = {
    "a.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.counter": torch.tensor(7),
    "b": torch.ones(3, dtype=torch.float16),
}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(
        torch.equal(found[name], WEIGHTS[name]) and found[name].dtype == WEIGHTS[name].dtype
        for name in WEIGHTS
    )


@pytest.mark.parametrize(
    ("content", "left_out"),
    [
        (WEIGHTS, []),
        ({"state_dict": WEIGHTS, "optimizer": {"lr": 1.0}, "meta": {}}, ["meta", "optimizer"]),
        ({"model": WEIGHTS, "epoch": 3}, ["epoch"]),
        ({"state_dict": {**WEIGHTS, "steps": 4}}, ["steps"]),
        ({f"module.{name}": tensor for name, tensor in WEIGHTS.items()}, []),
    ],
)
def test_every_usual_layout(tmp_path: Path, content: dict[str, Any], left_out: list[str]) -> None:
    source, target = tmp_path / "w.pth", tmp_path / "out" / "w.safetensors"
    torch.save(content, source)
    before = source.read_bytes()
    facts = convert(source, target)
    assert same(weights_of(load_checkpoint_file(target)))
    assert facts["left_out"] == left_out
    assert (facts["tensors"], facts["parameters"]) == (3, 10)
    written = json.loads((tmp_path / "out" / "w.json").read_text())
    assert written["sha256"] == sha256_file(target) and written["bytes"] == target.stat().st_size
    assert written["converted_from"] == {"file": "w.pth", "sha256": sha256_file(source)}
    assert fault_of(target) is None and source.read_bytes() == before
    # Another reader than torch's finds the same numbers.
    assert np.array_equal(load_as_numpy(target)["a.weight"], WEIGHTS["a.weight"].numpy())


@pytest.mark.parametrize(
    "meta",
    [
        {"dataset_meta": {"classes": ("x", "y"), "palette": [[0, 0, 0], [1, 2, 3]]}},
        {"CLASSES": ["x", "y"], "PALETTE": [[0, 0, 0], [1, 2, 3]]},  # mmseg before 1.0
    ],
)
def test_the_facts_that_a_checkpoint_tells(tmp_path: Path, meta: dict[str, Any]) -> None:
    secret = {"cfg": "password = 'topsecret'", "config": "import os", "epoch": 4, "iter": 96}
    torch.save({"state_dict": WEIGHTS, "meta": {**meta, **secret}}, tmp_path / "w.pth")
    convert(tmp_path / "w.pth", tmp_path / "w.safetensors")
    facts = json.loads((tmp_path / "w.json").read_text())
    assert facts["classes"] == ["x", "y"] and facts["palette"] == [[0, 0, 0], [1, 2, 3]]
    assert (facts["epoch"], facts["iter"]) == (4, 96)
    assert "topsecret" not in (tmp_path / "w.json").read_text()
    loaded = load_checkpoint_file(tmp_path / "w.safetensors")
    assert loaded["meta"]["dataset_meta"]["classes"] == ("x", "y")


def test_what_stands_where_facts_belong_is_left_out(tmp_path: Path) -> None:
    meta = {"CLASSES": [["x"]], "PALETTE": [[0, 0, 0], torch.ones(3)]}
    source = tmp_path / "w.pth"
    torch.save({"state_dict": WEIGHTS, "meta": meta}, source)
    convert(source, tmp_path / "w.safetensors")
    facts = json.loads((tmp_path / "w.json").read_text())
    assert "classes" not in facts and "palette" not in facts
    assert same(weights_of(load_checkpoint_file(tmp_path / "w.safetensors")))


def test_weights_that_share_memory(tmp_path: Path) -> None:
    tied = torch.arange(4.0)
    torch.save({"a": tied, "b": tied, "c": tied[::2]}, tmp_path / "w.pth")
    convert(tmp_path / "w.pth", tmp_path / "w.safetensors")
    found = weights_of(load_checkpoint_file(tmp_path / "w.safetensors"))
    assert torch.equal(found["a"], found["b"]) and torch.equal(found["c"], tied[::2])


class Hostile:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    victim = tmp_path / "created"
    bad = {
        "hostile": {"state_dict": WEIGHTS, "meta": Hostile(victim)},
        "nothing": {"meta": {}},
        "sparse": {"a": torch.eye(3).to_sparse()},
        "complex": {"a": torch.ones(2, dtype=torch.complex128)},
        "conjugate": {"a": torch.ones(2, dtype=torch.complex64).conj()},
        "bits": {"a": torch.zeros(2, dtype=torch.uint8).view(torch.bits8)},
        "meta": {"a": torch.ones(2, device="meta")},  # a shape without numbers
        "reserved": {"__metadata__": torch.ones(2)},  # the format's own key
        "twice": {"module.a": torch.ones(2), "a": torch.zeros(2)},
        "numbered": {"model": {1: torch.ones(2)}},
        # A gigabyte that takes a few bytes of the file, and would take one of memory.
        "huge": {"a": torch.ones(1).expand(2**28)},
    }
    for name, content in bad.items():
        torch.save(content, tmp_path / f"{name}.pth")
        with pytest.raises(UserError, match=rf"{name}\.pth"):
            read_for_conversion(tmp_path / f"{name}.pth")
    assert not victim.exists()


def test_all_faults_are_told_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    for name in ("good", "twice", "there"):
        torch.save(WEIGHTS, tmp_path / f"{name}.pth")
    (tmp_path / "sub").mkdir()
    torch.save(WEIGHTS, tmp_path / "sub" / "twice.pth")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "there.json").write_text("mine")
    names = ("good.pth", "twice.pth", "sub/twice.pth", "there.pth", "none.pth", "x.safetensors")
    (tmp_path / "x.safetensors").touch()
    faults = check_conversions([tmp_path / name for name in names], tmp_path / "out")
    assert len(faults) == 4
    for expected in ("is also what", "there.json is there already", "no such file", "already"):
        assert any(expected in fault for fault in faults)
    (tmp_path / "torn.pth").write_bytes((tmp_path / "good.pth").read_bytes()[:-50])
    (tmp_path / "empty.pth").touch()
    files = [str(tmp_path / f"{name}.pth") for name in ("good", "torn", "empty")]
    with pytest.raises(UserError, match=r"2 faults(?s:.*)torn\.pth(?s:.*)empty\.pth"):
        main([*files, "--output-dir", str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()


def test_the_tool(tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from seglab.mmseg_custom.engine.inference import build_model, load_model
    from seglab.utils.config_utils import load_config

    config = load_config(tiny_config)
    model = build_model(config)
    torch.save({"state_dict": model.state_dict(), "optimizer": {}}, tmp_path / "epoch_3.pth")
    torch.save(WEIGHTS, tmp_path / "other.pth")
    arguments = ["--output-dir", str(tmp_path / "out"), "--config", str(tiny_config)]
    with pytest.raises(UserError, match=r"1 fault(?s:.*)other\.pth does not belong to this model"):
        main([str(tmp_path / "epoch_3.pth"), str(tmp_path / "other.pth"), *arguments])
    assert main([str(tmp_path / "epoch_3.pth"), *arguments]) == 0
    assert "left out: optimizer" in capsys.readouterr().out
    facts = json.loads((tmp_path / "out" / "epoch_3.json").read_text())
    assert facts["classes"] == ["background", "cat", "dog"]
    assert (facts["model"], facts["backbone"]) == ("EncoderDecoder", "TimmBackbone")
    assert len(facts["config_sha256"]) == 64
    loaded = load_model(load_config(tiny_config), tmp_path / "out" / "epoch_3.safetensors", "cpu")
    expected, found = model.state_dict(), loaded.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    done = subprocess.run(["sha256sum", "-c", "epoch_3.safetensors.sha256"], cwd=tmp_path / "out")
    assert done.returncode == 0
