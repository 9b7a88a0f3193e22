"""Only what takes effect counts as a difference, and an added step is one change."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglab.utils.config_diff import (
    ABSENT,
    Change,
    effective_difference,
    format_change,
    format_value,
)

Config = dict[str, Any]
LOAD = {"type": "LoadImageFromFile"}
FLIP = {"type": "RandomFlip", "prob": 0.5}
CROP = {"type": "RandomCrop", "crop_size": [64, 64]}
PACK = {"type": "PackSegInputs"}


def pipeline(*steps: Config) -> Config:
    return {"train_dataloader": {"dataset": {"pipeline": list(steps)}}}


def lines(parent: Config, config: Config) -> list[str]:
    return [format_change(change) for change in effective_difference(parent, config)]


def test_an_added_step_is_one_change_wherever_it_stands() -> None:
    before = pipeline(LOAD, FLIP, PACK)
    for after in (
        pipeline(CROP, LOAD, FLIP, PACK),
        pipeline(LOAD, CROP, FLIP, PACK),
        pipeline(LOAD, FLIP, PACK, CROP),
    ):
        key = "train_dataloader.dataset.pipeline[RandomCrop]"
        assert effective_difference(before, after) == [Change(key, ABSENT, CROP)]
        assert lines(after, before) == [f"- {key}: RandomCrop(crop_size=[64, 64])"]


def test_a_changed_step_is_its_changed_argument() -> None:
    after = pipeline(LOAD, {**FLIP, "prob": 0.9}, CROP, PACK)
    assert lines(pipeline(LOAD, FLIP, PACK), after) == [
        "train_dataloader.dataset.pipeline[RandomFlip].prob: 0.5 -> 0.9",
        "+ train_dataloader.dataset.pipeline[RandomCrop]: RandomCrop(crop_size=[64, 64])",
    ]


def test_the_second_step_of_a_type_is_told_apart() -> None:
    after = pipeline(LOAD, FLIP, FLIP, {**FLIP, "prob": 1})
    assert lines(pipeline(LOAD, FLIP), after) == [
        "+ train_dataloader.dataset.pipeline[RandomFlip#2]: RandomFlip(prob=0.5)",
        "+ train_dataloader.dataset.pipeline[RandomFlip#3]: RandomFlip(prob=1)",
    ]


def test_steps_without_type_are_aligned_by_what_they_are() -> None:
    before = {"param_scheduler": [{"begin": 1}, {"begin": 2}]}
    after = {"param_scheduler": [{"begin": 2}]}
    assert effective_difference(before, after) == [
        Change("param_scheduler[0]", {"begin": 1}, ABSENT)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"norm_cfg": {"type": "SyncBN"}, "train_pipeline": [CROP], "anything": 1},
        {"work_dir": "/tmp/x", "experiment_name": "x", "launcher": "slurm", "resume": True},
        {"hypothesis": {"id": "H9"}, "hypothesis_name": "h9", "from_scratch": True},
        {"visualizer": {"type": "V", "name": "x"}, "log_level": "DEBUG", "log_processor": {}},
        {"randomness": {"seed": 7, "deterministic": True}},
        {"data_root": "/elsewhere", "load_from": None, "auto_scale_lr": None},
        {"data_preprocessor": {"type": "Other"}},
    ],
)
def test_what_takes_no_effect_is_left_out(change: Config) -> None:
    config: Config = {
        "model": {"type": "M", "data_preprocessor": {"type": "P"}},
        "randomness": {"seed": 0, "deterministic": False},
        "default_scope": "mmseg",
    }
    assert effective_difference(config, {**config, **change}) == []
    assert effective_difference({**config, **change}, config) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"load_from": "x.pth"}, "+ load_from: x.pth"),
        ({"randomness": {"seed": 0, "diff_rank_seed": True}}, "+ randomness.diff_rank_seed: True"),
        ({"pretrained_backbone": "a"}, "+ pretrained_backbone: a"),
        ({"train_cfg": {"max_epochs": 3}}, "train_cfg.max_epochs: 2 -> 3"),
        ({"model": {"type": "M", "head": None}}, "+ model.head: None"),
        ({"model": {"type": "M", "_scope_": "mmdet"}}, "+ model._scope_: mmdet"),
        ({"data_preprocessor": {"type": "P"}}, "+ model.data_preprocessor: P()"),
        ({"custom_hooks": [{"type": "EMAHook"}]}, "+ custom_hooks[EMAHook]: EMAHook()"),
    ],
)
def test_what_takes_effect_is_shown(change: Config, line: str) -> None:
    config: Config = {
        "model": {"type": "M"}, "train_cfg": {"max_epochs": 2}, "default_scope": "mmseg",
        "custom_hooks": [], "load_from": None,
    }  # fmt: skip
    assert lines(config, {**config, **change}) == [line]


def test_the_scope_that_holds_anyhow_is_no_difference() -> None:
    config: Config = {"model": {"type": "M"}, "default_scope": "mmseg"}
    scoped: Config = {"model": {"type": "M", "_scope_": "mmseg"}, "default_scope": "mmseg"}
    assert effective_difference(config, scoped) == []


def test_where_the_data_lies_does_not_count_but_which_masks_do() -> None:
    before = {"train_dataloader": {"dataset": {"data_root": "/a", "mask_dir": "labels"}}}
    after = {"train_dataloader": {"dataset": {"data_root": "/b", "mask_dir": "labels_sam2"}}}
    assert lines(before, after) == ["train_dataloader.dataset.mask_dir: labels -> labels_sam2"]


def test_values_are_equal_as_python_and_json_have_them() -> None:
    before: Config = {"model": {"size": (64, 64), "lr": 1, "flag": True}}
    same: Config = {"model": {"size": [64.0, 64], "lr": 1.0, "flag": True}}
    assert effective_difference(before, same) == []
    other: Config = {"model": {"size": [64, 64], "lr": 1, "flag": 1}}
    assert lines(before, other) == ["model.flag: True -> 1"]


def test_another_backbone_replaces_the_whole_a_variant_does_not() -> None:
    resnet = {"type": "ResNet", "depth": 50, "strides": [1, 2], "norm": "BN"}
    timm = {"type": "Timm", "name": "lite0"}
    variant = {"type": "ResNetV1c", "depth": 50, "strides": [1, 2], "norm": "BN"}
    before: Config = {"model": {"backbone": resnet}}
    assert effective_difference(before, {"model": {"backbone": timm}}) == [
        Change("model.backbone", resnet, timm)
    ]
    assert lines(before, {"model": {"backbone": variant}}) == [
        "model.backbone.type: ResNet -> ResNetV1c"
    ]


def test_long_values_are_cut() -> None:
    assert format_value({"type": "A", "b": [1, {"c": ""}]}) == "A(b=[1, {c: ''}])"
    text = format_value(list(range(100)))
    assert len(text) == 120 and text.endswith("...")
    assert repr(ABSENT) == "-"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.floats(0, 1) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "x", "y", "z"]), inner, max_size=3)
    ),
    max_leaves=12,
)
CONFIGS = st.dictionaries(
    st.sampled_from(["model", "train_cfg", "custom_hooks", "norm_cfg"]), VALUES, max_size=4
)


@given(CONFIGS, CONFIGS)
def test_no_difference_if_and_only_if_nothing_effective_differs(a: Config, b: Config) -> None:
    kept = [
        {key: value for key, value in config.items() if key != "norm_cfg" and value is not None}
        for config in (a, b)
    ]
    # repr tells 1, 1.0 and True apart; the numbers are brought to one form first.
    texts = [json.dumps(_numbers(config), sort_keys=True) for config in kept]
    assert (effective_difference(a, b) == []) == (texts[0] == texts[1])
    assert effective_difference(a, copy.deepcopy(a)) == []


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_the_configs_of_the_repository(
    project_root: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from seglab.utils.config_utils import load_config
    from seglab.utils.io_utils import to_plain

    def resolved(name: str) -> Config:
        return dict(to_plain(load_config(project_root / "configs" / name).to_dict()))

    h1 = resolved("h1_deeplabv3plus_r50_d8_256x256.py")
    assert lines(h1, resolved("h2_deeplabv3plus_r50_d8_256x256_class_weights.py")) == [
        "+ model.decode_head.loss_decode.class_weight: [0.0585, 1.0, 1.0]",
        "+ model.auxiliary_head.loss_decode.class_weight: [0.0585, 1.0, 1.0]",
    ]
    augmented = effective_difference(
        h1, resolved("exp1_deeplabv3plus_r50_d8_256x256_strong_aug.py")
    )
    assert [(change.key, change.before) for change in augmented] == [
        (f"train_dataloader.dataset.pipeline[{step}]", ABSENT)
        for step in ("RandomResize", "RandomCrop", "PhotoMetricDistortion")
    ]


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, seglab.utils.config_diff; "
        "print([m for m in ('torch', 'mmengine', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
