"""Load a config, apply what the command line says, and say clearly what is wrong with either.

A Python config is code: loading one runs it, as in mmengine. Load only configs you trust. A JSON
or YAML config is data (`seglab.utils.config_data`).
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.config import utils as mmengine_config_utils

from seglab.utils.config_data import DATA_SUFFIXES, read_config_data
from seglab.utils.config_keys import EFFECTIVE_KEYS
from seglab.utils.errors import UserError
from seglab.utils.hypothesis import stated_hypothesis
from seglab.utils.paths import PROJECT_ROOT, resolve_input, shown_name

# mmengine looks `mmseg::...` bases up under the name of the old distribution.
mmengine_config_utils.MODULE2PACKAGE["mmseg"] = "mmseg"

SPLITS = ("train", "val", "test")
_PRETRAINED = "Pretrained"
#: Bytes of a class's name; it becomes part of file names, which have 255.
_LONGEST_CLASS = 100


def load_config(
    path: str | Path,
    overrides: Sequence[str] = (),
    data_root: str | Path | None = None,
) -> Config:
    """Load an mmengine config and apply overrides.

    Args:
        path: The config, from the current folder or from the project's root.
        overrides: `key=value` items of `--cfg-options`; the key must exist (the nearest one is
            suggested), `+key=value` adds a new one. Values are Python literals or words.
        data_root: Replaces the data root of every data set of the config.

    Returns:
        The config with paths made absolute, and with the hypothesis that this file states.

    Raises:
        UserError: The file is missing or broken, or an override does not fit.
    """
    file = resolve_input(path)
    config = _parse(file)
    name = str(config.get("hypothesis_name", file.stem))
    config.hypothesis = stated_hypothesis(file, name, config.get("hypothesis")).to_dict()
    for override in overrides:
        _apply_override(config, override)
    _set_data_roots(config, data_root)
    return config


@contextmanager
def building(config: Config) -> Iterator[None]:
    """Say that the config is wrong when what it describes cannot be built.

    Raises:
        UserError: In place of what mmengine raised, with its first line.
    """
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # constructors of other people raise anything
        first_line = next(iter(str(error).splitlines()), "")
        raise UserError(
            f"config {config.filename} does not build: {type(error).__name__}: {first_line[:300]}",
            "correct the type or argument it names; --debug shows where",
        ) from error


def _parse(path: Path) -> Config:
    if not path.is_file():
        known = sorted((PROJECT_ROOT / "configs").glob("*.py"))
        near = difflib.get_close_matches(path.name, [item.name for item in known], n=3, cutoff=0.4)
        shown = near or [item.name for item in known]
        raise UserError(
            f"config not found: {path}", "take one of: " + ", ".join(f"configs/{n}" for n in shown)
        )
    if path.suffix not in {".py", *DATA_SUFFIXES}:
        raise UserError(f"{path} is not a config", "give a .py, .json or .yaml config")
    try:
        if path.suffix in DATA_SUFFIXES:
            return Config(read_config_data(path), filename=str(path))
        # Modules that a config asks for are imported later, by the trainer: that takes seconds.
        return Config.fromfile(path, import_custom_modules=False)
    except UserError:
        raise
    except Exception as error:  # a config is code and may fail in any way
        first_line = next(iter(str(error).splitlines()), "")
        raise UserError(
            f"config {path} cannot be read: {type(error).__name__}: {first_line}",
            "mend the config; `python PATH` or --debug shows the line",
        ) from error


def _flat_keys(node: Any, prefix: str = "") -> Iterator[str]:
    items: Any = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list | tuple):
        items = enumerate(node)
    for key, value in items:
        yield f"{prefix}{key}"
        yield from _flat_keys(value, f"{prefix}{key}.")


def parse_value(text: str) -> Any:
    """A value typed on the command line: a Python literal, true/false/none, else the word."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        if text.startswith(("[", "(", "{", "dict(")):
            raise UserError(
                f"--cfg-options: {text!r} is not a Python literal",
                "quote the words in it: \"['a', 'b']\" or \"{'type': 'SGD', 'lr': 0.1}\"",
            ) from error
        return text


def require_key(content: Any, key: str, option: str, way_out: str = "") -> None:
    """Make sure that a config has a dotted key, or suggest the nearest.

    Args:
        content: The config, as nested dicts and lists.
        key: Such as `param_scheduler.0.eta_min`.
        option: What named it, for the message.
        way_out: What else to do.

    Raises:
        UserError: It has no such key.
    """
    known = list(_flat_keys(content))
    if key in known:
        return
    # A mistyped last part is likelier than a mistyped path: prefer keys of the same end.
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    near = near or [item for item in known if item.endswith("." + key.rsplit(".", 1)[-1])][:3]
    hint = f"did you mean {' or '.join(near)}?" if near else "see `seglab show-config`"
    raise UserError(f"{option}: the config has no key {key!r}", f"{hint}{way_out}")


def _apply_override(config: Config, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip("+ "):
        raise UserError(
            f"--cfg-options {override!r} is not key=value", "write, e.g., train_cfg.max_epochs=5"
        )
    new = key.startswith("+")
    key = key.lstrip("+")
    if not new:
        require_key(config._cfg_dict, key, "--cfg-options", f"; +{key}=... adds a new key")
    if not new and "." not in key and key not in EFFECTIVE_KEYS:
        place = "--data-root" if key == "data_root" else "the key it was put into"
        raise UserError(
            f"--cfg-options: {key!r} is only a variable of the config file; by now its value "
            "stands elsewhere and changing it would do nothing",
            f"set {place} instead, e.g. train_dataloader.dataset.mask_dir or "
            "model.decode_head.loss_decode.class_weight",
        )
    try:
        config.merge_from_dict({key: parse_value(text)}, allow_list_keys=True)
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"--cfg-options {override!r} does not fit the config: {error}", "check the key"
        ) from error


def _dataset_nodes(node: Any) -> Iterator[ConfigDict]:
    """Every data set of a dataloader's `dataset`, wrappers opened."""
    if isinstance(node, dict):
        if "data_root" in node:
            yield node
        for key in ("dataset", "datasets"):
            yield from _dataset_nodes(node.get(key))
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _dataset_nodes(item)


def _set_data_roots(config: Config, data_root: str | Path | None) -> None:
    """Put the data root of the command line, made absolute, into every data set."""
    for split in SPLITS:
        loader = config.get(f"{split}_dataloader")
        for node in _dataset_nodes(loader):
            root = data_root or node["data_root"]
            if not isinstance(root, str | Path):
                raise UserError(
                    f"{split}_dataloader: data_root is {root!r}, not a folder", "use --data-root"
                )
            node["data_root"] = str(resolve_input(root).absolute())
    if "data_root" in config and (data_root or isinstance(config.data_root, str | Path)):
        config.data_root = str(resolve_input(data_root or config.data_root).absolute())


def take_pretrained(config: Config) -> str | None:
    """Move the backbone's pretrained weights out of the model, into `pretrained_backbone`.

    mmseg names them in three places, loads them by unpickling, and ignores weights that do not
    match. The trainer loads them itself, verified (`seglab.utils.weights`).

    Returns:
        The path, name or URL of the weights; None if the model starts from random weights.

    Raises:
        UserError: The config's model or its backbone is no dict.
    """
    model = config.get("model", {})
    backbone = (model.get("backbone") or {}) if isinstance(model, dict) else {}
    found = config.get("pretrained_backbone")
    for name, node in (("model", model), ("model.backbone", backbone)):
        if not isinstance(node, dict):
            raise UserError(
                f"config {config.filename}: {name} is {node!r}", f"make it a dict: {name}.type=..."
            )
        if node.get("pretrained"):
            found = node["pretrained"]
        if "pretrained" in node:
            node["pretrained"] = None
    init = backbone.get("init_cfg")
    if isinstance(init, dict) and init.get("type") == _PRETRAINED:
        found = init["checkpoint"]
        backbone["init_cfg"] = None
    config.pretrained_backbone = found
    return str(found) if found else None


def dataset_metainfo(config: Config) -> dict[str, Any]:
    """The `metainfo` (classes, palette) that the config's data sets declare.

    Raises:
        UserError: No data set of the config declares its classes.
    """
    for split in SPLITS:
        for node in _dataset_nodes(config.get(f"{split}_dataloader")):
            metainfo = dict(node.get("metainfo") or {})
            if metainfo.get("classes"):
                _require_shown(metainfo["classes"], config)
                return metainfo
    raise UserError(
        f"config {config.filename} names no classes",
        "add metainfo=dict(classes=(...), palette=[...]) to its data sets",
    )


def _require_shown(classes: Any, config: Config) -> None:
    """Refuse names of classes that no terminal, table or file's name can show."""
    names = classes if isinstance(classes, list | tuple) else [classes]
    wrong = [
        name
        for name in map(str, names)
        if not name.isprintable() or len(name.encode()) > _LONGEST_CLASS
    ]
    if wrong:
        raise UserError(
            f"config {config.filename} names classes that cannot be shown, or are longer than "
            f"{_LONGEST_CLASS} bytes: {', '.join(map(shown_name, wrong[:5]))}",
            "give short names of printable characters in metainfo.classes",
        )


def class_names(config: Config) -> tuple[str, ...]:
    """The class names, in the order of their label values; see `dataset_metainfo`."""
    return tuple(dataset_metainfo(config)["classes"])
