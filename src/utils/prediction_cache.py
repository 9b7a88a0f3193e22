"""Out-of-fold probabilities on disk: one compressed `.npz` per sample and an index.

```
CACHE/predictions.json        schema, classes, what was trained (see `CacheIndex`)
CACHE/samples/a/x.jpg.npz     `probabilities`, (C, H, W) float16, of sample a/x.jpg
```
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seglab.utils.errors import UserError
from seglab.utils.io_utils import atomic_path, read_json, write_json
from seglab.utils.paths import output_path
from seglab.utils.zip_files import refuse_bombs

INDEX_FILE = "predictions.json"
_SCHEMA = 1

FloatArray = npt.NDArray[np.float32]

_ROUNDED = 1e-2  # how far beyond 0 and 1 probabilities may be


@dataclass(frozen=True)
class CacheIndex:
    """What a cache holds and where it comes from.

    Attributes:
        classes: Class names, in the order of the probabilities.
        folds: Sample id -> the fold that it was held out of.
        labels: Sample id -> SHA-256 of the mask that was trained on in the other folds.
        recipe: What decided the training: config and data hashes, number of folds, seed, epochs.
    """

    classes: tuple[str, ...]
    folds: dict[str, int]
    labels: dict[str, str]
    recipe: dict[str, Any]


def write_index(folder: Path, index: CacheIndex) -> Path:
    """Write a cache's index: the last step, after which it counts as complete."""
    return write_json(folder / INDEX_FILE, {"schema": _SCHEMA, **asdict(index)})


def read_index(folder: Path) -> CacheIndex:
    """Read a cache's index.

    Raises:
        UserError: It is missing, damaged or of another schema.
    """
    path = folder / INDEX_FILE
    if not path.is_file():
        raise UserError(
            f"{folder} holds no finished predictions ({INDEX_FILE} is missing)",
            "make them with `seglab audit --config CONFIG --data-root D`, or go on with that run",
        )
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        raise UserError(f"{path} is not of schema {_SCHEMA}", "make the predictions again")
    try:
        classes, folds = tuple(content["classes"]), dict(content["folds"])
        index = CacheIndex(classes, folds, dict(content["labels"]), dict(content["recipe"]))
        words = [*classes, *index.labels.values()]
        if not isinstance(content["classes"], list) or {*map(type, words)} != {str} or not classes:
            raise TypeError("classes and checksums are text")
        return index
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}", "make the predictions again") from error


def probabilities_path(folder: Path, sample_id: str) -> Path:
    """Where a sample's probabilities are.

    Raises:
        UserError: The id leads out of the cache.
    """
    try:
        return output_path(folder / "samples", f"{sample_id}.npz" if sample_id else "")
    except UserError as error:
        raise UserError(
            f"sample id leads out of {folder}: {error.message}", "restore the cache"
        ) from error


def save_probabilities(folder: Path, sample_id: str, probabilities: FloatArray) -> Path:
    """Store a sample's (C, H, W) probabilities in half precision (3 to 4 digits)."""
    path = probabilities_path(folder, sample_id)
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, probabilities=probabilities.astype(np.float16))
    return path


def load_probabilities(folder: Path, sample_id: str) -> FloatArray:
    """Read a sample's probabilities: (C, H, W) float32.

    Raises:
        UserError: The file is missing or damaged.
    """
    path = probabilities_path(folder, sample_id)
    try:
        refuse_bombs(path)
        with np.load(path, allow_pickle=False) as stored:
            values = np.asarray(stored["probabilities"], dtype=np.float32)
    except Exception as error:  # damage in a zip surfaces as any of a dozen classes
        raise UserError(f"cannot read {path}: {error}", "make the predictions again") from error
    if values.ndim != 3 or not _in_range(values):
        raise UserError(f"{path} holds no (C, H, W) probabilities", "make the predictions again")
    return values


def _in_range(values: FloatArray) -> bool:
    """Whether all are probabilities; NaN is none."""
    return bool(((values >= -_ROUNDED) & (values <= 1 + _ROUNDED)).all())
