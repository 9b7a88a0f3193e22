"""Which device a network runs on."""

from __future__ import annotations

import re

from seglab.utils.errors import UserError

AUTO = "auto"


def choose_device(device: str) -> str:
    """The device that was asked for.

    Args:
        device: `"auto"` (cuda where torch sees one, else cpu), `"cpu"`, `"cuda"` or `"cuda:N"`.

    Raises:
        UserError: CUDA is asked for and absent, or the name is none of these.
    """
    import torch

    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise UserError(f"--device {device!r} is none of auto, cpu, cuda, cuda:N")
    if device == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device != "cpu" and int(device.partition(":")[2] or 0) >= count:
        raise UserError(
            f"--device {device}: torch sees {count or 'no'} CUDA device{'s' * (count > 1)}",
            "use --device cpu, or install a CUDA build of torch and its driver",
        )
    return device
