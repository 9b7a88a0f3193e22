"""Out-of-fold predictions: each image is segmented by a model that never saw its mask.

The train split is divided into folds; identical images stay in one fold, or the model would have
seen the photograph. For each fold a model is trained on the others for a fixed, short schedule:
nothing is selected on the held-out masks, which are the ones to be judged.
"""

from __future__ import annotations

import copy
import shutil
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from tqdm import tqdm

import seglab.mmseg_custom as _registered  # noqa: F401
from seglab.mmseg_custom.datasets.samples import build_dataset, sample_files
from seglab.mmseg_custom.engine.augmented import SCALES, averaged_probabilities
from seglab.mmseg_custom.engine.inference import load_model
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    select_device,
)
from seglab.mmseg_custom.engine.training import train
from seglab.utils.config_utils import class_names
from seglab.utils.data_hashes import hash_samples, json_sha256
from seglab.utils.errors import UserError
from seglab.utils.io_utils import require_writable
from seglab.utils.prediction_cache import (
    INDEX_FILE,
    CacheIndex,
    probabilities_path,
    save_probabilities,
    write_index,
)
from seglab.utils.result_files import LAST_CHECKPOINT
from seglab.utils.resume_files import fault_of

_EARLY_STOPPING = ("HistoryEarlyStoppingHook", "EarlyStoppingHook")


@dataclass(frozen=True)
class FoldOptions:
    """How the out-of-fold predictions are made.

    Attributes:
        folds: Number of folds, at least 2.
        epochs: Epochs of each fold's training.
        seed: Of the division and of the trainings.
        device: 'auto', 'cpu' or 'cuda'.
        scales: Sizes of the image that predictions are averaged over, each with its mirror image.
    """

    folds: int = 5
    epochs: int = 12
    seed: int = 0
    device: str = "auto"
    scales: tuple[float, ...] = SCALES


def join_groups(images: Mapping[str, str], together: Sequence[Collection[str]]) -> dict[str, str]:
    """Give samples that belong together one name.

    Args:
        images: Sample id -> hash of its image: equal images belong together.
        together: Groups of sample ids that do so besides.

    Returns:
        Sample id -> the hash of one image of its group.
    """
    names = dict(images)
    for group in together:
        joined = {names[sample_id] for sample_id in group if sample_id in names}
        if len(joined) > 1:
            first = min(joined)
            names = {key: first if name in joined else name for key, name in names.items()}
    return names


def assign_folds(images: Mapping[str, str], folds: int, seed: int) -> dict[str, int]:
    """Divide samples into folds of nearly equal size, identical images together.

    Args:
        images: Sample id -> hash of its image, or another name that its group shares.
        folds: Number of folds.
        seed: Of the division.

    Returns:
        Sample id -> fold, 0 to folds - 1, in the order of the ids.

    Raises:
        UserError: There are fewer different images than folds, or fewer than two folds.
    """
    groups = defaultdict(list)
    for sample_id in sorted(images):
        groups[images[sample_id]].append(sample_id)
    if not 2 <= folds <= len(groups):
        raise UserError(
            f"--folds {folds}: there are {len(groups)} different images",
            "give at least 2 folds, and at most as many as there are images",
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    members = list(groups.values())
    sizes, chosen = [0] * folds, {}
    for number in order:
        fold = sizes.index(min(sizes))
        sizes[fold] += len(members[number])
        chosen.update(dict.fromkeys(members[number], fold))
    return {sample_id: chosen[sample_id] for sample_id in sorted(chosen)}


def predict_out_of_fold(
    config: Config,
    cache_root: Path,
    options: FoldOptions,
    together: Sequence[Collection[str]] = (),
) -> Path:
    """Train a model per fold and store what each says of the images it never saw.

    What is there already is not made again: a finished fold, an interrupted fold's predictions.

    Args:
        config: The config whose train split is predicted; it is not changed.
        cache_root: Caches lie here, each in a folder named by what decides its content.
        options: Folds, epochs, seed, device.
        together: Groups of sample ids that stay in one fold: photographs that are stored twice.
            Identical files do so anyhow.

    Returns:
        The cache's folder, see `seglab.utils.prediction_cache`.

    Raises:
        UserError: The data or the config do not work.
    """
    dataset = _held_out_dataset(config)
    hashes = hash_samples(sample_files(dataset))
    missing = [key for key, files in hashes.items() if None in files.values()]
    if missing:
        raise UserError(f"no image or mask for {', '.join(missing[:5])}", "add the files")
    recipe = {"config_sha256": _config_hash(config), "data": _data_hash(hashes), **asdict(options)}
    recipe.pop("device")  # where it was computed does not make it another cache
    images = {key: str(files["image"]) for key, files in hashes.items()}
    groups = join_groups(images, together)
    if groups != images:
        recipe["together"] = sorted(sorted(group) for group in together)
    folder = cache_root / _digest(recipe)[:16]
    if (folder / INDEX_FILE).is_file():
        print(f"out-of-fold predictions are there already: {folder}", file=sys.stderr)
        return folder
    require_writable(folder, "the cache")
    folds = assign_folds(groups, options.folds, options.seed)
    for fold in tqdm(range(options.folds), desc="folds", unit="fold"):
        _finish_fold(config, dataset, folds, fold, folder, options)
    labels = {key: str(files["label"]) for key, files in hashes.items()}
    write_index(folder, CacheIndex(class_names(config), folds, labels, recipe))
    shutil.rmtree(folder / "runs", ignore_errors=True)  # the predictions are what is kept
    return folder


def _finish_fold(
    config: Config,
    dataset: Any,
    folds: Mapping[str, int],
    fold: int,
    folder: Path,
    options: FoldOptions,
) -> None:
    """Train one fold unless it is done, and predict its images."""
    positions = [
        (number, sample_id)
        for number in range(len(dataset))
        if folds[sample_id := str(dataset.get_data_info(number)["sample_id"])] == fold
    ]
    open_ones = [
        (number, sample_id)
        for number, sample_id in positions
        if not probabilities_path(folder, sample_id).is_file()
    ]
    if not open_ones:
        return
    trained_on = sorted(set(range(len(dataset))) - {number for number, _ in positions})
    checkpoint = _train_fold(
        fold_config(config, trained_on, [number for number, _ in positions], options),
        folder / "runs" / f"fold_{fold}",
        options,
    )
    device = select_device(options.device)
    model = load_model(copy.deepcopy(config), checkpoint, device)
    count = len(class_names(config))
    for number, sample_id in tqdm(open_ones, desc=f"fold {fold}", unit="image", leave=False):
        chances = averaged_probabilities(model, dataset[number], count, options.scales)
        save_probabilities(folder, sample_id, chances)


def fold_config(
    config: Config, trained_on: Sequence[int], held_out: Sequence[int], options: FoldOptions
) -> Config:
    """The config of one fold's training.

    Early stopping is off and validation comes once, after the last epoch, so that the held-out
    masks choose nothing: it only reports.

    Args:
        config: The config of the whole split.
        trained_on: Positions in the train split of the samples to train on.
        held_out: Positions of the others.
        options: Epochs.
    """
    config = copy.deepcopy(config)
    evaluated = copy.deepcopy(config.train_dataloader.dataset)
    evaluated.pipeline = config.val_dataloader.dataset.pipeline
    evaluated.indices = list(held_out)
    config.val_dataloader.dataset = evaluated
    config.train_dataloader.dataset.indices = list(trained_on)
    config.train_cfg.update(max_epochs=options.epochs, val_interval=options.epochs)
    config.custom_hooks = [
        hook for hook in config.get("custom_hooks", []) if hook["type"] not in _EARLY_STOPPING
    ]
    return config


def _train_fold(config: Config, work_dir: Path, options: FoldOptions) -> Path:
    """Train, or go on with, one fold; returns the last epoch's checkpoint."""
    pointer = work_dir / LAST_CHECKPOINT
    done = work_dir / f"epoch_{options.epochs}.pth"
    if not done.is_file() or fault_of(done) is not None:
        resume = pointer.is_file()
        if not resume and work_dir.is_dir():  # stopped before its first epoch was done
            shutil.rmtree(work_dir)
        settings = TrainOptions(
            work_dir=work_dir, seed=options.seed, resume=resume, device=options.device
        )
        apply_options(config, settings, work_dir)
        train(config, settings, work_dir)
    return done


def _held_out_dataset(config: Config) -> Any:
    """The train split without augmentation."""
    node = copy.deepcopy(config.train_dataloader.dataset)
    if node.get("type") != "MaskFolderDataset":
        raise UserError(
            f"the train data set is a {node.get('type')}", "audit a config with MaskFolderDataset"
        )
    node.pipeline = config.val_dataloader.dataset.pipeline
    return build_dataset(config, node)


def _data_hash(hashes: Mapping[str, Mapping[str, str | None]]) -> str:
    return _digest({key: dict(files) for key, files in hashes.items()})


def _config_hash(config: Config) -> str:
    """Of the resolved config, without what says where the data lie."""
    plain = config.to_dict()
    plain.pop("data_root", None)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        plain.get(loader, {}).get("dataset", {}).pop("data_root", None)
    return _digest(plain)


def _digest(value: Any) -> str:
    return json_sha256(value, compact=False)
