"""Find runs by folder or by the hypothesis they test."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglab.analysis.run_folder import Run, raise_all, read_runs, test_command
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json
from seglab.utils.paths import PROJECT_ROOT, resolve_input
from seglab.utils.result_files import CONFIG_JSON, METRICS_FILE, RUN_FILE
from seglab.utils.run_files import run_hypothesis, run_seed, session_began

#: Where `train` puts runs.
EXPERIMENTS = PROJECT_ROOT / "experiments"


@dataclass(frozen=True)
class _Candidate:
    """A run folder found under the experiments, read no further than necessary."""

    folder: Path
    id: str
    seed: int | None
    began: float
    tested: bool


def find_runs(
    names: Sequence[str | Path],
    split: str,
    experiments: str | Path = EXPERIMENTS,
    every_seed: bool = False,
) -> list[Run]:
    """Read the runs that are named.

    Args:
        names: Run folders, folders that hold runs (`experiments/CONFIG`), or hypothesis ids. Of
            several runs the newest that was tested on the split is taken.
        split: 'val' or 'test'.
        experiments: Where ids are looked up, in all folders below.
        every_seed: Take the newest run of every training seed, not only the newest run.

    Returns:
        The runs in the order of their names; those of one name by seed.

    Raises:
        UserError: A name is unknown, or a run cannot be read; lists every fault.
    """
    root = resolve_input(experiments)
    known: list[_Candidate] | None = None
    folders: list[Path] = []
    faults: list[UserError] = []
    for name in names:
        path = resolve_input(name)
        if (path / CONFIG_JSON).is_file():
            folders.append(path)
            continue
        found = list(_candidates(path, split)) if path.is_dir() else []
        if not found:
            known = list(_candidates(root, split)) if known is None else known
            found = [candidate for candidate in known if candidate.id == str(name)]
        try:
            if not found and path.is_file():
                raise UserError(f"{path} is a file, not a run's folder", "name the folder only")
            if not found:
                raise _unknown(str(name), known or [], root)
            folders += _choose(str(name), split, found, every_seed)
        except UserError as error:
            faults.append(error)
    unique = dict.fromkeys(folder.resolve() for folder in folders)
    runs = read_runs(unique, split, faults)
    raise_all(faults, "the runs cannot be read")
    return runs


def newest_runs(folders: Iterable[Path], split: str, ids: Iterable[str]) -> list[Path]:
    """The newest tested run of every seed of some hypotheses.

    Args:
        folders: They, and all folders below them, are looked through.
        split: 'val' or 'test'.
        ids: The hypotheses.

    Returns:
        The run folders in the order of `ids`, of each by seed; empty where none was tested.
    """
    known = [run for folder in folders for run in _candidates(folder, split) if run.tested]
    found: list[Path] = []
    for name in ids:
        chosen = [run for run in known if run.id == name]
        found += _choose(name, split, chosen, every_seed=True) if chosen else []
    return found


def _candidates(root: Path, split: str) -> Iterator[_Candidate]:
    """The runs below a folder, in the order of their paths; without a config there is no run."""
    for path in sorted(root.rglob(CONFIG_JSON)):
        folder = path.parent
        config = _read(path)
        if not (folder / RUN_FILE).is_file() or not config:
            continue
        record = _read(folder / RUN_FILE)
        try:
            name = run_hypothesis(config, record, folder).id
        except UserError:
            continue  # whoever names the folder hears of it
        tested = (folder / f"test_{split}" / METRICS_FILE).is_file()
        yield _Candidate(folder, name, run_seed(config, record), _began(record), tested)


def _read(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where it is damaged: `load_runs` says how."""
    try:
        content = read_json(path)
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}


def _began(record: Mapping[str, Any]) -> float:
    """When a run's last session began, in seconds.

    A record that does not say counts as the newest: an older run must not be taken silently in
    the place of a damaged one.
    """
    began = session_began(record)
    return math.inf if began is None else began


def _choose(name: str, split: str, found: Sequence[_Candidate], every_seed: bool) -> list[Path]:
    """The runs to take of those that a name stands for.

    Raises:
        UserError: None was tested on the split, or they test several hypotheses.
    """
    ids = sorted({candidate.id for candidate in found})
    if len(ids) > 1:
        raise UserError(
            f"{name} holds runs of several hypotheses: {', '.join(ids)}", "name them one by one"
        )
    newest_first = sorted(found, key=lambda run: (-run.began, str(run.folder)))
    tested = [candidate for candidate in newest_first if candidate.tested]
    if not tested:
        newest = newest_first[0]
        raise UserError(
            f"no run of {name} was tested on {split}; the newest is {newest.folder}",
            f"run: {test_command(newest.folder, split)}",
        )
    if not every_seed:
        return [tested[0].folder]
    by_seed: dict[int | None, Path] = {}
    for candidate in tested:
        by_seed.setdefault(candidate.seed, candidate.folder)
    return [by_seed[seed] for seed in sorted(by_seed, key=lambda seed: (seed is None, seed or 0))]


def _unknown(name: str, known: Sequence[_Candidate], experiments: Path) -> UserError:
    """The message for a name that is neither a folder nor an id."""
    ids = sorted({candidate.id for candidate in known})
    if not ids:
        return UserError(
            f"{name} is no run folder, and there is no run under {experiments}",
            "train and test first, or give --experiments",
        )
    near = difflib.get_close_matches(name, ids, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return UserError(
        f"{name} is neither a run folder nor a hypothesis with a run under {experiments}",
        f"{hint}there are: {', '.join(ids)}",
    )
