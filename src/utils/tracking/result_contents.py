"""What a training leaves in its folder, as entries of its journal."""

from __future__ import annotations

import json
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import time as now
from typing import Any

from seglab.utils.io_utils import sha256_file
from seglab.utils.result_files import (
    CONFIG_FILE,
    CONFIG_JSON,
    CURVES_FILE,
    HISTORY_FILE,
    RUN_FILE,
)
from seglab.utils.run_files import (
    best_checkpoint_file,
    counts_epochs,
    finite,
    load_history,
    read_object,
    run_monitor,
)
from seglab.utils.tracking.journal import (
    Artifact,
    Entry,
    Image,
    Scalar,
    SingleValue,
    Table,
    Text,
)
from seglab.utils.tracking.run_clock import run_clock, session_folders, training_records
from seglab.utils.tracking.scalars import (
    VALIDATION,
    epoch_scalars,
    logged_scalars,
    validation_scalars,
)
from seglab.utils.tracking.settings import without_credentials
from seglab.utils.zip_files import refuse_bombs

#: Figures of a class, in the order in which tables show them.
CLASS_FIGURES = ("Dice", "IoU", "Acc", "Precision", "Recall", "BoundaryIoU", "NSD", "HD95")
_TEXT_SUFFIXES = (".json", ".jsonl", ".py", ".log", ".csv", ".md")


def history_entries(run_folder: Path) -> list[Scalar]:
    """Every point of a run's curves, in the order of time.

    Titles, series and steps are those under which a live training tracks the same figures
    (`seglab.utils.tracking.scalars`). The training's steps come from mmengine's `STAMP/vis_data`,
    where that was kept. Times are interpolated, see `run_clock`.

    Args:
        run_folder: The run's folder, with `run.json` and `history.jsonl`.

    Raises:
        UserError: One of them is missing or damaged.
    """
    history = load_history(run_folder)
    record = read_object(run_folder / RUN_FILE)
    clock = run_clock(run_folder, record, history)
    points: dict[tuple[str, str, int], Scalar] = {}

    def keep(found: list[Scalar]) -> None:
        # A resumed run repeats the steps that a kill had lost: the later ones hold.
        points.update({(point.title, point.series, point.step): point for point in found})

    # A validation logs its epoch, not the step: it is the epoch's last.
    ends = {
        epoch["epoch"]: epoch["iter"]
        for epoch in history
        if isinstance(epoch.get("epoch"), int) and isinstance(epoch.get("iter"), int)
    }
    in_epochs = _in_epochs(run_folder)
    validated = ends.keys() if in_epochs else set(ends.values())
    for session in session_folders(run_folder):
        for logged in training_records(session):
            step = logged["step"]
            if "iter" in logged:
                keep(logged_scalars(logged, step, clock.at(step)))
            elif step in validated:  # else the logger counted otherwise, the history tells it
                keep(logged_scalars(logged, step, clock.at(ends[step] if in_epochs else step)))
    for epoch in history:
        number, iteration = epoch.get("epoch"), epoch.get("iter")
        if not isinstance(number, int) or not isinstance(iteration, int):
            continue
        time = clock.at(iteration)
        keep(epoch_scalars(epoch, number, time))
        keep(validation_scalars(epoch, number if in_epochs else iteration, time))
    return sorted(points.values(), key=lambda point: (point.time, point.step))


def training_results(run_folder: Path, time: float | None = None) -> list[Entry]:
    """What a training that has ended adds: the best epoch, the curves, the files.

    Args:
        run_folder: The run's folder.
        time: When, in seconds since 1970; None for now.

    Returns:
        Entries whose files are relative to the run's folder. A text file that holds what looks
        like a credential is left out, and a line of text says so.

    Raises:
        UserError: `run.json` or the history is missing or damaged.
    """
    time = now() if time is None else time
    record = read_object(run_folder / RUN_FILE)
    config_file = run_folder / CONFIG_JSON
    config = read_object(config_file) if config_file.is_file() else {}
    monitor = run_monitor(config, record)
    best = record.get("best")
    best = best if isinstance(best, Mapping) else {}
    entries: list[Entry] = [*_best_values(best, monitor, record, time)]
    number = best.get("epoch")
    if isinstance(number, int):
        table = class_table(best, number, "best epoch", "per class", _prefix(config), time)
        entries += [table] if table.rows else []
    if (run_folder / CURVES_FILE).is_file():
        epochs = record.get("epochs")
        step = epochs if isinstance(epochs, int) else 0
        entries.append(Image("training curves", "history", step, CURVES_FILE, time=time))
    checkpoint = best_checkpoint_file(run_folder, monitor)
    if checkpoint is not None and _holds_credential(checkpoint):
        entries.append(_not_uploaded(checkpoint.name, time))
    elif checkpoint is not None:
        entries.append(_checkpoint(checkpoint, best, monitor, time))
        facts = checkpoint.with_suffix(".json").name  # none beside a .pth of earlier versions
        entries += file_entries(run_folder, [facts], time)
    names = [RUN_FILE, CONFIG_FILE, CONFIG_JSON, HISTORY_FILE]
    logs = [path for session in session_folders(run_folder) for path in session.glob("*.log")]
    names += [path.relative_to(run_folder).as_posix() for path in sorted(logs)]
    entries += file_entries(run_folder, names, time)
    return entries


def class_table(
    figures: Mapping[str, Any],
    step: int,
    title: str,
    series: str,
    prefix: str,
    time: float,
) -> Table:
    """The figures of each class as a table, with a last row of the means.

    Args:
        figures: Key -> figure, such as `val/Dice/dog`.
        step: Iteration or epoch of the table.
        title: The table's title.
        series: The table's name below it.
        prefix: What stands before each key, such as `val/`.
        time: When, in seconds since 1970.

    Returns:
        A column for each figure that there is; without rows where there is none.
    """
    names: dict[str, None] = {}
    columns: dict[str, None] = {}
    for key in figures:
        family, slash, name = key.removeprefix(prefix).partition("/")
        if key.startswith(prefix) and slash and family in CLASS_FIGURES:
            names[name] = columns[family] = None
    shown = [family for family in CLASS_FIGURES if family in columns]
    rows: list[tuple[Any, ...]] = [
        (name, *(figures.get(f"{prefix}{family}/{name}") for family in shown)) for name in names
    ]
    if rows:
        rows.append(("mean", *(figures.get(f"{prefix}m{family}") for family in shown)))
    return Table(title, series, step, ("class", *shown), tuple(rows), time=time)


def file_entries(base: Path, names: list[str], time: float) -> Iterator[Entry]:
    """Those of the files that are there, as artifacts; none with a credential in it.

    Args:
        base: The folder to which the names are relative.
        names: POSIX paths.
        time: When, in seconds since 1970.
    """
    for name in names:
        path = base / name
        if not path.is_file():
            continue
        if _holds_credential(path):
            yield _not_uploaded(name, time)
            continue
        yield Artifact(Path(name).name, name, {}, time=time)


def _not_uploaded(name: str, time: float) -> Text:
    return Text(f"{name} is not uploaded: it holds what looks like a credential", time=time)


def _holds_credential(path: Path) -> bool:
    if path.suffix == ".pth":
        return any(without_credentials(text) != text for text in _checkpoint_texts(path))
    if path.suffix not in _TEXT_SUFFIXES:
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    if without_credentials(text) != text:
        return True
    # A command is stored word by word, the option apart from its value.
    lines = [" ".join(words) for words in _lists_of_words(text)] if path.suffix == ".json" else []
    return any(without_credentials(line) != line for line in lines)


def _checkpoint_texts(path: Path) -> Iterator[str]:
    """Every text in a checkpoint, the whole config among them; nothing is loaded or executed."""
    with suppress(OSError, ValueError, zipfile.BadZipFile):
        refuse_bombs(path)
        with zipfile.ZipFile(path) as packed:
            for name in packed.namelist():
                if name.endswith("data.pkl"):
                    operations = pickletools.genops(packed.read(name))
                    yield from (text for _, text, _ in operations if isinstance(text, str))


def _lists_of_words(text: str) -> Iterator[list[str]]:
    """Every list of a JSON text that holds nothing but strings."""
    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):  # damaged: there is nothing to tell words by
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list):
            if all(isinstance(item, str) for item in node):
                yield node
            waiting += node


def _best_values(
    best: Mapping[str, Any], monitor: str, record: Mapping[str, Any], time: float
) -> Iterator[SingleValue]:
    seconds = finite(record.get("seconds"))
    values = {
        f"best {monitor}": best.get(monitor),
        "best epoch": best.get("epoch"),
        "epochs": record.get("epochs"),
        "minutes": None if seconds is None else seconds / 60,
    }
    for name, value in values.items():
        if (number := finite(value)) is not None:
            yield SingleValue(name, number, time=time)


def _checkpoint(path: Path, best: Mapping[str, Any], monitor: str, time: float) -> Artifact:
    metadata = {
        "epoch": str(best.get("epoch", "")),
        monitor: str(best.get(monitor, "")),
        "sha256": sha256_file(path),
    }
    return Artifact("best checkpoint", path.name, metadata, time=time)


def _prefix(config: Mapping[str, Any]) -> str:
    """What the validation puts before each key: `val/` unless the config says otherwise."""
    evaluators = config.get("val_evaluator")
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if isinstance(evaluator, Mapping) and "prefix" in evaluator:
            return f"{evaluator['prefix']}/" if evaluator["prefix"] else ""
    return VALIDATION


def _in_epochs(run_folder: Path) -> bool:
    path = run_folder / CONFIG_JSON
    return counts_epochs(read_object(path) if path.is_file() else {})
