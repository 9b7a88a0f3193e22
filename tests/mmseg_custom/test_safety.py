"""Nothing that mmengine or mmseg reads is executed."""

import pickle
from pathlib import Path

import mmengine
import pytest
import torch
from hostile import hostile_checkpoint, hostile_pickle, python_that_touches
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from torch import nn

from seglab.mmseg_custom.safety import registered_object
from seglab.utils.errors import UserError

pytestmark = pytest.mark.usefixtures("mmseg_scope")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that exists only if something was executed."""
    return tmp_path / "victim"


@pytest.mark.parametrize(
    "type_",
    ["os.system", "subprocess.Popen", "builtins.open", "mmengine.load", "pathlib.Path.touch"],
)
def test_a_type_names_what_is_registered_and_nothing_else(type_: str, victim: Path) -> None:
    for registry in (MODELS, ROOT_MODELS, DATASETS, TRANSFORMS):
        with pytest.raises(KeyError, match="is not in the"):
            registry.build({"type": type_, "command": f"touch {victim}"})
    assert not victim.exists()


def test_a_type_imports_no_module(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bait_module", "bait_package"):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(python_that_touches(victim))
        (package / "registry.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for content in (
        {"type": "bait_module"},
        {"type": "bait_module.Model"},
        {"type": "bait_package.deep.Model"},
        {"type": "FCNHead", "_scope_": "bait_package"},
    ):
        with pytest.raises((KeyError, TypeError, ImportError, AssertionError)):
            MODELS.build(content)
    assert not victim.exists()
    import bait_module  # type: ignore[import-not-found]  # noqa: F401

    assert victim.exists()  # the bait works where it is imported


def test_registered_classes_are_found_by_their_full_names() -> None:
    assert registered_object("torch.optim.sgd.SGD") is torch.optim.SGD
    assert MODELS.get("mmseg.models.decode_heads.fcn_head.FCNHead") is MODELS.get("FCNHead")
    assert MODELS.get("mmseg.FCNHead") is MODELS.get("FCNHead")
    assert registered_object("torch.save") is None


@pytest.mark.parametrize("suffix", ["pkl", "pickle"])
def test_pickles_are_not_loaded(tmp_path: Path, victim: Path, suffix: str) -> None:
    path = hostile_pickle(tmp_path / f"annotations.{suffix}", victim)
    with pytest.raises(UserError, match="is a pickle"):
        mmengine.load(path)
    assert not victim.exists()
    mmengine.dump([1], tmp_path / f"written.{suffix}")  # as processes exchange their results
    assert pickle.loads((tmp_path / f"written.{suffix}").read_bytes()) == [1]


def test_yaml_calls_nothing(tmp_path: Path, victim: Path) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(f"a: !!python/object/apply:builtins.open [{victim}, w]\n")
    with pytest.raises(Exception, match="could not determine a constructor"):
        mmengine.load(path)
    assert not victim.exists()
    path.write_text("a: [1, 2]\n")
    assert mmengine.load(path) == {"a": [1, 2]}
    mmengine.dump({"a": 1}, path)
    assert path.read_text() == mmengine.dump({"a": 1}, file_format="yaml") == "a: 1\n"


def test_weights_that_a_layer_names_are_data(tmp_path: Path, victim: Path) -> None:
    path = hostile_checkpoint(tmp_path / "hostile.pth", victim)
    head = dict(type="FCNHead", in_channels=4, channels=4, num_classes=2, num_convs=1)
    head["init_cfg"] = dict(type="Pretrained", checkpoint=str(path))
    model = MODELS.build(head)
    with pytest.raises(UserError, match="was refused"):
        model.init_weights()
    with pytest.raises(UserError, match="was refused"):
        load_checkpoint(nn.Conv2d(3, 4, 1), str(path))
    assert not victim.exists()


def test_good_weights_still_load_through_mmengine(tmp_path: Path) -> None:
    given, taken = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
    torch.save(given.state_dict(), tmp_path / "a.pth")
    load_checkpoint(taken, str(tmp_path / "a.pth"), map_location="cpu")
    assert torch.equal(given.weight, taken.weight)


@pytest.mark.parametrize("address", ["https://x.invalid/a.pth", "torchvision://resnet50", "s3://b"])
def test_nothing_is_fetched_by_mmengine(address: str) -> None:
    with pytest.raises(UserError, match="which checks neither"):
        CheckpointLoader.load_checkpoint(address)


def test_config_text_never_reaches_mmengines_resume(tmp_path: Path, victim: Path) -> None:
    text = python_that_touches(victim)
    torch.save({"state_dict": {}, "meta": {"config": text, "cfg": text}}, tmp_path / "a.pth")
    content = CheckpointLoader.load_checkpoint(str(tmp_path / "a.pth"))
    assert content["meta"] == {}
    Config.fromstring(text, file_format=".py")  # what mmengine does with such text
    assert victim.exists()


def test_medical_files_are_not_unpickled(tmp_path: Path, victim: Path) -> None:
    path = hostile_pickle(tmp_path / "scan.npy", victim)
    loader = dict(type="LoadBiomedicalImageFromFile", decode_backend="pickle")
    data = dict(type="LoadBiomedicalData", decode_backend="pickle")
    for config in (loader, data):
        with pytest.raises((UserError, AssertionError)):
            TRANSFORMS.build(config)({"img_path": str(path)})
    assert not victim.exists()
