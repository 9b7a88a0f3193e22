"""Score a checkpoint the lab's way, and every step between that and the honest score.

The lab gave one figure: the mean IoU of the batches of its own training images, augmented, at the
size of training, with the border as background. Each of these choices is made alone here, on top
of those before, so that what each one is worth can be read off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config
from torch import nn
from tqdm import tqdm

from seglab.mmseg_custom.datasets.samples import build_dataset
from seglab.mmseg_custom.engine.inference import label_map, predict_batch
from seglab.mmseg_custom.models.logit_head import DEFAULT_THRESHOLD
from seglab.utils.config_utils import class_names
from seglab.utils.lab_scores import FIGURES, honest_figures, require_lab_config
from seglab.utils.random_state import isolated
from seglab.utils.test_utils import (
    FloatArray,
    IntArray,
    aggregate_metrics,
    confusion_matrix,
    image_mean_metrics,
    mean_over_classes,
    score_table,
)

#: Of the order and the augmentation of the training images: the same draws for every model.
SEED = 0
#: Steps of a pipeline that draw nothing at random.
_PLAIN = {"LoadImageFromFile", "LoadAnnotations", "Resize", "PackSegInputs"}
_ALBUMENTATIONS = "Albumentations"


@dataclass(frozen=True)
class Step:
    """One way of scoring.

    Attributes:
        id: Its name, of `seglab.utils.lab_scores.ROW_IDS`.
        facts: `split`, `augmented`, `border` and `size` of its row.
        dataset: The config of its data set.
    """

    id: str
    facts: Mapping[str, Any]
    dataset: Mapping[str, Any]


def score_the_labs_way(
    model: nn.Module,
    config: Config,
    split: str,
    metrics: Mapping[str, float],
    ignore_index: int = 255,
) -> dict[str, Any]:
    """Score a model honestly, the lab's way, and in each step between.

    Args:
        model: From `load_model`.
        config: Its config, with `OxfordPetDataset` in mode 'binary'.
        split: 'val' or 'test', which was scored honestly.
        metrics: The published figures of that split: the first row is taken from them.
        ignore_index: Label of the pixels to leave out.

    Returns:
        The content of `lab_scores.json` but for `schema` and the checkpoint's hash.

    Raises:
        UserError: The config has other data.
    """
    require_lab_config(config, split)
    classes = class_names(config)
    batch_size = int(config.train_dataloader.batch_size)
    first, *steps = steps_to_the_lab(config, split)
    number = len(build_dataset(config, first.dataset))
    rows = [_row(first, number, "split", honest_figures(metrics, classes[1]))]
    for step in steps:
        dataset = build_dataset(config, step.dataset)
        matrices = score_batches(model, dataset, batch_size, ignore_index, step.id)
        figures = split_figures(matrices, classes)
        rows.append(_row(step, len(dataset), "split", figures))
    # The last step scores the same predictions another way: nothing else may differ.
    figures = {**figures, **batch_figures(matrices, classes, batch_size)}
    rows.append({**rows[-1], "id": "lab", "average": "batches", **figures})
    head: Any = model.decode_head
    return {
        "class": classes[1],
        "threshold": DEFAULT_THRESHOLD if head.out_channels > 1 else float(head.threshold),
        "seed": SEED,
        "batch_size": batch_size,
        "augmentation": random_steps(config.train_dataloader.dataset.pipeline),
        "rows": rows,
    }


def steps_to_the_lab(config: Config, split: str) -> list[Step]:
    """The data of each way of scoring; every one changes one thing against the one before.

    Args:
        config: A config that `require_lab_config` takes.
        split: 'val' or 'test', which is scored honestly.

    Returns:
        The honest step first. A step that would change nothing is left out: the border's where it
        is background anyhow, the augmentation's where training has none.
    """
    tested, train = config[f"{split}_dataloader"].dataset, config.train_dataloader.dataset
    border = tested.get("border", "ignore")
    facts = {"split": split, "augmented": False, "border": border, "size": "photograph"}
    steps = [Step("ours", facts, tested)]
    if border != "background":
        facts = {**facts, "border": "background"}
        steps.append(Step("border", facts, {**tested, "border": "background"}))
    facts = {**facts, "split": train.split}
    train = {**train, "border": "background", "test_mode": False}
    steps.append(Step("train_images", facts, {**train, "pipeline": tested.pipeline}))
    plain = [item for item in train["pipeline"] if _name(item) in _PLAIN]
    if any(_name(item) == "Resize" for item in plain):
        facts = {**facts, "size": "training"}
        steps.append(Step("train_size", facts, {**train, "pipeline": plain}))
    if len(plain) < len(train["pipeline"]):
        facts = {**facts, "size": "training", "augmented": True}
        steps.append(Step("augmented", facts, train))
    return steps


def random_steps(pipeline: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of a pipeline's random steps; those of albumentations one by one."""
    names = []
    for item in pipeline:
        if _name(item) == _ALBUMENTATIONS:
            names += [_name(inner) for inner in item["transforms"]]
        elif _name(item) not in _PLAIN:
            names.append(_name(item))
    return names


def score_batches(
    model: nn.Module, dataset: Any, batch_size: int, ignore_index: int, title: str = ""
) -> IntArray:
    """Predict every image of a data set once, in an order drawn from `SEED`.

    A prediction is compared with the label as the pipeline left it, in the label's size.

    Args:
        model: From `load_model`, with two classes.
        dataset: Gives packed samples with labels.
        batch_size: Images in a batch; the last one may be short.
        ignore_index: Label of the pixels to leave out.
        title: Beside the progress bar.

    Returns:
        (N, 2, 2) int64 confusion matrices in that order; `batch_size` in a row are a batch.
    """
    order = np.random.default_rng(SEED).permutation(len(dataset))
    starts = range(0, len(order), batch_size)
    matrices = []
    with isolated(SEED):
        for start in tqdm(starts, desc=title, unit="batch", leave=False):
            batch = [_as_labelled(dataset[int(i)]) for i in order[start : start + batch_size]]
            for output in _predict(model, batch):
                truth = output.gt_sem_seg.data[0].cpu().numpy()
                matrices.append(confusion_matrix(label_map(output), truth, 2, ignore_index))
    return np.stack(matrices)


def split_figures(matrices: IntArray, classes: Sequence[str]) -> dict[str, float | None]:
    """The figures of a row over all images.

    Args:
        matrices: (N, 2, 2) counts.
        classes: The two classes; the second is the foreground.

    Returns:
        Percentages, see `seglab.utils.lab_scores.FIGURES`.
    """
    metrics = aggregate_metrics(matrices, classes) | image_mean_metrics(matrices, classes)
    return honest_figures(metrics, classes[1])


def batch_figures(
    matrices: IntArray, classes: Sequence[str], batch_size: int
) -> dict[str, float | None]:
    """IoU and pixel accuracy of each batch's summed pixels, averaged over the batches.

    As `segmentation_models_pytorch.metrics.iou_score(..., reduction="micro")` of every batch,
    averaged: a short last batch weighs as much as the others. One in which the foreground is in
    neither truth nor prediction has no IoU, and enters no mean.

    Args:
        matrices: (N, 2, 2) counts in the order of the batches.
        classes: The two classes; the second is the foreground.
        batch_size: Images in a batch.
    """
    sums = np.add.reduceat(matrices, range(0, len(matrices), batch_size), axis=0)
    table = score_table(sums, classes)
    averaged = {key: FIGURES[key].replace("NAME", classes[1]) for key in ("IoU", "pixel_accuracy")}
    return {key: _mean(table[published]) for key, published in averaged.items()}


def _mean(values: FloatArray) -> float:
    return float(mean_over_classes(values)[0])


def _row(
    step: Step, images: int, average: str, figures: Mapping[str, float | None]
) -> dict[str, Any]:
    return {"id": step.id, "images": images, **step.facts, "average": average, **figures}


def _name(item: Mapping[str, Any]) -> str:
    kind = item["type"]
    return str(getattr(kind, "__name__", kind)).rpartition(".")[2]


def _as_labelled(sample: dict[str, Any]) -> dict[str, Any]:
    """The sample, told that its own size is its label's.

    mmseg brings a prediction back to the photograph: to its size, and unmirrored. A label that
    training's pipeline has resized or mirrored stays as it is.
    """
    facts = sample["data_samples"]
    facts.set_metainfo({"ori_shape": tuple(facts.gt_sem_seg.shape), "flip": False})
    return sample


def _predict(model: nn.Module, batch: Sequence[dict[str, Any]]) -> list[Any]:
    """Segment samples, together where they are of one size."""
    if len({tuple(sample["inputs"].shape) for sample in batch}) == 1:
        return predict_batch(model, batch)
    return [output for sample in batch for output in predict_batch(model, [sample])]
