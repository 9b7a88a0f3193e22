"""Whether runs may be compared, and what else a reader of a comparison should know."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from seglab.analysis.run_folder import Run, raise_all
from seglab.utils.config_diff import effective_difference, format_change
from seglab.utils.errors import UserError
from seglab.utils.run_files import dig

#: Names shown of each kind of difference.
_SHOWN = 10
_HASH_DIGITS = 8


def group_runs(runs: Sequence[Run], by_seed: bool) -> dict[str, tuple[Run, ...]]:
    """The runs of each hypothesis id, in the order of their first run; those of one id by seed.

    Args:
        runs: The runs.
        by_seed: Whether a hypothesis may have several runs.

    Raises:
        UserError: There is no run, or runs of one id are not repetitions that differ in their
            training seed alone; lists every such id.
    """
    if not runs:
        raise UserError("there is no run to compare", "name at least one run")
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.id].append(run)
    faults = [fault for group in groups.values() for fault in _group_faults(group, by_seed)]
    raise_all(faults, "the runs cannot be grouped")
    ordered = {
        name: sorted(group, key=lambda run: (run.seed is None, run.seed or 0))
        for name, group in groups.items()
    }
    return {name: tuple(group) for name, group in ordered.items()}


def _group_faults(group: Sequence[Run], by_seed: bool) -> Iterator[UserError]:
    """Why the runs of one hypothesis are not its training seeds."""
    first = group[0]
    folders = ", ".join(str(run.folder) for run in group)
    if len(group) > 1 and not by_seed:
        yield UserError(
            f"{len(group)} runs of {first.id}: {folders}",
            "add --seeds to take the runs of a hypothesis together, as its training seeds, or "
            "name one of them",
        )
        return
    seeds = [run.seed for run in group]
    if len(set(seeds)) < len(seeds):
        yield UserError(
            f"two runs of {first.id} have the same training seed ({folders}: "
            f"{', '.join(map(str, seeds))}); they say nothing about another seed",
            "name one of them, or train with another --seed",
        )
    for run in group[1:]:
        changes = effective_difference(first.config, run.config)
        if changes:
            shown = "; ".join(format_change(change) for change in changes[:_SHOWN])
            yield UserError(
                f"{run.folder} and {first.folder} are both called {first.id}, but differ in more "
                f"than the seed: {shown}",
                "name the runs that belong together, or give the changed one an id of its own",
            )
        for kind in ("images_sha256", "labels_sha256"):
            if _train_hash(run, kind) != _train_hash(first, kind):
                what = kind.partition("_")[0]
                yield UserError(
                    f"{run.folder} and {first.folder} are both called {first.id}, but were "
                    f"trained on different {what}",
                    "name the runs that belong together",
                )


def require_same_classes(runs: Sequence[Run]) -> None:
    """Refuse runs of different classes: their matrices do not describe the same thing.

    Raises:
        UserError: Lists the classes of each run.
    """
    if len({run.classes for run in runs}) > 1:
        listed = "; ".join(f"{run.label}: {', '.join(run.classes)}" for run in runs)
        raise UserError(
            f"the runs have different classes and cannot be compared ({listed})",
            "compare runs of the same classes; --force does not help here",
        )


def differences_in_data(runs: Sequence[Run]) -> list[str]:
    """What was not alike when the runs were scored: their images, labels, or ignored pixels.

    Args:
        runs: At least one run; each of the others is held against the first.

    Returns:
        One line for each kind of difference, with its first 10 names and how many there are.
    """
    first, lines = runs[0], []
    for run in runs[1:]:
        pair = f"{run.label} ({run.folder.name}) and {first.label} ({first.folder.name})"
        ours, theirs = run.metrics["ignore_index"], first.metrics["ignore_index"]
        if ours != theirs:
            lines.append(f"{pair} ignore different labels: {ours} and {theirs}")
        lines += [f"{pair}: {text}" for text in _file_differences(run, first)]
    return lines


def _file_differences(run: Run, first: Run) -> list[str]:
    ours, theirs = run.file_hashes, first.file_hashes
    common = [name for name in ours if name in theirs]
    kinds = {
        f"images only in {run.label}": [name for name in ours if name not in theirs],
        f"images only in {first.label}": [name for name in theirs if name not in ours],
        "image files that differ": _changed(common, ours, theirs, "image"),
        "label files that differ": _changed(common, ours, theirs, "label"),
    }
    return [f"{len(names)} {kind}: {_first(names)}" for kind, names in kinds.items() if names]


def _changed(
    names: Iterable[str],
    ours: Mapping[str, Mapping[str, Any]],
    theirs: Mapping[str, Mapping[str, Any]],
    kind: str,
) -> list[str]:
    return [name for name in names if ours[name][kind] != theirs[name][kind]]


def _first(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    return f"{shown}, and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def comparison_notes(runs: Sequence[Run], by_seed: bool) -> list[str]:
    """What else differs between the runs: how they were trained, and with what.

    Args:
        runs: The runs compared.
        by_seed: Whether different seeds are meant (`--seeds`).

    Returns:
        Sentences; none where everything is alike.
    """
    notes = [
        f"{run.label}: its training is {run.record.get('status', 'of unknown status')!s}."
        for run in runs
        if run.record.get("status") != "finished"
    ]
    if not by_seed:
        notes += _differing("The training seeds differ", runs, lambda run: run.seed)
    counts = Counter(run.id for run in runs)
    single = [name for name, count in counts.items() if count == 1]
    if single:
        notes.append(
            f"One training run stands for {', '.join(single)}: how much another seed would change "
            "is not in the intervals."
        )
    notes += _differing(
        "mDice and mIoU are means over different numbers of classes, and do not compare",
        runs,
        lambda run: f"{run.figures['classes/mDice']:.0f}",
    )
    notes += _differing("Epochs trained differ", runs, lambda run: run.record.get("epochs"))
    notes += _differing(
        "The training labels differ", runs, lambda run: _train_hash(run, "labels_sha256")
    )
    notes += _differing(
        "The training images differ", runs, lambda run: _train_hash(run, "images_sha256")
    )
    notes += _differing("The code's revisions differ", runs, _revision)
    notes += _differing("The versions of torch differ", runs, _torch_version)
    return notes


def _differing(what: str, runs: Sequence[Run], value: Callable[[Run], object]) -> list[str]:
    """A sentence that says which runs have which value; none where all have the same."""
    groups: dict[object, list[str]] = defaultdict(list)
    for run in runs:
        found = value(run)  # what a damaged record holds may be a list
        groups[found if isinstance(found, int | str | None) else str(found)].append(run.label)
    if len(groups) == 1:
        return []
    parts = (
        f"{', '.join(labels)}: {'unknown' if found is None else found}"
        for found, labels in groups.items()
    )
    return [f"{what} ({'; '.join(parts)})."]


def _train_hash(run: Run, kind: str) -> str | None:
    value = dig(run.record, "data", "train", kind)
    return str(value)[:_HASH_DIGITS] if value else None


def _revision(run: Run) -> str | None:
    revision = dig(run.record, "environment", "git_revision")
    if not revision:
        return None
    commit, plus, changes = str(revision).partition("+")
    return commit[:_HASH_DIGITS] + plus + changes


def _torch_version(run: Run) -> str | None:
    version = dig(run.record, "environment", "packages", "torch")
    return str(version) if version else None
