"""What mmengine and mmseg would execute of the files they read, closed.

Importing `seglab.mmseg_custom` closes it for the whole process:

- a `type` in a config is text; mmengine imports any module and calls anything in it by that text
  (`type="subprocess.Popen"`). Here it finds what is registered, and nothing else;
- `.pkl` files are unpickled, and `.yaml` files may name any function to call. Here the former are
  refused and the latter hold plain values;
- a checkpoint that cannot be read safely is read unsafely, also weights that a layer's `init_cfg`
  names. Here each goes through `seglab.utils.checkpoint_utils`;
- config text in a checkpoint is executed when a run is resumed from it. Here it is dropped;
- the `config.py` that is written of a config executes what its keys say (`config_text`);
- masks are decoded without a limit, by whatever Pillow knows (`safe_decoding`).
"""

from __future__ import annotations

import importlib
from typing import Any

import mmseg.datasets.transforms.loading as mmseg_loading
import yaml
from mmengine.config import Config
from mmengine.fileio import BaseFileHandler, PickleHandler, register_handler
from mmengine.registry import Registry
from mmengine.registry import registry as registry_module
from mmengine.registry import root as root_registries
from mmengine.runner import checkpoint as mmengine_checkpoints
from mmseg import registry as mmseg_registries

from seglab.mmseg_custom.safe_decoding import make_decoding_safe
from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.config_text import python_text
from seglab.utils.errors import UserError

#: Families of packages whose registries know each other.
_SCOPES = {"mmengine", "mmcv", "mmseg", "mmdet", "mmpretrain", "seglab"}
#: Where mmengine's loader would fetch and unpickle; ours fetches in `seglab.utils.weights`.
_REMOTE = [
    *("http://", "https://", "modelzoo://", "torchvision://", "open-mmlab://", "openmmlab://"),
    *("mmcls://", "pavi://", r"(\S+\:)?s3://", r"(\S+\:)?petrel://"),
]
_datafrombytes = mmseg_loading.datafrombytes


def make_safe() -> None:
    """Close what the module's description lists; doing so again changes nothing."""
    registry_module.get_object_from_string = registered_object
    registry_module.import_module = _import_known
    register_handler(["pkl", "pickle"])(_UnreadPickleHandler)
    register_handler(["yaml", "yml"])(_PlainYamlHandler)
    mmengine_checkpoints._safe_torch_load = _load_as_data
    loader = mmengine_checkpoints.CheckpointLoader
    loader.register_scheme("", _load_local, force=True)
    loader.register_scheme(_REMOTE, _refuse_remote, force=True)
    mmseg_loading.datafrombytes = _data_from_bytes
    make_decoding_safe()
    Config.pretty_text = property(python_text)


def registered_object(name: str) -> Any:
    """What is registered under its full name, as mmengine writes classes into a stored config.

    It stands in for mmengine's search among everything that can be imported.

    Args:
        name: Such as `torch.optim.sgd.SGD`.

    Returns:
        The class or function; None where nothing of that name is registered.
    """
    for module in (root_registries, mmseg_registries):
        for registry in vars(module).values():
            if isinstance(registry, Registry):
                for item in registry.module_dict.values():
                    if name == f"{item.__module__}.{getattr(item, '__qualname__', '')}":
                        return item
    return None


def _import_known(name: str) -> Any:
    """Import a registry's module, which a config's `type` or `_scope_` may name."""
    if name.endswith(".registry") and name.partition(".")[0] not in _SCOPES:
        raise ImportError(f"{name} is not imported because a config names it")
    return importlib.import_module(name)


class _UnreadPickleHandler(PickleHandler):
    """mmengine's writer of pickles without its reader; processes exchange results by them."""

    def load_from_fileobj(self, file: Any, **_: Any) -> Any:
        """Refuse."""
        raise UserError(
            f"{getattr(file, 'name', 'a file')} is a pickle: reading one runs what it holds",
            "give the same content as JSON or as text",
        )


class _PlainYamlHandler(BaseFileHandler):
    """YAML of plain values."""

    def load_from_fileobj(self, file: Any, **_: Any) -> Any:
        """Read a document."""
        return yaml.safe_load(file)

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Write a document."""
        yaml.safe_dump(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """A document as text."""
        return str(yaml.safe_dump(obj, **kwargs))


def _load_as_data(file: Any, map_location: Any = "cpu", **_: Any) -> dict[str, Any]:
    """In place of mmengine's reader, which falls back to the unsafe way."""
    if not isinstance(file, str):
        raise UserError("a checkpoint that is not a file on this disk is refused", "download it")
    content = load_checkpoint_file(file, map_location if isinstance(map_location, str) else "cpu")
    meta = content.get("meta")
    if isinstance(meta, dict):
        for key in ("config", "cfg"):  # `Runner.resume` would execute it
            meta.pop(key, None)
    return content


def _load_local(filename: str, map_location: Any) -> dict[str, Any]:
    return _load_as_data(filename, map_location)


def _refuse_remote(filename: str, map_location: Any) -> dict[str, Any]:  # noqa: ARG001
    raise UserError(
        f"{filename} would be fetched and read by mmengine, which checks neither",
        "name the backbone's weights with `pretrained_backbone` or --pretrained FILE (README.md, "
        "Pretrained weights), or download the file and name it",
    )


def _data_from_bytes(content: bytes, backend: str = "numpy") -> Any:
    if backend == "pickle":
        raise UserError(
            "decode_backend='pickle' would run what the data set's files hold",
            "store them as .npy or as NIfTI",
        )
    return _datafrombytes(content, backend)
