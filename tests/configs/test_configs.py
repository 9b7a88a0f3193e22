"""Every config of the repository: it builds, trains, validates and tests on a tiny data set."""

from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import MODELS
from operations import REFUSED_ON_CUDA, OperationNames

import seglab.mmseg_custom  # noqa: F401
from seglab.data.preflight import run_preflight
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
)
from seglab.mmseg_custom.engine.testing import TestOptions as Options
from seglab.mmseg_custom.engine.testing import test as run_test
from seglab.mmseg_custom.engine.training import train
from seglab.utils.config_utils import class_names, load_config, take_pretrained
from seglab.utils.hypothesis import parse_hypothesis
from seglab.utils.test_utils import aggregate_metrics

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.py"))
#: Published sizes in millions: mmseg's DeepLabV3+ R50 with its auxiliary head, SegFormer-B2, smp's
#: U-Net on ResNet-34.
PARAMETERS = {"h1": 43.6, "h2": 43.6, "exp1": 43.6, "exp2": 24.7, "lab-r34": 24.4}


def short_name(path: Path) -> str:
    return str(load_config(path).hypothesis.id).lower()


def two_steps(path: Path, overrides: list[str], data_root: Path, run: Path, split: str) -> None:
    """Train a config on 64x64 images in crops of 64, validate it, and test it on a split."""
    overrides = [
        "train_cfg.max_epochs=1",
        "train_dataloader.batch_size=6",
        "model.data_preprocessor.size=(64,64)",
        *overrides,
    ]
    config = load_config(path, overrides, data_root)
    for part in ("train", "val", "test"):
        for step in config[f"{part}_dataloader"].dataset.pipeline:
            step.update({key: (64, 64) for key in ("scale", "crop_size") if key in step})
    assert [f for f in run_preflight(config) if f.severity == "fault"] == []
    options = TrainOptions(work_dir=run, from_scratch=True, device="cpu")
    work_dir = choose_work_dir(config, options)
    apply_options(config, options, work_dir)
    with OperationNames() as names:
        result = train(config, options, work_dir)
    assert "convolution_backward" in names.seen
    assert names.seen & REFUSED_ON_CUDA == set()  # with --deterministic a GPU would stop there
    assert result.best["iter"] == 2
    assert 0 <= result.best["val/mDice"] <= 100
    assert result.best_checkpoint is not None
    tested = run_test(
        load_config(work_dir / "config.json"),
        Options(result.best_checkpoint, split, run / "tested", device="cpu", pictures=1),
    )
    assert 0 <= tested.metrics["mDice"] <= 100
    if split == "val":
        assert tested.metrics["mDice"] == pytest.approx(result.best["val/mDice"], abs=0.1)


def on_pets(path: Path) -> bool:
    return bool(load_config(path).train_dataloader.dataset.type == "OxfordPetDataset")


@pytest.mark.parametrize("path", CONFIGS, ids=short_name)
def test_two_steps_from_scratch_then_val_and_test(
    path: Path, tiny_data: Path, tiny_pets: Path, tmp_path: Path
) -> None:
    two_steps(path, [], tiny_pets if on_pets(path) else tiny_data, tmp_path / "run", "val")


@pytest.mark.shared
@pytest.mark.parametrize("path", filter(on_pets, CONFIGS), ids=short_name)
def test_two_steps_on_real_photographs_then_val_and_test(
    path: Path, shared_dir: Path, tmp_path: Path
) -> None:
    counts = {"train": 12, "val": 6, "test": 6}
    some = [f"+{part}_dataloader.dataset.indices={count}" for part, count in counts.items()]
    two_steps(path, some, shared_dir / "data" / "oxford_pet_sample", tmp_path / "run", "test")


HYPOTHESES = {path: load_config(path).hypothesis for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_short_and_state_a_hypothesis_of_their_own(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 45
    hypothesis = parse_hypothesis(HYPOTHESES[path], path)
    assert hypothesis.question.endswith("?") and hypothesis.change
    others = {other.id: other for file, other in HYPOTHESES.items() if file != path}
    assert hypothesis.id not in others
    assert hypothesis.parent is None or hypothesis.parent in others
    # What has a parent says what it expects of the change.
    assert bool(hypothesis.expects) == (hypothesis.parent is not None)
    names = class_names(load_config(path))
    figures = aggregate_metrics(np.ones((1, len(names), len(names)), dtype=int), names)
    assert set(hypothesis.expects) <= set(figures)


@pytest.mark.usefixtures("mmseg_scope")
@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    path = next(path for path in CONFIGS if short_name(path) == name)
    config = load_config(path)
    take_pretrained(config)
    model = MODELS.build(config.model)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert round(millions, 1) == PARAMETERS[name]


def resolved(name: str) -> dict[str, object]:
    config = load_config(next(path for path in CONFIGS if short_name(path) == name))
    content = config.to_dict()
    content.pop("hypothesis")
    return content


def difference(a: object, b: object, prefix: str = "") -> set[str]:
    """The keys at which two resolved configs differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return set().union(
            *(difference(a.get(k), b.get(k), f"{prefix}{k}.") for k in a.keys() | b.keys())
        )
    return set() if a == b else {prefix.rstrip(".")}


def test_a_hypothesis_changes_what_it_says_and_nothing_else() -> None:
    assert difference(resolved("h1"), resolved("h2")) == {
        "class_weight",
        "model.decode_head.loss_decode.class_weight",
        "model.auxiliary_head.loss_decode.class_weight",
    }
    assert difference(resolved("h1"), resolved("exp1")) == {"train_dataloader.dataset.pipeline"}
    assert difference(resolved("lite"), resolved("lite-w")) == {
        "model.decode_head.loss_decode.class_weight"
    }
    assert difference(resolved("lite"), resolved("lite-f")) == {"train_dataloader.dataset.pipeline"}
    assert resolved("lite-f")["train_dataloader"] == resolved("h1")["train_dataloader"]
    exp1, exp2 = resolved("exp1"), resolved("exp2")
    changed = difference(exp1, exp2)
    assert {key.split(".")[0] for key in changed} <= {
        "model", "optim_wrapper", "norm_cfg", "combo_loss", "backbone_norm_cfg",
        "checkpoint", "data_preprocessor",
    }  # fmt: skip
    assert exp1["train_dataloader"] == exp2["train_dataloader"]


@pytest.mark.parametrize("name", ["lab-r34", "lab-b0", "lab-b4", "lab-cnn"])
def test_the_improved_change_augmentation_loss_and_schedule(name: str) -> None:
    parent, child = resolved(name), resolved(f"{name}+")
    assert difference(parent, child) == {
        "train_dataloader.dataset.pipeline",
        "model.decode_head.loss_decode.ce_weight",
        "model.decode_head.loss_decode.dice_weight",
        "param_scheduler",
    }
    steps = [step["type"] for step in child["train_dataloader"]["dataset"]["pipeline"]]
    assert steps[3] == "Albumentations"
    assert steps[:3] + steps[4:] == [
        step["type"] for step in parent["train_dataloader"]["dataset"]["pipeline"]
    ]


def test_the_labs_networks_differ_in_the_network_only() -> None:
    encoder = {"model.encoder_name", "model.pretrained"}
    assert difference(resolved("lab-r34"), resolved("lab-b0")) == encoder
    assert difference(resolved("lab-b0"), resolved("lab-b4")) == encoder
    changed = difference(resolved("lab-r34"), resolved("lab-cnn"))
    assert {key.split(".")[0] for key in changed} == {"model"}
    for plain, lite in (("lab-r34", "u-lite"), ("lab-r34+", "u-lite+")):
        changed = difference(resolved(plain), resolved(lite))
        assert {key.split(".")[0] for key in changed} == {"model", "optim_wrapper"}


def test_the_labs_configs_say_their_part_in_its_story() -> None:
    stages = {path.stem: hypothesis.get("stage") for path, hypothesis in HYPOTHESES.items()}
    for stem, stage in stages.items():
        network, _, rest = stem.partition("_improved")
        assert not rest
        if network == "lab_simple_cnn":
            assert stage == "own"
        elif network.startswith(("lab_", "unet_")):
            assert stage == ("baseline" if stem == network else "improved")
        else:
            assert stage is None


def test_every_model_of_the_lab_has_one_logit_and_says_its_threshold() -> None:
    for path in CONFIGS:
        if path.stem.startswith(("lab_", "unet_")):
            head = load_config(path).model.decode_head
            assert (head.num_classes, head.out_channels, head.threshold) == (2, 1, 0.5)


def test_the_published_settings() -> None:
    h1 = resolved("h1")
    assert h1["train_cfg"]["max_epochs"] == 80 and h1["train_dataloader"]["batch_size"] == 8
    assert h1["optim_wrapper"]["type"] == "MixedPrecisionOptimWrapper"
    assert h1["optim_wrapper"]["optimizer"]["type"] == "AdamW"
    flips = [step["type"] for step in h1["train_dataloader"]["dataset"]["pipeline"]]
    assert flips == ["LoadImageFromFile", "LoadAnnotations", "RandomFlip", "PackSegInputs"]
    loss = h1["model"]["decode_head"]["loss_decode"]
    assert loss == {"type": "ComboLoss", "ce_weight": 0.5, "dice_weight": 0.5}
    h2 = resolved("h2")
    assert h2["model"]["decode_head"]["loss_decode"]["class_weight"] == [0.0585, 1.0, 1.0]
    exp2 = resolved("exp2")["optim_wrapper"]
    assert exp2["optimizer"]["lr"] == 6e-5 and exp2["optimizer"]["weight_decay"] == 0.01
    assert exp2["paramwise_cfg"]["custom_keys"]["head"] == {"lr_mult": 10.0}
