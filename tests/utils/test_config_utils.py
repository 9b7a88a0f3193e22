"""Configs and overrides: what loads, and what is said about what does not."""

import json
from pathlib import Path

import pytest

from seglab.utils.config_utils import class_names, load_config, parse_value, take_pretrained
from seglab.utils.errors import UserError


def test_missing_config_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=r"configs/h1_deeplabv3plus_r50_d8_256x256\.py"):
        load_config("configs/h1_deeplabv3plus_r50_256x256.py")


def test_configs_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config("configs/toy_fpn_effnetlite0_128x128.py")
    assert Path(config.data_root).is_absolute()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = (", "SyntaxError"),
        ("_base_ = ['nowhere.py']", "nowhere.py"),
        ("a = 1 / 0", "ZeroDivisionError"),
        ("raise RuntimeError('no')", "RuntimeError: no"),
    ],
)
def test_a_broken_config_names_file_and_cause(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UserError, match=r"broken\.py cannot be read") as caught:
        load_config(path)
    assert words in str(caught.value)


def test_a_file_that_is_no_config(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.touch()
    with pytest.raises(UserError, match="is not a config"):
        load_config(path)


def test_overrides_change_nested_and_listed_keys(tiny_config: Path) -> None:
    config = load_config(
        tiny_config,
        ["train_cfg.max_epochs=7", "param_scheduler.0.warmup_ratio=0.5", "+model.note=new thing"],
    )
    assert config.train_cfg.max_epochs == 7
    assert config.param_scheduler[0].warmup_ratio == 0.5
    assert config.model.note == "new thing"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train_cfg.max_epoch=7", "did you mean train_cfg.max_epochs"),
        ("max_epochs=7", "did you mean train_cfg.max_epochs"),
        ("nonsense_xyz=1", "+nonsense_xyz=... adds a new key"),
        ("data_root=/elsewhere", "--data-root"),
        ("meta_keys=1", "only a variable of the config file"),
        ("optim_wrapper.optimizer=[a, b]", "not a Python literal"),
        ("train_dataloader.dataset.data_root=None", "data_root is None"),
        ("train_cfg.max_epochs", "is not key=value"),
        ("=3", "is not key=value"),
        ("+train_cfg.max_epochs.deeper=3", "does not fit"),
    ],
)
def test_a_wrong_override_is_explained(tiny_config: Path, override: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config(tiny_config, [override])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("True", True),
        ("false", False),
        ("None", None),
        ("[1, 2]", [1, 2]),
        ("(256, 256)", (256, 256)),
        ("labels_sam2", "labels_sam2"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
    ],
)
def test_values_are_literals_or_words_never_code(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_data_root_reaches_every_split(tiny_config: Path, tmp_path: Path) -> None:
    config = load_config(tiny_config, data_root=tmp_path)
    for split in ("train", "val", "test"):
        assert config[f"{split}_dataloader"].dataset.data_root == str(tmp_path)
    assert config.data_root == str(tmp_path)


def test_data_root_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGLAB_PETS_COCO", str(tmp_path))
    config = load_config("configs/lite_fpn_effnetlite2_256x256.py")
    assert config.train_dataloader.dataset.data_root == str(tmp_path)
    config = load_config("configs/lite_fpn_effnetlite2_256x256.py", data_root="/given")
    assert config.train_dataloader.dataset.data_root == "/given"


def test_data_root_reaches_wrapped_data_sets(tiny_config: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrapped.py"
    path.write_text(
        f"_base_ = ['{tiny_config}']\n"
        "inner = dict(type='MaskFolderDataset', data_root='x', split='train')\n"
        "train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=2,\n"
        "    dataset=dict(type='ConcatDataset', datasets=[inner, inner])))\n"
    )
    config = load_config(path, data_root=tmp_path)
    inner = config.train_dataloader.dataset.dataset.datasets
    assert [item.data_root for item in inner] == [str(tmp_path)] * 2


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (
            "dict(pretrained='open-mmlab://resnet50_v1c', backbone=dict(type='X'))",
            "open-mmlab://resnet50_v1c",
        ),
        ("dict(backbone=dict(type='X', pretrained='a.pth'))", "a.pth"),
        (
            "dict(backbone=dict(type='X', init_cfg=dict(type='Pretrained', checkpoint='mit_b2')))",
            "mit_b2",
        ),
        ("dict(backbone=dict(type='X', init_cfg=dict(type='Kaiming')))", None),
    ],
)
def test_pretrained_weights_leave_the_model(tmp_path: Path, model: str, found: str | None) -> None:
    path = tmp_path / "c.py"
    path.write_text(f"model = {model}")
    config = load_config(path)
    assert take_pretrained(config) == found
    assert take_pretrained(config) == found  # a resolved config says the same again
    assert "Pretrained" not in str(config.model)
    assert not config.model.get("pretrained") and not config.model.backbone.get("pretrained")


@pytest.mark.parametrize("model", ["3", "dict(backbone=-13124)", "dict(backbone=[1])"])
def test_a_model_that_is_no_dict_is_named(tmp_path: Path, model: str) -> None:
    (tmp_path / "c.py").write_text(f"model = {model}")
    with pytest.raises(UserError, match=r"c\.py: model.* is "):
        take_pretrained(load_config(tmp_path / "c.py"))


def test_class_names(tiny_config: Path, tmp_path: Path) -> None:
    assert class_names(load_config(tiny_config)) == ("background", "cat", "dog")
    path = tmp_path / "c.py"
    path.write_text("model = dict()")
    with pytest.raises(UserError, match="names no classes"):
        class_names(load_config(path))


def test_mmseg_bases_resolve(tmp_path: Path) -> None:
    path = tmp_path / "c.py"
    path.write_text("_base_ = ['mmseg::_base_/models/segformer_mit-b0.py']")
    assert load_config(path).model.type == "EncoderDecoder"


@pytest.mark.parametrize("root", [5, [1], None, "x" * 5000, "é" * 300])
def test_strange_data_roots_are_no_defect(tmp_path: Path, root: object) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"data_root": root}))
    assert "data_root" in load_config(tmp_path / "c.json")


@pytest.mark.parametrize("name", ["\x1b[2Jcat", "a\nb", "x" * 101, "\u202etac"])
def test_a_class_has_a_name_that_can_be_shown(tmp_path: Path, name: str) -> None:
    (tmp_path / "c.json").write_text(
        json.dumps({"val_dataloader": {"dataset": {
            "data_root": "d", "metainfo": {"classes": ["background", name]}}}})
    )  # fmt: skip
    with pytest.raises(UserError, match="classes that cannot be shown"):
        class_names(load_config(tmp_path / "c.json"))
