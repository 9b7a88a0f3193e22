"""The folder of a test's results: they arrive whole and together, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, require_writable
from seglab.utils.paths import leads_out, name_fault
from seglab.utils.result_files import (
    LAB_SCORES_FILE,
    METRICS_FILE,
    PROVENANCE_FILE,
    RUN_FILE,
    TRACKING_FOLDER,
)


def default_output_dir(checkpoint: Path, split: str) -> Path:
    """`test_SPLIT` beside the checkpoint; `test_SPLIT_NAME` if another's results are there.

    Raises:
        UserError: It is a link to somewhere else.
    """
    folder = checkpoint.parent / f"test_{split}"
    named = Path(str(_earlier(folder).get("checkpoint", checkpoint))).name
    if named != checkpoint.name:
        folder = folder.with_name(f"{folder.name}_{checkpoint.stem}")
    if leads_out(checkpoint.parent, folder):
        raise UserError(
            f"{folder} is a link that leads out of the run's folder",
            "delete it, or name where the results go with --output-dir",
        )
    return folder


def require_free(folder: Path, split: str, checkpoint_sha256: str) -> None:
    """Refuse a folder that holds results of another checkpoint or split.

    Results of the same checkpoint on the same split are replaced: they would be the same again.

    Raises:
        UserError: It holds such results, or some that cannot be read.
    """
    if not (folder / METRICS_FILE).exists():
        return
    earlier = _earlier(folder)
    if earlier.get("split") == split and earlier.get("checkpoint_sha256") == checkpoint_sha256:
        return
    owner = f"{Path(str(earlier.get('checkpoint', '?'))).name} on {earlier.get('split', '?')}"
    raise UserError(
        f"--output-dir {folder} holds the results of another test ({owner})",
        "give another --output-dir, or add --overwrite",
    )


@contextmanager
def staged_results(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; what is in it at the end takes the place of earlier results.

    Until the block has succeeded the earlier results stay as they are. While files change places
    there is no `test_metrics.json`, by which results are found: it goes first and comes last.

    Args:
        folder: Where the results go; made if need be, and removed again if nothing comes of it.

    Raises:
        UserError: The folder cannot be written.
    """
    was_there = folder.exists()
    require_writable(folder, "--output-dir")
    # Inside the folder: renaming within one file system cannot stop halfway.
    stage = Path(tempfile.mkdtemp(dir=folder, prefix=".unfinished_"))
    try:
        yield stage
        _replace(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if not was_there:
            with suppress(OSError):  # not empty: the results are there
                folder.rmdir()


def _replace(stage: Path, folder: Path) -> None:
    # What was tracked of the earlier results goes with them: sent later, it would pass for these.
    if not (folder / RUN_FILE).exists():  # of a training it is that one's
        shutil.rmtree(folder / TRACKING_FOLDER, ignore_errors=True)
    pictures = _read(folder / METRICS_FILE).get("pictures", [])
    (folder / METRICS_FILE).unlink(missing_ok=True)
    for name in pictures if isinstance(pictures, list) else ():
        if isinstance(name, str) and name == Path(name).name and not name_fault(name):
            (folder / name).unlink(missing_ok=True)
    (folder / LAB_SCORES_FILE).unlink(missing_ok=True)  # not every test writes one
    for path in sorted(stage.iterdir(), key=lambda path: path.name == METRICS_FILE):
        path.replace(folder / path.name)


def _earlier(folder: Path) -> dict[str, Any]:
    """Which checkpoint and split a folder's results are of; empty if it has none to read."""
    metrics, provenance = _read(folder / METRICS_FILE), _read(folder / PROVENANCE_FILE)
    return {**provenance, **metrics}  # results of seglab before provenance.json name all in one


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path) if path.is_file() else {}
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}
