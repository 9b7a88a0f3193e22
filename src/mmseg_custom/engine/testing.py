"""Score a checkpoint on a split, and leave everything that a comparison or a report needs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import METRICS
from torch import nn
from tqdm import tqdm

from seglab.mmseg_custom.engine.inference import label_map, load_model, predict_batch, run_batch
from seglab.mmseg_custom.engine.lab_scoring import score_the_labs_way
from seglab.mmseg_custom.engine.provenance import describe_data, describe_test, selected_on
from seglab.mmseg_custom.engine.result_folder import (
    default_output_dir,
    require_free,
    staged_results,
)
from seglab.mmseg_custom.engine.result_pictures import draw_pictures
from seglab.mmseg_custom.engine.result_record import metrics_record
from seglab.mmseg_custom.engine.run_setup import select_device
from seglab.mmseg_custom.evaluation import ConfusionMetric, did_you_mean, image_keys
from seglab.utils.config_utils import building, class_names, dataset_metainfo
from seglab.utils.errors import UserError
from seglab.utils.image_results import ImageResults, save_results, write_per_image_csv
from seglab.utils.io_utils import sha256_file, write_json
from seglab.utils.lab_scores import require_lab_config
from seglab.utils.result_files import (
    LAB_SCORES_FILE,
    METRICS_FILE,
    PER_IMAGE_FILE,
    PROVENANCE_FILE,
    RESULTS_FILE,
)
from seglab.utils.visualization_utils import SegmentationSample


@dataclass(frozen=True)
class TestOptions:
    """What the command line of `seglab test` says.

    Attributes:
        checkpoint: The weights to score.
        split: 'val' or 'test'.
        output_dir: Where results go; None for `test_SPLIT` beside the checkpoint.
        device: 'auto', 'cpu' or 'cuda'.
        pictures: How many of the best and of the worst images to draw.
        rank_by: The figure of an image by which they are the best and the worst.
        overwrite: Replace the results of another test in `output_dir`.
        command: The command line, for the record.
        reproduce_lab: Also score the lab's way, see `seglab.mmseg_custom.engine.lab_scoring`.
        trust_checkpoint: Unpickle a checkpoint that holds more than weights.
    """

    checkpoint: Path
    split: str
    output_dir: Path | None = None
    device: str = "auto"
    pictures: int = 5
    rank_by: str = "mDice"
    overwrite: bool = False
    command: Sequence[str] = ()
    reproduce_lab: bool = False
    trust_checkpoint: bool = False


@dataclass(frozen=True)
class TestResult:
    """The outcome of a test.

    Attributes:
        metrics: The figures, unrounded, as `published_metrics` names them.
        classes: The class names.
        output_dir: Where the files are.
        pictures: The pictures drawn.
        selected_on: The split that chose the checkpoint; None if none did, or it is not known.
        lab_scores: The content of `lab_scores.json`; None where it was not asked for.
    """

    metrics: dict[str, float]
    classes: tuple[str, ...]
    output_dir: Path
    pictures: list[Path]
    selected_on: str | None
    lab_scores: dict[str, Any] | None = None


def test(config: Config, options: TestOptions) -> TestResult:
    """Score a checkpoint on a split.

    Earlier results in the output folder stay as they are unless everything succeeds.

    Args:
        config: The config the checkpoint was trained with.
        options: The command line's choices.

    Returns:
        The metrics, and where the files are.

    Raises:
        UserError: The split, the checkpoint, the output folder or a figure's name is not usable.
    """
    _check_options(config, options)
    device = select_device(options.device)
    # A copy: what is recorded is the config as it was given.
    model = load_model(copy.deepcopy(config), options.checkpoint, device, options.trust_checkpoint)
    checkpoint_sha256 = sha256_file(options.checkpoint)
    folder = options.output_dir or default_output_dir(options.checkpoint, options.split)
    if options.output_dir is not None and not options.overwrite:
        require_free(folder, options.split, checkpoint_sha256)
    with building(config):
        loader = Runner.build_dataloader(config[f"{options.split}_dataloader"], seed=0)
    data = describe_data(config, options.split, loader.dataset)
    facts: dict[str, Any] = {
        "split": options.split,
        "palette": dataset_metainfo(config).get("palette"),
        "ignore_index": _ignore_index(config, options.split),
        "selected_on": selected_on(options.checkpoint, options.split, data["images"]),
    }
    with staged_results(folder) as stage:
        metrics, results = evaluate(model, loader, facts["ignore_index"])
        pictures = _draw(model, loader.dataset, results, facts, options, stage)
        save_results(stage / RESULTS_FILE, results)
        write_per_image_csv(stage / PER_IMAGE_FILE, results)
        provenance = describe_test(
            config, options.checkpoint, checkpoint_sha256, data, device, options.command
        )
        write_json(stage / PROVENANCE_FILE, provenance)
        lab_scores = None
        if options.reproduce_lab:
            lab_scores = {
                "schema": 1,
                "checkpoint_sha256": checkpoint_sha256,
                **score_the_labs_way(model, config, options.split, metrics, facts["ignore_index"]),
            }
            write_json(stage / LAB_SCORES_FILE, lab_scores)
        write_json(stage / METRICS_FILE, metrics_record(results, metrics, facts, pictures))
    return TestResult(
        metrics,
        results.classes,
        folder,
        [folder / name for name in pictures],
        facts["selected_on"],
        lab_scores,
    )


def evaluate(
    model: nn.Module, loader: Any, ignore_index: int = 255
) -> tuple[dict[str, float], ImageResults]:
    """Run a model over a data loader.

    Args:
        model: From `load_model`.
        loader: Yields mmseg batches with labels.
        ignore_index: Label of the pixels to leave out.

    Returns:
        The published figures, and what was kept of every image; memory does not grow with the
        images' sizes.

    Raises:
        UserError: There is nothing to score, or a label does not fit its image.
    """
    metric: ConfusionMetric = METRICS.build(
        dict(type="ConfusionMetric", ignore_index=ignore_index, boundary=True, calibration=True)
    )
    metric.dataset_meta = loader.dataset.metainfo
    ids = {path: sample_id for sample_id, (path, _) in _index(loader.dataset).items()}
    for batch in tqdm(loader, desc="testing", unit="batch", leave=False):
        samples = [output.to_dict() for output in run_batch(model, batch)]
        for sample in samples:  # not every pipeline packs the id
            sample["sample_id"] = ids[sample["img_path"]]
        metric.process(batch, samples)
    metrics = dict(metric.evaluate(len(loader.dataset)))
    assert metric.image_results is not None
    return metrics, metric.image_results


def _check_options(config: Config, options: TestOptions) -> None:
    """Refuse what can be known to be wrong before anything is loaded."""
    if config.get(f"{options.split}_dataloader") is None:
        raise UserError(
            f"config {config.filename} has no {options.split}_dataloader", "choose another --split"
        )
    if options.reproduce_lab:
        require_lab_config(config, options.split)
    known = image_keys(class_names(config))
    if options.rank_by not in known:
        raise UserError(
            f"--rank-by {options.rank_by} is no figure of an image"
            + did_you_mean(options.rank_by, known),
            "take a column of per_image.csv, such as mDice, Dice/NAME or HD95/NAME",
        )


def _ignore_index(config: Config, split: str) -> int:
    """The label that the config's evaluator leaves out; 255 if it does not say."""
    evaluators = config.get(f"{split}_evaluator") or []
    evaluators = [evaluators] if isinstance(evaluators, dict) else evaluators
    return next((int(each["ignore_index"]) for each in evaluators if "ignore_index" in each), 255)


def _index(dataset: Any) -> dict[str, tuple[str, int]]:
    """Sample id -> path of the image, position in the data set."""
    index = {}
    for position in range(len(dataset)):
        info = dataset.get_data_info(position)
        index[str(info.get("sample_id", info["img_path"]))] = (info["img_path"], position)
    return index


def _draw(
    model: nn.Module,
    dataset: Any,
    results: ImageResults,
    facts: Mapping[str, Any],
    options: TestOptions,
    folder: Path,
) -> list[str]:
    """Draw the pictures; returns their names."""
    index = _index(dataset)

    def load_sample(sample_id: str) -> SegmentationSample:
        # Predicted again, not kept: memory stays the same however large the split is.
        path, position = index[sample_id]
        output = predict_batch(model, [dataset[position]])[0]
        truth = output.gt_sem_seg.data.squeeze(0).cpu().numpy()
        return SegmentationSample(mmcv.imread(path, channel_order="rgb"), truth, label_map(output))

    paths = draw_pictures(
        results,
        load_sample,
        folder,
        facts,
        options.rank_by,
        options.pictures,
    )
    return [path.name for path in paths]
