"""What is known of a run when it begins, as entries of its journal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time as now
from typing import Any

from seglab.utils.clearml_utils import DEFAULT_PROJECT
from seglab.utils.config_keys import EFFECTIVE_KEYS
from seglab.utils.result_files import CONFIG_FILE, CONFIG_JSON, RUN_FILE
from seglab.utils.run_files import (
    dig,
    read_object,
    run_hypothesis,
    run_monitor,
    run_seed,
    run_stamp,
)
from seglab.utils.tracking.git_state import recorded_script, script_entry
from seglab.utils.tracking.journal import Configuration, Entry, Parameters, Script, Start
from seglab.utils.tracking.settings import recorded_environment, without_credentials

_SPLITS = ("train", "val", "test")
#: Top-level keys of a config -> the section in which they are shown.
_SECTIONS = {
    "Model": ("model", "pretrained_backbone", "data_preprocessor", "model_wrapper_cfg"),
    "Optimizer": ("optim_wrapper", "auto_scale_lr"),
    "Schedule": ("param_scheduler", "train_cfg", "val_cfg", "test_cfg"),
    "Data": ("val_evaluator", "test_evaluator"),
}
_ELSEWHERE = {"hypothesis", *(f"{split}_dataloader" for split in _SPLITS)}


@dataclass(frozen=True)
class RunFacts:
    """What a task is named and tagged by.

    Attributes:
        id: The hypothesis's id.
        parent: Id of the hypothesis it changes; None for a baseline.
        config: The config's name.
        seed: The training seed; None if it is not known.
        stamp: What tells the run from others of its hypothesis.
        comment: What the hypothesis asks and changes.
    """

    id: str
    parent: str | None
    config: str
    seed: int | None
    stamp: str
    comment: str = ""


def run_facts(run_folder: Path) -> RunFacts:
    """The facts of a run, from `config.json` and `run.json` in its folder.

    Raises:
        UserError: One of them is missing or damaged.
    """
    return facts_of(
        read_object(run_folder / CONFIG_JSON), read_object(run_folder / RUN_FILE), run_folder
    )


def facts_of(config: Mapping[str, Any], record: Mapping[str, Any], folder: Path) -> RunFacts:
    """The facts of a run from its resolved config and its record.

    Args:
        config: The resolved config as a plain dict.
        record: `run.json`; may be empty for a run that has not begun.
        folder: The run's folder.

    Raises:
        UserError: What the config states is not a hypothesis.
    """
    hypothesis = run_hypothesis(config, record, folder)
    said = {"Question": hypothesis.question, "Change": hypothesis.change}
    comment = "\n".join(f"{name}: {text}" for name, text in said.items() if text)
    name = config.get("hypothesis_name") or record.get("hypothesis") or hypothesis.id
    return RunFacts(
        id=hypothesis.id,
        parent=hypothesis.parent,
        config=str(name),
        seed=run_seed(config, record),
        stamp=run_stamp(folder, record),
        comment=comment,
    )


def start_entry(
    run: Path | RunFacts,
    stamp: str | None = None,
    split: str | None = None,
    project: str = DEFAULT_PROJECT,
    tags: Iterable[str] = (),
    time: float | None = None,
) -> Start:
    """The first entry of a journal: the task's name, type and tags.

    Args:
        run: The run, or the one whose checkpoint is tested: its folder, or its facts.
        stamp: What tells the run from others of its hypothesis; None for `run_stamp`.
        split: The split that is tested; None for a training.
        project: ClearML's project.
        tags: Further tags.
        time: When, in seconds since 1970; None for now.

    Raises:
        UserError: A file of the run is missing or damaged.
    """
    facts = run_facts(run) if isinstance(run, Path) else run
    given = ["seglab", facts.id, facts.config]
    given += [f"parent:{facts.parent}"] if facts.parent else []
    given += [f"seed:{facts.seed}"] if facts.seed is not None else []
    given += [f"split:{split}"] if split else []
    return Start(
        project=project,
        name=f"{facts.id} {stamp or facts.stamp}" + (f" test {split}" if split else ""),
        task_type="testing" if split else "training",
        tags=tuple(dict.fromkeys([*given, *tags])),
        comment=facts.comment,
        time=now() if time is None else time,
    )


def run_entries(run_folder: Path, here: bool = True) -> list[Entry]:
    """Hyper-parameters, config and code of a run whose record was begun.

    Credentials in URLs and options are taken out; of the environment no variable is recorded but
    those of an allow-list (`seglab.utils.tracking.settings.recorded_environment`).

    Args:
        run_folder: The run's folder, with `run.json`, `config.json` and `config.py`.
        here: This process makes the run: its environment, and the checkout as it is now, are
            the run's. Else only what the record says is used.

    Raises:
        UserError: A file is missing or damaged.
    """
    record = read_object(run_folder / RUN_FILE)
    config = read_object(run_folder / CONFIG_JSON)
    sections = {
        **config_sections(config),
        "Run": _run_section(config, record),
        "Data hashes": _mapping(record.get("data")),
        "Environment": environment_section(record.get("environment"), here),
    }
    entries: list[Entry] = [
        Parameters(name, clean(values)) for name, values in sections.items() if values
    ]
    source = run_folder / CONFIG_FILE
    if source.is_file():
        text = source.read_text(encoding="utf-8", errors="replace")
        entries.append(Configuration("config", without_credentials(text)))
    revision = dig(record, "environment", "git_revision")
    entries.append(code_entry("train", _last_command(record), revision, here))
    return entries


def config_sections(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A resolved config as sections a person can read; nothing that takes effect is left out.

    Args:
        config: As `config.json` holds it.

    Returns:
        Section -> values: Model, Loss, Optimizer, Schedule, Data, Augmentation, Hypothesis, and
        Runtime with all the rest that takes effect.
    """
    sections = {
        name: {key: config[key] for key in keys if key in config}
        for name, keys in _SECTIONS.items()
    }
    model, losses = _without_losses(_mapping(config.get("model")))
    sections["Model"] = {**model, **{k: v for k, v in sections["Model"].items() if k != "model"}}
    sections["Loss"] = losses
    for split in _SPLITS:
        loader, pipeline = _without_pipeline(config.get(f"{split}_dataloader"))
        if loader:
            sections["Data"][split] = loader
        if pipeline:
            sections.setdefault("Augmentation", {})[split] = pipeline
    sections["Hypothesis"] = _mapping(config.get("hypothesis"))
    shown = {key for keys in _SECTIONS.values() for key in keys} | _ELSEWHERE
    sections["Runtime"] = {
        key: value for key, value in config.items() if key in EFFECTIVE_KEYS - shown
    }
    return {name: _readable(values) for name, values in sections.items() if values}


def environment_section(environment: Any, here: bool) -> dict[str, Any]:
    """Versions and machine as recorded, and of a run of this process the allowed variables."""
    section = _mapping(environment)
    if here:
        section["variables"] = recorded_environment(os.environ)
    return section


def code_entry(tool: str, command: Sequence[str], revision: Any, here: bool) -> Script:
    """The code of a run: the checkout as it is, or what the record says of it."""
    if here:
        return script_entry(tool, command)
    return recorded_script(tool, command, revision if isinstance(revision, str) else None)


def command_line(command: Any) -> str:
    """A recorded command as one line without credentials; empty if none was recorded."""
    words = [str(word) for word in command] if isinstance(command, list) else []
    return without_credentials(" ".join(words))


def clean(value: Any) -> Any:
    """Nested data with the credentials in every text of it taken out."""
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return without_credentials(value) if isinstance(value, str) else value


def _mapping(value: Any) -> dict[str, Any]:
    """A part of a file that should be a dict; empty where it is none."""
    return dict(value) if isinstance(value, Mapping) else {}


def _run_section(config: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("config_file", "parameters", "from_scratch", "pretrained_backbone", "load_from")
    return {
        "seed": run_seed(config, record),
        "monitor": run_monitor(config, record),
        "device": dig(_last_session(record), "device"),
        **{key: record[key] for key in keys if key in record},
        "command": command_line(_last_command(record)),
    }


def _last_session(record: Mapping[str, Any]) -> Any:
    sessions = record.get("sessions")
    return sessions[-1] if isinstance(sessions, list) and sessions else {}


def _last_command(record: Mapping[str, Any]) -> list[str]:
    command = dig(_last_session(record), "command")
    return [str(word) for word in command] if isinstance(command, list) else []


def _without_losses(model: Any, place: str = "") -> tuple[Any, dict[str, Any]]:
    """A model's config without its losses, and these by the place they are in."""
    if isinstance(model, list):
        parts = [_without_losses(item, f"{place}{i}.") for i, item in enumerate(model)]
        return [part for part, _ in parts], {k: v for _, found in parts for k, v in found.items()}
    if not isinstance(model, Mapping):
        return model, {}
    kept: dict[str, Any] = {}
    losses: dict[str, Any] = {}
    for key, value in model.items():
        if key.startswith("loss"):
            losses[f"{place}{key}"] = value
        else:
            kept[key], found = _without_losses(value, f"{place}{key}.")
            losses |= found
    return kept, losses


def _without_pipeline(loader: Any) -> tuple[Any, list[Any]]:
    """A dataloader without its data set's transforms, and these."""
    dataset = dig(loader, "dataset")
    if not isinstance(dataset, Mapping):
        return loader, []
    pipeline = dataset.get("pipeline")
    kept = {key: value for key, value in dataset.items() if key != "pipeline"}
    return {**loader, "dataset": kept}, pipeline if isinstance(pipeline, list) else []


def _readable(value: Any) -> Any:
    """Lists of modules as dicts whose keys say order and type: ClearML shows a list as a text."""
    if isinstance(value, Mapping):
        return {str(key): _readable(item) for key, item in value.items()}
    if not isinstance(value, list | tuple):
        return value
    items = [_readable(item) for item in value]
    if not items or not all(isinstance(item, dict) and "type" in item for item in items):
        return items
    return {f"{number} {item['type']}": item for number, item in enumerate(items, start=1)}
