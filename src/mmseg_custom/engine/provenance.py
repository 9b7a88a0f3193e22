"""What the figures of a test were made from: config, weights, files, versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seglab.mmseg_custom.datasets.samples import sample_files
from seglab.mmseg_custom.engine.environment import describe_environment
from seglab.mmseg_custom.engine.record import read_record
from seglab.utils.data_hashes import hash_samples, json_sha256, summarise_hashes
from seglab.utils.errors import UserError

#: The names of the checkpoints that a validation chose, and of no others.
_CHOSEN = re.compile(r"best_.+_(epoch|iter)_\d+\.\w+")


def describe_data(config: Config, split: str, dataset: Any) -> dict[str, Any]:
    """The `data` of `provenance.json`: where the split is, and the hash of each of its files.

    Args:
        config: The resolved config.
        split: 'val' or 'test'.
        dataset: The split's data set.

    Raises:
        UserError: An image has no label; says how many and where.
    """
    samples = list(sample_files(dataset))
    missing = [sample.label for sample in samples if not sample.label.is_file()]
    if missing:
        folders = ", ".join(sorted({str(path.parent) for path in missing})[:3])
        raise UserError(
            f"{len(missing)} of {len(samples)} images of the {split} split have no label in "
            f"{folders}, e.g. {missing[0].name}",
            "add the labels, remove the images, or choose another --split",
        )
    files = hash_samples(samples)
    summary = summarise_hashes(files)
    source = config[f"{split}_dataloader"].dataset
    return {
        "split": split,
        "data_root": source.get("data_root"),
        "mask_dir": source.get("mask_dir"),
        "images": summary["images_sha256"],
        "labels": summary["labels_sha256"],
        "files": files,
    }


def describe_test(
    config: Config,
    checkpoint: Path,
    checkpoint_sha256: str,
    data: Mapping[str, Any],
    device: str,
    command: Sequence[str],
) -> dict[str, Any]:
    """The content of `provenance.json`; `seglab.utils.schemas` describes it key by key.

    Args:
        config: The resolved config, as it was given.
        checkpoint: The weights.
        checkpoint_sha256: Their hash.
        data: From `describe_data`.
        device: 'cpu' or 'cuda'.
        command: The command line.
    """
    environment = describe_environment()
    return {
        "schema": 1,
        "config": config.filename,
        "config_sha256": config_sha256(config),
        "checkpoint": str(checkpoint),
        "checkpoint_sha256": checkpoint_sha256,
        "data": data,
        "environment": environment,
        "command": list(command),
        "device": device,
        "seed": (config.get("randomness") or {}).get("seed"),
        "git_revision": environment["git_revision"],
    }


def config_sha256(config: Config) -> str:
    """SHA-256 of a resolved config as JSON with sorted keys and no spaces, in UTF-8."""
    return json_sha256(config.to_dict())


def selected_on(checkpoint: Path, split: str, images_sha256: str) -> str | None:
    """The split whose metrics chose a checkpoint: on it, figures are better than they should be.

    Args:
        checkpoint: The weights; mmengine's name for them says whether they were chosen.
        split: The split that is scored.
        images_sha256: Hash of its images, compared with the val images of the run beside the
            checkpoint: many configs have one folder serve as both val and test.

    Returns:
        'val', or `split` if it holds the very images the checkpoint was chosen on; None for a
        checkpoint that no metric chose, or of which that is not known.
    """
    if not _CHOSEN.fullmatch(checkpoint.name):
        return None
    chosen_on = read_record(checkpoint.parent).get("data", {}).get("val", {})
    return split if chosen_on.get("images_sha256") == images_sha256 else "val"
