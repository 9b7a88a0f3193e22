"""The lab's way of scoring, and every step to it, against NumPy, torch, scikit-learn and smp."""

import copy
import random
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from mmengine.config import Config
from PIL import Image
from sklearn.metrics import accuracy_score, jaccard_score

from seglab.mmseg_custom.datasets.samples import build_dataset
from seglab.mmseg_custom.engine.inference import load_model
from seglab.mmseg_custom.engine.lab_scoring import (
    batch_figures,
    random_steps,
    score_batches,
    score_the_labs_way,
    split_figures,
    steps_to_the_lab,
)
from seglab.mmseg_custom.engine.testing import TestOptions as Options
from seglab.mmseg_custom.engine.testing import test as run_test
from seglab.tools.main import main
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json
from seglab.utils.lab_scores import FIGURES, read_lab_scores

pytestmark = pytest.mark.usefixtures("mmseg_scope")

MIRRORED = dict(type="Albumentations", transforms=[dict(type="HorizontalFlip", p=1.0)])
CLASSES = ("background", "animal")
#: What a test published; its figures are not computed again.
NO_METRICS = {"IoU/animal": 1.0, "image_mean/IoU/animal": 2.0, "aAcc": 3.0}


@pytest.fixture
def varied_pets(tiny_pets: Path, tmp_path: Path) -> Path:
    """The tiny pets, each with an animal of another size in another light: no two score alike."""
    root = tmp_path / "varied"
    shutil.copytree(tiny_pets, root)
    draws = np.random.default_rng(0)
    for path in sorted((root / "images").iterdir()):
        trimap = np.full((64, 80), 2, np.uint8)
        height, width = draws.integers(6, (56, 70))
        trimap[: height + 4, : width + 4] = 3
        trimap[:height, :width] = 1
        Image.fromarray(trimap).save(root / "annotations" / "trimaps" / f"{path.stem}.png")
        photograph = np.asarray(Image.open(path)) * draws.uniform(0.5, 1.0)
        Image.fromarray(photograph.astype(np.uint8)).save(path, quality=95)
    return root


@pytest.fixture
def config_file(one_logit: Path, varied_pets: Path) -> Path:
    """The smallest network; its training mirrors every image. Batches of 4: 15 make a short one."""
    plain = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]
    plain.append(dict(type="Resize", scale=(256, 256), keep_ratio=False))
    pipeline = [*plain, MIRRORED, dict(type="PackSegInputs")]
    loaders = "".join(
        f"{split}_dataloader = dict(dataset=dict(data_root={str(varied_pets)!r}, {own}))\n"
        for split, own in (("train", f"pipeline={pipeline}"), ("val", ""), ("test", ""))
    )
    path = one_logit.with_name("mirrored.py")
    path.write_text(f'_base_ = ["{one_logit.name}"]\n{loaders}')
    return path


@pytest.fixture
def config(config_file: Path) -> Config:
    """That config, loaded."""
    return load_config(config_file)


def predict_by_hand(model: Any, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A (256, 256, 3) RGB image through the network and to `size` (H, W), without mmseg."""
    pixels = torch.from_numpy((image.astype(np.float32) - 127.5) / 127.5).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = model.decode_head(model.backbone(pixels))
        logits = torch.nn.functional.interpolate(logits, size, mode="bilinear")
    return (logits.sigmoid() > 0.5)[0, 0].numpy().astype(np.int64)


def by_hand(model: Any, dataset: Any, size: str, mirrored: bool) -> list[tuple[Any, Any]]:
    """(prediction, truth with border 3) of every sample, from the files alone."""
    pairs = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        photograph = np.asarray(Image.open(info["img_path"]).convert("RGB"))
        trimap = np.asarray(Image.open(info["seg_map_path"]))
        image = cv2.resize(photograph, (256, 256))
        if size == "training":
            trimap = cv2.resize(trimap, (256, 256), interpolation=cv2.INTER_NEAREST)
        if mirrored:
            image, trimap = image[:, ::-1], trimap[:, ::-1]
        pairs.append((predict_by_hand(model, np.ascontiguousarray(image), trimap.shape), trimap))
    return pairs


def figures_by_hand(pairs: list[tuple[Any, Any]], border: str) -> dict[str, float]:
    """The three figures of a row over all pixels, by scikit-learn."""
    counted = [
        (prediction[keep], (trimap == 1)[keep])
        for prediction, trimap in pairs
        for keep in [(trimap != 3) | (border == "background")]
    ]
    predicted, true = (np.concatenate(each) for each in zip(*counted, strict=True))
    images = [jaccard_score(t, p) for p, t in counted]  # every image has an animal
    return {
        "IoU": 100 * jaccard_score(true, predicted),
        "image_mean_IoU": 100 * float(np.mean(images)),
        "pixel_accuracy": 100 * accuracy_score(true, predicted),
    }


def test_every_row_against_a_calculation_by_hand(config: Config, balanced: Path) -> None:
    model = load_model(config, balanced, "cpu")
    scores = score_the_labs_way(model, config, "test", NO_METRICS)
    rows = {row["id"]: row for row in scores["rows"]}
    assert list(rows) == ["ours", "border", "train_images", "train_size", "augmented", "lab"]
    for step in steps_to_the_lab(config, "test")[1:]:
        row = rows[step.id]
        pairs = by_hand(model, build_dataset(config, step.dataset), row["size"], row["augmented"])
        expected = figures_by_hand(pairs, row["border"])
        assert row["images"] == len(pairs) == {"test": 9, "train": 15}[row["split"]]
        for key, value in expected.items():  # a pixel at the threshold may fall to either side
            assert row[key] == pytest.approx(value, abs=0.01), (step.id, key)
    # The lab's: smp's IoU of every batch of the last pass, averaged; the last batch has 3.
    order = np.random.default_rng(scores["seed"]).permutation(15)
    ious, right = [], []
    for start in range(0, 15, 4):
        chosen = [pairs[index] for index in order[start : start + 4]]
        predicted = torch.from_numpy(np.stack([p for p, _ in chosen]))[:, None]
        true = torch.from_numpy(np.stack([t == 1 for _, t in chosen])).long()[:, None]
        counts = smp.metrics.get_stats(predicted, true, mode="binary")
        ious.append(smp.metrics.iou_score(*counts, reduction="micro").item())
        right.append(smp.metrics.accuracy(*counts, reduction="micro").item())
    assert rows["lab"]["IoU"] == pytest.approx(100 * np.mean(ious), abs=0.01)
    assert rows["lab"]["pixel_accuracy"] == pytest.approx(100 * np.mean(right), abs=0.01)
    assert abs(rows["lab"]["IoU"] - rows["augmented"]["IoU"]) > 0.2  # not one by chance
    assert rows["lab"]["image_mean_IoU"] == rows["augmented"]["image_mean_IoU"]


def test_what_the_tool_prints_and_leaves(
    config: Config, config_file: Path, balanced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = balanced.parent / "out"
    arguments = ["--config", config_file, "--checkpoint", balanced, "--output-dir", out]
    options = ["--reproduce-lab", "--pictures", 0, "--device", "cpu"]
    assert main(["test", *map(str, [*arguments, *options])]) == 0
    scores, metrics = read_lab_scores(out), read_json(out / "test_metrics.json")["metrics"]
    assert scores is not None
    printed = capsys.readouterr().out
    assert f"IoU, mean over images  {metrics['image_mean/IoU/animal']:.2f}" in printed
    lines = [line for line in printed.splitlines() if "honest" in line or "batches" in line]
    for line, row in zip(lines[1:], (scores["rows"][0], scores["rows"][-1]), strict=True):
        assert f"{row['IoU']:.2f}" in line and f"{row['pixel_accuracy']:.2f}" in line
    assert "honest: test images, border ignored" in lines[1]
    assert "the lab's way: + averaged over batches of 4" in lines[2]
    # The first row is the test's own, and each other changes one thing.
    ours, *others = rows = scores["rows"]
    assert ours["IoU"] == metrics["IoU/animal"] and ours["pixel_accuracy"] == metrics["aAcc"]
    assert ours["image_mean_IoU"] == metrics["image_mean/IoU/animal"]
    facts = ("split", "augmented", "border", "size", "average")
    for before, row in zip(rows[:-1], others, strict=True):
        assert sum(before[key] != row[key] for key in facts) == 1, row["id"]
    assert scores["augmentation"] == ["HorizontalFlip"] and scores["batch_size"] == 4
    provenance = read_json(out / "provenance.json")
    assert scores["checkpoint_sha256"] == provenance["checkpoint_sha256"]
    # By hand as well; and a test without the switch leaves none of an earlier one.
    step = steps_to_the_lab(config, "test")[0]
    model = load_model(config, balanced, "cpu")
    pairs = by_hand(model, build_dataset(config, step.dataset), "photograph", mirrored=False)
    assert {key: ours[key] for key in FIGURES} == pytest.approx(
        figures_by_hand(pairs, "ignore"), abs=0.02
    )
    run_test(config, Options(balanced, "test", out, "cpu", pictures=0))
    assert (out / "test_metrics.json").is_file() and read_lab_scores(out) is None


def test_steps_that_would_change_nothing_are_left_out(one_logit: Path) -> None:
    config = load_config(one_logit)
    assert [step.id for step in steps_to_the_lab(config, "val")] == [
        "ours", "border", "train_images", "train_size"
    ]  # fmt: skip
    config.test_dataloader.dataset.border = "background"
    config.train_dataloader.dataset.split = "trainval"
    steps = steps_to_the_lab(config, "test")
    assert [step.id for step in steps] == ["ours", "train_images", "train_size"]
    assert steps[0].facts["border"] == "background" and steps[1].facts["split"] == "trainval"


def test_a_mirrored_image_is_compared_with_its_mirrored_label(
    config: Config, balanced: Path
) -> None:
    # mmseg turns the prediction of an image that its own RandomFlip has mirrored back.
    model = load_model(config, balanced, "cpu")
    pipeline = config.train_dataloader.dataset.pipeline
    found = []
    for step in (MIRRORED, dict(type="RandomFlip", prob=1.0)):
        pipeline[3] = step
        dataset = build_dataset(config, config.train_dataloader.dataset)
        found.append(score_batches(model, dataset, 4, 255))
    assert (found[0] == found[1]).all() and found[0].any()
    del pipeline[3]
    plain = score_batches(model, build_dataset(config, config.train_dataloader.dataset), 4, 255)
    assert not (found[0] == plain).all()


def test_draws_are_the_same_each_time_and_disturb_no_others(config: Config, balanced: Path) -> None:
    model = load_model(config, balanced, "cpu")
    shift = dict(type="Albumentations", transforms=[dict(type="Affine", rotate=(-15, 15), p=0.9)])
    config.train_dataloader.dataset.pipeline[3] = shift
    dataset = build_dataset(config, config.train_dataloader.dataset)
    states = []
    found = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        found.append(score_batches(model, dataset, 4, 255))
        states.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert (found[0] == found[1]).all()
    random.seed(2)
    np.random.seed(2)
    torch.manual_seed(2)
    assert states[1] == (random.random(), np.random.rand(), torch.rand(1).item())


def test_images_of_several_sizes_are_predicted_one_by_one(config: Config, balanced: Path) -> None:
    model = load_model(config, balanced, "cpu")
    node = config.train_dataloader.dataset
    alike = score_batches(model, build_dataset(config, node), 4, 255)
    keep = dict(type="RandomResize", scale=(256, 256), ratio_range=(0.5, 1.0), keep_ratio=True)
    node.pipeline[2] = keep
    mixed = score_batches(model, build_dataset(config, node), 4, 255)
    assert len(mixed) == len(alike) == 15 and len(np.unique(mixed.sum(axis=(1, 2)))) > 1


def test_figures_of_batches_follow_smp_where_there_is_no_foreground() -> None:
    # No foreground at all: no value; false pixels alone: 0; a short one weighs as the others.
    matrices = np.array([[[9, 0], [0, 0]]] * 2 + [[[8, 1], [0, 0]]] * 2 + [[[2, 1], [1, 5]]])
    counts = [(0, 0, 0, 18), (0, 2, 0, 16), (5, 1, 1, 2)]  # tp, fp, fn, tn
    ious = [
        smp.metrics.iou_score(*(torch.tensor([[n]]) for n in each), reduction="micro").item()
        for each in counts
    ]
    figures = batch_figures(matrices, CLASSES, 2)
    assert np.isnan(ious[0])
    assert figures["IoU"] == pytest.approx(100 * np.nanmean(ious))
    assert figures["IoU"] == pytest.approx(100 * (0 + 5 / 7) / 2)
    assert figures["pixel_accuracy"] == pytest.approx(100 * (1 + 16 / 18 + 7 / 9) / 3)
    assert split_figures(matrices, CLASSES)["IoU"] == pytest.approx(100 * 5 / 9)


def test_two_logits_are_scored_as_well(config: Config, balanced: Path, tmp_path: Path) -> None:
    config.model.decode_head.out_channels = 2
    content = torch.load(balanced)
    for name in ("weight", "bias"):  # the background's logit is 0: the same decision
        last = content["state_dict"][f"decode_head.layers.2.{name}"]
        axis = 1 if name == "weight" else 0  # of a transposed convolution the outputs are second
        content["state_dict"][f"decode_head.layers.2.{name}"] = torch.cat(
            [torch.zeros_like(last), last], dim=axis
        )
    torch.save(content, tmp_path / "two.pth")
    step = steps_to_the_lab(config, "val")[1]
    model = load_model(copy.deepcopy(config), tmp_path / "two.pth", "cpu")
    two = score_the_labs_way(model, config, "val", NO_METRICS)
    assert two["threshold"] == 0.5
    config.model.decode_head.out_channels = 1
    model = load_model(copy.deepcopy(config), balanced, "cpu")
    one = score_batches(model, build_dataset(config, step.dataset), 4, 255)
    figures = split_figures(one, CLASSES)
    assert {key: two["rows"][1][key] for key in FIGURES} == pytest.approx(figures, abs=0.02)


def test_other_data_are_refused_before_anything(
    config: Config, balanced: Path, tmp_path: Path, tiny_config: Path
) -> None:
    config.test_dataloader.dataset.mode = "species"
    config.train_dataloader = None
    options = Options(tmp_path / "none.pth", "test", tmp_path / "x", "cpu", 0, reproduce_lab=True)
    with pytest.raises(UserError, match="(?s)2 faults.*mode is 'species'.*no train_dataloader"):
        run_test(config, options)
    with pytest.raises(UserError, match="(?s)tiny.py cannot be scored.*set is MaskFolderDataset"):
        run_test(load_config(tiny_config), options)
    assert not (tmp_path / "x").exists()


def test_the_names_of_what_is_random() -> None:
    pipeline = [
        dict(type="LoadImageFromFile"), dict(type="mmseg.Resize", scale=(8, 8)), MIRRORED,
        dict(type="RandomFlip", prob=0.5), dict(type="PackSegInputs"),
    ]  # fmt: skip
    assert random_steps(pipeline) == ["HorizontalFlip", "RandomFlip"]
