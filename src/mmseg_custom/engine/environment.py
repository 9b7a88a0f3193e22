"""What a run ran on, for its record."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

from seglab.utils.paths import PROJECT_ROOT

_PACKAGES = (
    "seglab",
    "torch",
    "torchvision",
    "onedl-mmengine",
    "onedl-mmcv",
    "onedl-mmsegmentation",
    "timm",
    "segmentation-models-pytorch",
    "albumentations",
    "numpy",
    "scipy",
    "monai",
    "opencv-python-headless",
    "pillow",
)


def _git_revision() -> str | None:
    """The checkout's commit, with `+changes` where the working tree differs; None outside git."""
    try:
        answers = [
            subprocess.run(
                ["git", "-C", str(PROJECT_ROOT), *arguments],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            ).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return answers[0] + ("+changes" if answers[1] else "")


def describe_environment() -> dict[str, Any]:
    """Versions, machine and threads: what another person needs to repeat a run."""
    import torch

    versions: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    cuda = torch.cuda.is_available()
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor_count": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "cuda_device": torch.cuda.get_device_name() if cuda else None,
        "packages": versions,
        "git_revision": _git_revision(),
    }
