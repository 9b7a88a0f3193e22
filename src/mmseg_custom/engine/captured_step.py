"""A training step written down as data, and repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from seglab.mmseg_custom.engine.determinism import repeatable
from seglab.mmseg_custom.engine.inference import build_model
from seglab.mmseg_custom.engine.memory import is_out_of_memory
from seglab.utils import random_state
from seglab.utils.checkpoint_utils import load_checkpoint_file, load_weights_into
from seglab.utils.errors import UserError
from seglab.utils.io_utils import to_plain

#: The file in a run's folder.
CAPTURE_NAME = "not_finite_step.pth"
_FORMAT = 1
_FACTS = ("what", "text", "epoch", "step")


@dataclass(frozen=True)
class Replay:
    """What a step did when it was repeated.

    Attributes:
        facts: What was noted when it happened: `what`, `text` (the value), `epoch`, `step`.
        losses: Each part of the loss.
        first_module: The first module whose output is not finite, with what came out; None if all
            are finite.
        gradients: Names of the parameters whose gradient is not finite.
        images: Path, smallest and largest value of each image.
        labels: The values of each label map.
    """

    facts: Mapping[str, Any]
    losses: Mapping[str, float]
    first_module: str | None
    gradients: tuple[str, ...]
    images: tuple[tuple[str, float, float], ...]
    labels: tuple[tuple[int, ...], ...]


def capture_step(
    model: nn.Module,
    config: Config,
    batch: Mapping[str, Any],
    random: Mapping[str, Any],
    facts: Mapping[str, Any],
    precision: torch.dtype | None = None,
) -> dict[str, Any]:
    """Everything that repeats a step: tensors and plain values only.

    Args:
        model: Before the optimizer's step.
        config: The run's.
        batch: As the loader gave it: `inputs`, a list of (3, H, W) uint8 tensors, and
            `data_samples`.
        random: From `random_state.capture`, before the step.
        facts: What happened.
        precision: What autocast turned the forward pass into; None where there was none.
    """
    samples = [
        {
            "label": sample.gt_sem_seg.data.cpu(),
            "metainfo": json.dumps(to_plain(dict(sample.metainfo_items()))),
        }
        for sample in batch["data_samples"]
    ]
    return {
        "format": _FORMAT,
        "facts": dict(facts),
        "autocast": None if precision is None else str(precision).removeprefix("torch."),
        "config": json.dumps(to_plain(config.to_dict())),
        "inputs": [image.cpu() for image in batch["inputs"]],
        "samples": samples,
        "state_dict": {name: value.detach().cpu() for name, value in model.state_dict().items()},
        "random": dict(random),
    }


def replay_step(path: str | Path, device: str = "cpu") -> Replay:
    """Repeat a step that was kept, up to the optimizer.

    Args:
        path: The file; it is read as data.
        device: 'cpu' or 'cuda'.

    Raises:
        UserError: It is no such file, or a damaged one; or memory ran out.
    """
    content = load_checkpoint_file(path)
    if content.get("format") != _FORMAT or "samples" not in content:
        raise UserError(f"{path} holds no training step", f"give a run's {CAPTURE_NAME}")
    try:
        config = Config(json.loads(content["config"]))
        deterministic = bool((config.get("randomness") or {}).get("deterministic"))
        with repeatable(deterministic, device), random_state.isolated():
            return _repeat(content, _model(content, config, path, device), device)
    except UserError:
        raise
    except Exception as error:  # whatever a file says instead of what belongs there
        if is_out_of_memory(error):
            raise UserError(f"out of memory on {device}", "repeat it with --device cpu") from error
        told = next(iter(str(error).splitlines()), "")
        raise UserError(
            f"the training step in {path} cannot be repeated: it is damaged, or of another "
            f"version ({type(error).__name__}: {told})",
            f"give a run's {CAPTURE_NAME} as it was written",
        ) from error


def _autocast(content: Mapping[str, Any], device: str) -> AbstractContextManager[Any]:
    """The precision of the step: a value that only bfloat16 rounds to infinity would be missed."""
    name = content.get("autocast")
    if name is None:
        return nullcontext()
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    return torch.autocast(device.partition(":")[0], dtype)


def _repeat(content: Mapping[str, Any], model: nn.Module, device: str) -> Replay:
    batch = {
        "inputs": content["inputs"],
        "data_samples": [_sample(entry) for entry in content["samples"]],
    }
    found: list[str] = []
    handles = [
        module.register_forward_hook(_looker(name, found))
        for name, module in model.named_modules()
        if name and not any(module.children())
    ]
    random_state.restore(content["random"])
    with _autocast(content, device):  # as mmengine's `train_step` orders it
        packed = model.data_preprocessor(batch, True)  # type: ignore[operator]
        losses = model(**packed, mode="loss")
    total, parts = model.parse_losses(losses)  # type: ignore[operator]
    total.backward()
    for handle in handles:
        handle.remove()
    return Replay(
        {key: content["facts"][key] for key in _FACTS},
        {name: float(value.detach()) for name, value in parts.items()},
        found[0] if found else None,
        tuple(
            name
            for name, parameter in model.named_parameters()
            if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
        ),
        tuple(_extent(*pair) for pair in zip(content["inputs"], content["samples"], strict=True)),
        tuple(tuple(entry["label"].unique().tolist()) for entry in content["samples"]),
    )


def _model(content: Mapping[str, Any], config: Config, path: str | Path, device: str) -> nn.Module:
    model = build_model(config)
    load_weights_into(model, {"state_dict": content["state_dict"]}, path)
    return model.to(device).train()


def _sample(entry: Mapping[str, Any]) -> SegDataSample:
    sample = SegDataSample(metainfo=json.loads(entry["metainfo"]))
    sample.gt_sem_seg = PixelData(data=entry["label"])
    return sample


def _looker(name: str, found: list[str]) -> Any:
    def look(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
            bad = int((~torch.isfinite(output)).sum())
            kind = type(module).__name__
            found.append(f"{name} ({kind}): {bad} of {output.numel()} values")

    return look


def _extent(image: Tensor, entry: Mapping[str, Any]) -> tuple[str, float, float]:
    path = json.loads(entry["metainfo"]).get("img_path", "?")
    return str(path), float(image.min()), float(image.max())
