"""Where a config that is data may have files written: nowhere but in the run's folder.

A Python config is code, and may name what it likes. A `config.json` of a stranger must not decide
where the hooks and backends of a training write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seglab.utils.config_data import DATA_SUFFIXES
from seglab.utils.errors import raise_faults
from seglab.utils.paths import PROJECT_ROOT, shown_name

_WORK_DIR = "work_dir"
#: Arguments of mmengine's and mmseg's hooks, backends and metrics that name files to write.
_OUTPUTS = frozenset(
    {"out_dir", "save_dir", "img_save_dir", "config_save_file", "scalar_save_file", "output_dir",
     "json_trace_path", "on_trace_ready", "out_file_path", "result_path", "collect_dir"}
)  # fmt: skip


def require_own_outputs(config: Config, typed: Sequence[str] = (), named: bool = True) -> None:
    """Make sure that a config which is no Python has nothing written elsewhere.

    Args:
        config: From `load_config`.
        typed: `--cfg-options` of the command line: what a person types there is theirs to choose.
        named: Whether the command line names the run's folder, which a config names otherwise.

    Raises:
        UserError: It names places to write to; lists all of them.
    """
    file = Path(config.filename or "")
    if file.suffix not in DATA_SUFFIXES:
        return
    keys = {option.partition("=")[0].lstrip("+") for option in typed}
    found = [place for place in _outputs(config.to_dict()) if not _is_typed(place[0], keys)]
    work_dir = config.get(_WORK_DIR)
    if work_dir and not named and _WORK_DIR not in keys and not _is_ours(work_dir, file):
        found.append((_WORK_DIR, work_dir))
    raise_faults(
        f"config {file} is no Python, and says where files are to be written",
        [f"{key}: {shown_name(str(value))}" for key, value in found],
        "remove these, or name each yourself: --work-dir DIR, --cfg-options KEY=PATH",
    )


def _outputs(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in a config that names a place to write to."""
    items: Iterable[tuple[Any, Any]] = node.items() if isinstance(node, dict) else ()
    items = enumerate(node) if isinstance(node, list | tuple) else items
    for key, value in items:
        if key in _OUTPUTS and value:
            yield f"{prefix}{key}", value
        else:
            yield from _outputs(value, f"{prefix}{key}.")


def _is_typed(key: str, typed: set[str]) -> bool:
    return any(key == each or key.startswith(f"{each}.") for each in typed)


def _is_ours(work_dir: Any, file: Path) -> bool:
    """Whether a run's folder is the one that the config lies in, or among the project's runs."""
    try:
        place = Path(str(work_dir)).resolve()
        runs = (PROJECT_ROOT / "experiments").resolve()
        return place == file.resolve().parent or (place != runs and place.is_relative_to(runs))
    except (OSError, RuntimeError, ValueError):
        return False
