"""Hashes of the files a split consists of: whether two runs saw the same images and labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from seglab.utils.io_utils import sha256_file, to_plain


class SampleFiles(NamedTuple):
    """The files of one sample, under its path relative to the split.

    `reading` says how the label's values become classes, where they are not the classes
    themselves: the same file read in another way is another label.
    """

    sample_id: str
    image: Path
    label: Path
    reading: str = ""


def hash_samples(samples: Iterable[SampleFiles]) -> dict[str, dict[str, str | None]]:
    """Hash every image and label file.

    Args:
        samples: The split's samples.

    Returns:
        Sample id -> {"image": SHA-256, "label": SHA-256}, sorted by id; None for a file that is
        not there. A label with a `reading` has the SHA-256 of the file's SHA-256, a space and the
        reading.
    """
    listed = sorted(samples)
    bar = tqdm(listed, desc="hashing the split", unit="image", leave=False, delay=1.0)
    return {
        sample.sample_id: {"image": _digest(sample.image), "label": _label_digest(sample)}
        for sample in bar
    }


def summarise_hashes(files: Mapping[str, Mapping[str, str | None]]) -> dict[str, Any]:
    """One hash of all images and one of all labels.

    Args:
        files: From `hash_samples`.

    Returns:
        `files` (how many samples), `images_sha256` and `labels_sha256`: SHA-256 over the lines
        "SAMPLE_ID SHA-256" in the order of the ids, so that a renamed, added, removed or changed
        file changes it.
    """
    return {
        "files": len(files),
        "images_sha256": _combine(files, "image"),
        "labels_sha256": _combine(files, "label"),
    }


def json_sha256(value: Any, compact: bool = True) -> str:
    """SHA-256 of a value as JSON with sorted keys.

    Args:
        value: What `to_plain` turns into JSON.
        compact: Without spaces, in UTF-8; else with a space after each comma and colon and other
            than ASCII letters escaped. Stored hashes of both kinds exist.
    """
    style: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False} if compact else {}
    text = json.dumps(to_plain(value), sort_keys=True, **style)
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def _label_digest(sample: SampleFiles) -> str | None:
    digest = _digest(sample.label)
    if digest is None or not sample.reading:
        return digest
    return hashlib.sha256(f"{digest} {sample.reading}".encode()).hexdigest()


def _combine(files: Mapping[str, Mapping[str, str | None]], kind: str) -> str:
    digest = hashlib.sha256()
    for sample_id in sorted(files):
        digest.update(f"{sample_id} {files[sample_id][kind]}\n".encode())
    return digest.hexdigest()
