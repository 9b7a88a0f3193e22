"""A factory of whole run folders in the real format, made without training anything."""

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglab.utils.boundary import DILATION_RATIO, TOLERANCE_PIXELS
from seglab.utils.breakdown import by_classes_present, by_object_size, error_budget
from seglab.utils.data_hashes import summarise_hashes
from seglab.utils.image_results import (
    BoundaryTable,
    ImageResults,
    published_metrics,
    save_results,
    write_per_image_csv,
)
from seglab.utils.io_utils import write_json, write_text

MakeRun = Callable[..., Path]
CLASSES = ("background", "cat", "dog")
PALETTE = [[0, 0, 0], [230, 159, 0], [86, 180, 233]]
PIXELS = 64 * 64


def sample_names(count: int) -> list[str]:
    return sorted(f"batch_{index % 3}/{index:03d}.jpg" for index in range(count))


def draw_results(
    sample_ids: Sequence[str],
    classes: Sequence[str],
    skill: float,
    *,
    data_seed: int = 0,
    run_seed: int = 0,
    boundary: bool = True,
) -> ImageResults:
    """Results of a network that gets about `skill` of the object pixels right.

    The images (how many pixels of each class, how hard) depend on `data_seed` alone, so that
    runs on one data set are paired; the run's own luck depends on `run_seed`.
    """
    data, luck = np.random.default_rng(data_seed), np.random.default_rng([run_seed, 7])
    count, size = len(sample_ids), len(classes)
    matrices = np.zeros((count, size, size), dtype=np.int64)
    for index in range(count):
        shown = 1 + index % (size - 1)
        objects = int(data.integers(PIXELS // 20, PIXELS // 3))
        hardness = data.normal(0, 0.08)
        share = float(np.clip(skill + hardness + luck.normal(0, 0.03), 0.02, 0.99))
        found = round(share * objects)
        other = 1 + shown % (size - 1)
        confused = (objects - found) // 4 if other != shown else 0
        spilled = round((1 - share) * objects * 0.6)
        matrices[index, shown] = 0
        matrices[index, shown, shown] = found
        matrices[index, shown, other] += confused
        matrices[index, shown, 0] += objects - found - confused
        matrices[index, 0, shown] = spilled
        matrices[index, 0, 0] = PIXELS - objects - spilled
    return ImageResults(
        tuple(sample_ids),
        tuple(classes),
        matrices,
        _boundary(matrices) if boundary else None,
        _calibration(matrices, luck) if boundary else None,
    )


def _boundary(matrices: np.ndarray) -> BoundaryTable:
    """Contours as good as the areas: bands of a tenth of the pixels."""
    hits = np.diagonal(matrices, axis1=1, axis2=2)[:, 1:]
    union = (matrices.sum(axis=1) + matrices.sum(axis=2))[:, 1:] - hits
    absent = union == 0
    share = np.where(absent, np.nan, hits / np.maximum(union, 1))
    return BoundaryTable(
        intersection=hits // 12,
        union=union // 10,
        hd95=20.0 * (1.0 - share),
        nsd=share**0.5,
        band_pixels=union.sum(axis=1) // 8,
        band_errors=(union - hits).sum(axis=1) // 10,
    )


def _calibration(matrices: np.ndarray, luck: np.random.Generator) -> np.ndarray:
    """Histograms whose counts agree with the matrices."""
    histogram = np.zeros((len(matrices), 2, 15, 3))
    for index, matrix in enumerate(matrices):
        everything, right = int(matrix.sum()), int(np.trace(matrix))
        objects, object_right = everything - int(matrix[0, 0]), int(np.trace(matrix) - matrix[0, 0])
        for kind, (pixels, correct) in enumerate(((everything, right), (objects, object_right))):
            low = pixels // 4
            histogram[index, kind, 9] = low, 0.63 * low, min(low, correct) * 0.5 // 1
            rest = pixels - low
            hits = min(rest, correct - histogram[index, kind, 9, 2])
            histogram[index, kind, 14] = rest, (0.95 + 0.04 * luck.random()) * rest, hits
    return histogram


def example_config(hypothesis: dict[str, Any], seed: int, data_root: str) -> dict[str, Any]:
    """A resolved config with the parts that comparisons look at."""

    def loader(split: str, pipeline: list[dict[str, Any]], batch_size: int) -> dict[str, Any]:
        return {
            "batch_size": batch_size,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": split == "train"},
            "dataset": {
                "type": "MaskFolderDataset",
                "data_root": data_root,
                "split": split,
                "mask_dir": "labels",
                "metainfo": {"classes": list(CLASSES), "palette": copy.deepcopy(PALETTE)},
                "pipeline": pipeline,
            },
        }

    load = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    return copy.deepcopy({
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "data_root": data_root,
        "model": {
            "type": "EncoderDecoder",
            "data_preprocessor": {"type": "SegDataPreProcessor", "size": [64, 64]},
            "backbone": {"type": "TimmBackbone", "model_name": "tiny"},
            "decode_head": {
                "type": "FPNHead",
                "num_classes": 3,
                "loss_decode": {"type": "ComboLoss", "ce_weight": 0.5, "dice_weight": 0.5},
            },
        },
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 0.0005}},
        "train_cfg": {"type": "EpochBasedTrainLoop", "max_epochs": 3, "val_interval": 1},
        "train_dataloader": loader(
            "train", [*load, {"type": "RandomFlip", "prob": 0.5}, {"type": "PackSegInputs"}], 8
        ),
        "val_dataloader": loader("val", [*load, {"type": "PackSegInputs"}], 8),
        "test_dataloader": loader("test", [*load, {"type": "PackSegInputs"}], 8),
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "save_best": "val/mDice"}},
        "custom_hooks": [{"type": "HistoryHook"}, {"type": "ProgressHook"}],
        "randomness": {"seed": seed, "deterministic": False},
        "pretrained_backbone": None,
        "load_from": None,
        "resume": False,
        "launcher": "none",
        "hypothesis": hypothesis,
        "hypothesis_name": str(hypothesis["id"]).lower(),
    })  # fmt: skip


def file_hashes(sample_ids: Sequence[str], data_seed: int) -> dict[str, dict[str, str]]:
    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    return {
        sample_id: {kind: digest(f"{data_seed} {sample_id} {kind}") for kind in ("image", "label")}
        for sample_id in sample_ids
    }


def write_run(
    folder: Path,
    hypothesis: str | dict[str, Any] = "H1",
    seed: int = 0,
    *,
    skill: float = 0.8,
    split: str = "val",
    images: int = 24,
    data_seed: int = 0,
    classes: Sequence[str] = CLASSES,
    config: dict[str, Any] | None = None,
    epochs: int = 3,
    began: str = "2026-01-02T03:04:05+0000",
    revision: str = "0123456789abcdef",
    boundary: bool = True,
    tested: bool = True,
) -> Path:
    """Write a run folder and return it.

    Args:
        hypothesis: An id, or the whole dict of a config.
        config: Top-level keys that replace those of `example_config`.
        skill: About the share of object pixels that are right.
        data_seed: Which data set; runs of one data_seed are comparable.
        boundary: Whether contours and calibration were measured.
        tested: Whether `test_SPLIT` is written.
    """
    if isinstance(hypothesis, str):
        hypothesis = {"id": hypothesis}
    stated = {"parent": None, "question": "?", "change": "", "expects": {}, **hypothesis}
    resolved = example_config(stated, seed, str(folder.parent / "data")) | (config or {})
    digest = hashlib.sha256(f"{stated['id']} {seed} {skill}".encode()).digest()
    run_seed = int.from_bytes(digest[:4], "big")
    environment = {
        "python": "3.11.7",
        "platform": "Linux-6.1-x86_64",
        "processor_count": 2,
        "torch_threads": 2,
        "cuda_device": None,
        "packages": {"seglab": "0.1.0", "torch": "2.13.0+cpu"},
        "git_revision": revision,
    }
    history = _history(epochs, skill, run_seed)
    train_files = file_hashes([f"train/{name}" for name in sample_names(40)], data_seed)
    ids = sample_names(images)
    val_files = file_hashes(ids, data_seed)
    write_json(folder / "config.json", resolved)
    write_text(folder / "config.py", "# the resolved config\n")
    record = {
        "schema": 1,
        "hypothesis": resolved["hypothesis_name"],
        "hypothesis_id": stated["id"],
        "config_file": f"configs/{resolved['hypothesis_name']}.py",
        "seed": seed,
        "from_scratch": True,
        "pretrained_backbone": None,
        "load_from": None,
        "environment": environment,
        "parameters": 1_234_567,
        "data": {"train": summarise_hashes(train_files), "val": summarise_hashes(val_files)},
        "sessions": [
            {
                "command": ["seglab", "train", "--work-dir", str(folder)],
                "device": "cpu",
                "began": began,
                "status": "finished",
                "seconds": 12.5,
            }
        ],
        "epochs": epochs,
        "best": max(history, key=lambda entry: entry["val/mDice"]),
        "seconds": 12.5,
        "status": "finished",
    }
    write_json(folder / "run.json", record)
    write_text(folder / "history.jsonl", "".join(json.dumps(line) + "\n" for line in history))
    if tested:
        results = draw_results(
            ids, classes, skill, data_seed=data_seed, run_seed=run_seed, boundary=boundary
        )
        write_test(folder, results, split, val_files, digest.hex(), environment, resolved)
    return folder


def _history(epochs: int, skill: float, run_seed: int) -> list[dict[str, Any]]:
    luck = np.random.default_rng(run_seed)
    history = []
    for epoch in range(1, epochs + 1):
        dice = 100 * skill * (1 - 0.5 / epoch) + luck.normal(0, 0.5)
        history.append({
            "epoch": epoch,
            "iter": 5 * epoch,
            "lr": 0.0005 / epoch,
            "loss": 1.0 / epoch,
            "decode.loss_ce": 0.6 / epoch,
            "decode.loss_dice": 0.4 / epoch,
            "seconds": 4.0,
            "val/mDice": dice,
            "val/mIoU": dice - 10,
            "val/Dice/background": dice + 5,
            "val/Dice/cat": dice - 2,
            "val/Dice/dog": dice - 3,
        })  # fmt: skip
    return history


def reliability_bins(results: ImageResults) -> dict[str, list[dict[str, Any]]]:
    """The reliability diagram's bins, as `test_metrics.json` holds them."""
    histograms = np.zeros((2, 15, 3))
    if results.calibration is not None:
        histograms = results.calibration.sum(axis=0)
    return {
        kind: [
            {
                "confidence": confidence / pixels if pixels else None,
                "accuracy": correct / pixels if pixels else None,
                "pixels": int(pixels),
            }
            for pixels, confidence, correct in histogram.tolist()
        ]
        for kind, histogram in zip(("all", "objects"), histograms, strict=True)
    }


def write_test(
    folder: Path,
    results: ImageResults,
    split: str,
    files: dict[str, dict[str, str]],
    checkpoint_sha256: str,
    environment: dict[str, Any],
    config: dict[str, Any],
) -> None:
    """Write `test_SPLIT` of a run."""
    tested = folder / f"test_{split}"
    save_results(tested / "image_results.npz", results)
    write_per_image_csv(tested / "per_image.csv", results)
    write_json(
        tested / "test_metrics.json",
        {
            "schema": 2,
            "split": split,
            "images": len(results.sample_ids),
            "classes": results.classes,
            "palette": PALETTE[: len(results.classes)],
            "ignore_index": 255,
            "absent": "nan",
            "boundary": {
                "dilation_ratio": DILATION_RATIO,
                "tolerance_pixels": TOLERANCE_PIXELS,
            },
            "metrics": published_metrics(results),
            "breakdown": {
                "object_size": by_object_size(results.matrices, results.classes),
                "classes_present": by_classes_present(results.matrices, results.classes),
                "error_budget": error_budget(results.matrices, results.classes),
            },
            "calibration": reliability_bins(results),
            "selected_on": "val",
            "pictures": [],
        },
    )
    write_json(
        tested / "provenance.json",
        {
            "schema": 1,
            "config": str(folder / "config.py"),
            "config_sha256": hashlib.sha256(
                json.dumps(config, sort_keys=True).encode()
            ).hexdigest(),
            "checkpoint": str(folder / "best_val_mDice_epoch_3.safetensors"),
            "checkpoint_sha256": checkpoint_sha256,
            "data": {
                "split": split,
                "data_root": str(folder.parent / "data"),
                "mask_dir": "labels",
                "images": summarise_hashes(files)["images_sha256"],
                "labels": summarise_hashes(files)["labels_sha256"],
                "files": files,
            },
            "environment": environment,
            "command": ["seglab", "test", "--config", str(folder / "config.py")],
            "device": "cpu",
            "seed": config["randomness"]["seed"],
            "git_revision": environment["git_revision"],
        },
    )


@pytest.fixture
def make_run() -> MakeRun:
    """Writes whole run folders: `make_run(folder, "H1", seed=0, skill=0.8, ...)`."""
    return write_run


@pytest.fixture
def family(make_run: MakeRun, tmp_path: Path) -> list[Path]:
    """H1, H2 (far better, as it expects) and H3 (another change of H1, hardly better)."""
    h2 = {"id": "H2", "parent": "H1", "change": "more", "expects": {"mDice": "+"}}
    h3 = {"id": "H3", "parent": "H1", "change": "little", "expects": {"Dice/cat": "+"}}
    return [
        make_run(tmp_path / "experiments" / "h1" / "a", "H1", skill=0.70),
        make_run(tmp_path / "experiments" / "h2" / "a", h2, skill=0.85),
        make_run(tmp_path / "experiments" / "h3" / "a", h3, skill=0.703),
    ]
