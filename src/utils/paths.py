"""Where the project lies, and how paths a person types are understood."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: Endings of image files where no config names one; compared without regard to case.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

#: The checkout that holds `configs/` and `experiments/`: the folder above the package.
#: Resolved through the real path, so that a link to the package does not mislead.
PROJECT_ROOT = Path(os.path.realpath(__file__)).parents[2]
if not (PROJECT_ROOT / "configs").is_dir():  # installed away from its checkout
    PROJECT_ROOT = Path.cwd()


def resolve_input(path: str | Path) -> Path:
    """Understand a path from the current folder first, then from the project's root.

    So `configs/h1.py` and `data/pets_coco` work from any working directory.

    Returns:
        The first of the two that exists, or the path from the current folder.
    """
    path = Path(path)
    with suppress(RuntimeError):  # `~name` of nobody: a file may be called so
        path = path.expanduser()
    if not path.is_absolute() and not path.exists() and (PROJECT_ROOT / path).exists():
        return PROJECT_ROOT / path
    return path
