"""Score a checkpoint on a split and draw what it gets right and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import METRICS
from torch import nn
from tqdm import tqdm

from seglab.mmseg_custom.engine.environment import describe_environment
from seglab.mmseg_custom.engine.inference import label_map, load_model, predict_batch, run_batch
from seglab.mmseg_custom.engine.training import select_device
from seglab.mmseg_custom.evaluation import ConfusionMetric
from seglab.utils.config_utils import class_names
from seglab.utils.curves import plot_confusion_matrix
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, require_writable, sha256_file, write_json
from seglab.utils.test_utils import find_best_worst_samples, per_image_scores
from seglab.utils.visualization_utils import SegmentationSample, plot_best_worst_predictions

METRICS_FILE = "test_metrics.json"


@dataclass(frozen=True)
class TestOptions:
    """What the command line of `seglab test` says.

    Attributes:
        checkpoint: The weights to score.
        split: 'val' or 'test'.
        output_dir: Where results go; None for `test_SPLIT` beside the checkpoint.
        device: 'auto', 'cpu' or 'cuda'.
        pictures: How many of the best and of the worst images to draw.
        command: The command line, for the record.
    """

    checkpoint: Path
    split: str
    output_dir: Path | None = None
    device: str = "auto"
    pictures: int = 5
    command: Sequence[str] = ()


@dataclass(frozen=True)
class TestResult:
    """The outcome of a test.

    Attributes:
        metrics: Percentages, unrounded, as `aggregate_metrics` names them.
        classes: The class names.
        output_dir: Where the files are.
        pictures: The pictures drawn.
    """

    metrics: dict[str, float]
    classes: tuple[str, ...]
    output_dir: Path
    pictures: list[Path]


def test(config: Config, options: TestOptions) -> TestResult:
    """Score a checkpoint on a split.

    Args:
        config: The config the checkpoint was trained with.
        options: The command line's choices.

    Returns:
        The metrics, and where the files are.

    Raises:
        UserError: The split, the checkpoint or the output folder is not usable.
    """
    loader_config = config.get(f"{options.split}_dataloader")
    if loader_config is None:
        raise UserError(
            f"config {config.filename} has no {options.split}_dataloader", "choose another --split"
        )
    output_dir = options.output_dir or default_output_dir(options.checkpoint, options.split)
    device = select_device(options.device)
    model = load_model(config, options.checkpoint, device)
    require_writable(output_dir, "--output-dir")
    loader = Runner.build_dataloader(loader_config, seed=0)
    metric: ConfusionMetric = METRICS.build(dict(type="ConfusionMetric"))
    metrics = evaluate(model, loader, metric)
    _remove_old_pictures(output_dir)
    pictures = _draw(model, loader.dataset, metric, options, output_dir)
    write_json(
        output_dir / METRICS_FILE,
        {
            "schema": 1,
            "split": options.split,
            "images": len(metric.sample_ids),
            "classes": metric.class_names,
            "metrics": metrics,
            "config": config.filename,
            "checkpoint": options.checkpoint,
            "checkpoint_sha256": sha256_file(options.checkpoint),
            "data_root": loader_config.dataset.get("data_root"),
            "mask_dir": loader_config.dataset.get("mask_dir"),
            "device": device,
            "command": list(options.command),
            "environment": describe_environment(),
            "pictures": [path.name for path in pictures],
        },
    )
    return TestResult(metrics, class_names(config), output_dir, pictures)


def default_output_dir(checkpoint: Path, split: str) -> Path:
    """`test_SPLIT` beside the checkpoint; `test_SPLIT_NAME` if another's results are there."""
    folder = checkpoint.parent / f"test_{split}"
    record = folder / METRICS_FILE
    if record.is_file() and Path(read_json(record).get("checkpoint", "")).name != checkpoint.name:
        return folder.with_name(f"{folder.name}_{checkpoint.stem}")
    return folder


def evaluate(model: nn.Module, loader: Any, metric: ConfusionMetric) -> dict[str, float]:
    """Run a model over a data loader.

    Args:
        model: From `load_model`.
        loader: Yields mmseg batches with labels.
        metric: Keeps the matrices of every image.

    Returns:
        Percentages, unrounded, as `aggregate_metrics` names them.
    """
    metric.dataset_meta = loader.dataset.metainfo
    for batch in tqdm(loader, desc="testing", unit="batch", leave=False):
        metric.process(batch, [output.to_dict() for output in run_batch(model, batch)])
    return dict(metric.evaluate(len(loader.dataset)))


def _remove_old_pictures(output_dir: Path) -> None:
    """Remove the pictures of an earlier test in the same folder, as its own record lists them."""
    record = output_dir / METRICS_FILE
    if record.is_file():
        for name in read_json(record).get("pictures", []):
            (output_dir / Path(str(name)).name).unlink(missing_ok=True)


def _draw(
    model: nn.Module, dataset: Any, metric: ConfusionMetric, options: TestOptions, output_dir: Path
) -> list[Path]:
    """Best and worst panels and the confusion matrix."""
    palette = metric.dataset_meta.get("palette")
    index: dict[str, int] = {}
    for position in range(len(dataset)):
        info = dataset.get_data_info(position)
        # The metric falls back to the path where a pipeline does not pack the id.
        index |= {info.get("sample_id", info["img_path"]): position, info["img_path"]: position}

    def load_sample(sample_id: str) -> SegmentationSample:
        # Predicted again, not kept: memory stays the same however large the split is.
        position = index[sample_id]
        output = predict_batch(model, [dataset[position]])[0]
        image = mmcv.imread(dataset.get_data_info(position)["img_path"], channel_order="rgb")
        truth = output.gt_sem_seg.data.squeeze(0).cpu().numpy()
        return SegmentationSample(image, truth, label_map(output))

    paths = [
        plot_confusion_matrix(
            metric.matrices.sum(axis=0),
            metric.class_names,
            output_dir / f"{options.split}_confusion_matrix.png",
        )
    ]
    if options.pictures:
        # Where neither truth nor prediction has an object there is nothing to see.
        shown = np.flatnonzero(metric.matrices.sum(axis=(1, 2)) > metric.matrices[:, 0, 0])
        best, worst = find_best_worst_samples(
            per_image_scores(metric.matrices)[shown],
            [metric.sample_ids[i] for i in shown],
            options.pictures,
        )
        if worst:
            paths += plot_best_worst_predictions(
                best, worst, load_sample, metric.class_names, palette, output_dir, options.split
            )
    return paths
