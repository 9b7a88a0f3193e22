"""Read checkpoints as data: nothing found in one is ever executed."""

from __future__ import annotations

import hashlib
import importlib
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, sha256_file, write_json
from seglab.utils.resume_files import fault_of, write_checked_bytes
from seglab.utils.tensor_claims import refuse_empty_claims
from seglab.utils.zip_files import refuse_bombs

SAFETENSORS_SUFFIX = ".safetensors"


def _history_method(owner: Any, name: str) -> Any:
    """What stands in for `getattr` while a checkpoint is read.

    mmengine pickles its loss histories with references to their own methods, which a pickle
    spells as `getattr(HistoryBuffer, "mean")`. The real `getattr` would let a file reach any
    attribute of anything; this one knows these methods only.
    """
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name not in {"current", "max", "mean", "min"}:
        raise pickle.UnpicklingError(f"refused: attribute {name!r}")
    return getattr(HistoryBuffer, name)


def _safe_types() -> list[Any]:
    """What mmengine puts into a checkpoint besides tensors: numbers, histories, arrays of numbers.

    mmengine's own list holds the real `getattr` as well.
    """
    from mmengine.logging.history_buffer import HistoryBuffer

    dtypes = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    multiarray: Any = importlib.import_module("numpy._core.multiarray")
    reconstruct: list[Any] = [multiarray._reconstruct, multiarray.scalar]
    # numpy 1 wrote the same two functions under their old module path.
    renamed = [(item, f"numpy.core.multiarray.{item.__name__}") for item in reconstruct]
    methods = [(_history_method, "builtins.getattr")]
    return [HistoryBuffer, np.ndarray, np.dtype, *reconstruct, *renamed, *methods, *dtypes]


def _facts(path: Path) -> dict[str, Any]:
    """What stands beside a file of weights, as a checkpoint of mmengine names it."""
    facts = facts_path(path)
    content = read_json(facts) if facts.is_file() else {}
    classes = content.get("classes") if isinstance(content, dict) else None
    return {"dataset_meta": {"classes": tuple(classes)}} if isinstance(classes, list) else {}


def load_checkpoint_file(
    path: str | Path, map_location: str = "cpu", trust: bool = False
) -> dict[str, Any]:
    """Load a checkpoint without executing anything in it.

    Args:
        path: A `.pth` / `.pt` file written by torch, mmengine or seglab, or `.safetensors`.
        map_location: Device the tensors are put on.
        trust: Unpickle a file that holds more than weights, saying so loudly: it may run code.

    Returns:
        What the file holds: a dictionary, with the weights under `state_dict` where a
        framework wrapped them.

    Raises:
        UserError: The file is missing, torn, another one than its checksum says, a zip bomb, or
            holds more than weights and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint not found: {path}", "check the path given to --checkpoint")
    if fault := fault_of(path):  # a number that changed on the way would be loaded as it is
        raise UserError(
            f"checkpoint {path} is damaged: {fault}",
            "copy it again from its source, or take another checkpoint of the run",
        )
    try:
        checkpoint = _load_as_data(path, map_location)
    except pickle.UnpicklingError as error:
        if not trust:
            raise _refusal(path, error) from error
        checkpoint = _load_trusting(path, map_location)
    except UserError:
        raise
    except Exception as error:  # torch and safetensors raise many types on a torn file
        raise _unreadable(path, error) from error
    if not isinstance(checkpoint, dict):
        raise UserError(
            f"checkpoint {path} holds a {type(checkpoint).__name__}, not a dictionary of weights",
            "use a checkpoint saved as a state dict",
        )
    nested = ("meta", "state_dict", "message_hub")
    wrong = [key for key in nested if not isinstance(checkpoint.get(key, {}), dict)]
    if wrong or not all(isinstance(key, str) for key in checkpoint.get("state_dict", checkpoint)):
        raise UserError(
            f"checkpoint {path} is not laid out as one ({', '.join(wrong) or 'names'})",
            "use a checkpoint saved as a state dict",
        )
    return checkpoint


def _load_as_data(path: Path, map_location: str) -> Any:
    if path.suffix == SAFETENSORS_SUFFIX:
        from safetensors.torch import load_file

        return {"state_dict": load_file(path, device=map_location), "meta": _facts(path)}
    refuse_bombs(path)  # torch would inflate members that somebody has packed
    with torch.serialization.safe_globals(_safe_types()):
        content = torch.load(path, map_location=map_location, weights_only=True)
    refuse_empty_claims(path, content)
    return content


def _load_trusting(path: Path, map_location: str) -> Any:
    print(
        f"WARNING: --trust-checkpoint: {path} holds more than weights and is unpickled NOW.\n"
        "WARNING: whatever code it carries runs with your rights, on this machine.\n"
        f"WARNING: its sha256 is {sha256_file(path)}",
        file=sys.stderr,
        flush=True,
    )
    try:
        return torch.load(path, map_location=map_location, weights_only=False)  # nosec B614
    except Exception as error:  # it runs what it carries, which raises anything
        raise _unreadable(path, error) from error


def _refusal(path: Path, error: Exception) -> UserError:
    # torch's message advises to load unsafely; the cause stands in one of its lines.
    lines = [line.strip() for line in str(error).splitlines() if "WeightsUnpickler" in line]
    reason = (lines or [*str(error).splitlines(), ""])[0].split(" Please use")[0]
    reason = reason.rpartition("WeightsUnpickler error: ")[2]
    return UserError(
        f"checkpoint {path} was refused: it is damaged or holds objects other than weights "
        f"({reason})",
        "use a file that holds only tensors and plain values; seglab executes nothing that a "
        "checkpoint carries, unless `test`, `predict` or `choose-threshold` are told "
        "--trust-checkpoint",
    )


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"checkpoint {path} cannot be read; it is damaged or not a checkpoint "
        f"({type(error).__name__}: {next(iter(str(error).splitlines()), '')})",
        "copy it again from its source, or take another checkpoint of the run",
    )


def write_weights(path: Path, weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write weights as safetensors, and what is known of them as JSON beside them.

    Args:
        path: Where the weights go; the facts and the checksum go beside them.
        weights: Name -> tensor.
        facts: What the JSON file holds besides the file's name, size and SHA-256.

    Raises:
        OSError: They cannot be written; what was there before is still there.
    """
    from safetensors.torch import save

    # Tied weights would share memory, which the format has no room for.
    data = save(
        {name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights.items()}
    )
    digest = hashlib.sha256(data).hexdigest()
    write_json(facts_path(path), {**facts, "file": path.name, "bytes": len(data), "sha256": digest})
    write_checked_bytes(path, data)


def facts_path(weights: Path) -> Path:
    """Where the facts of a file of weights stand."""
    return weights.with_suffix(".json")


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict inside a checkpoint, with DataParallel's `module.` prefix removed."""
    state = checkpoint.get("state_dict", checkpoint)
    return {
        key.removeprefix("module."): value
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def compare_weights(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> tuple[list[str], list[str], list[str]]:
    """Compare two state dicts by name and shape.

    `num_batches_tracked` counters are left out: old checkpoints lack them and inference does
    not use them.

    Returns:
        Names missing from `given`; names only in `given`; descriptions of names whose shapes
        differ ("name: expected (3, 8), got (2, 8)").
    """
    names = {name for name in expected if not name.endswith("num_batches_tracked")}
    missing = sorted(names - given.keys())
    unexpected = sorted(given.keys() - expected.keys())
    different = [
        f"{name}: the model has {tuple(expected[name].shape)}, the file {tuple(given[name].shape)}"
        for name in sorted(names & given.keys())
        if expected[name].shape != given[name].shape
    ]
    return missing, unexpected, different


def load_weights_into(model: nn.Module, checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Load all weights of a checkpoint into a model, or none.

    Raises:
        UserError: The checkpoint is of another architecture or another number of classes.
    """
    state = weights_of(checkpoint)
    missing, unexpected, different = compare_weights(model.state_dict(), state)
    if not (missing or unexpected or different):
        model.load_state_dict(state, strict=False)
        return
    classes_only = different and not (missing or unexpected)
    if classes_only and all("conv_seg" in item for item in different):
        raise UserError(
            f"checkpoint {path} was trained for another number of classes ({different[0]})",
            "use the config the checkpoint was trained with",
        )
    lines = [
        f"{len(items)} {what}, e.g. {items[0]}"
        for what, items in (
            ("weights of the model are not in the file", missing),
            ("weights of the file are not in the model", unexpected),
            ("weights have another shape", different),
        )
        if items
    ]
    raise UserError(
        f"checkpoint {path} does not belong to this model: " + "; ".join(lines),
        "use the config the checkpoint was trained with (it lies beside it as config.json)",
    )
