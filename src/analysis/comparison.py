"""Compare tested runs: figures with intervals, differences with tests, verdicts."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tqdm import tqdm

from seglab.analysis.comparability import (
    comparison_notes,
    differences_in_data,
    group_runs,
    require_same_classes,
)
from seglab.analysis.multiplicity import adjust_family
from seglab.analysis.permutation import paired_differences
from seglab.analysis.resampling import (
    RESAMPLES,
    Bootstrap,
    Difference,
    FigureEstimate,
    metric_keys,
)
from seglab.analysis.run_folder import Run
from seglab.analysis.verdict import Verdict, judge_hypothesis
from seglab.utils.config_diff import Change, effective_difference
from seglab.utils.errors import UserError
from seglab.utils.hypothesis import Hypothesis
from seglab.utils.test_utils import IntArray

Family = Literal["confirmatory", "exploratory"]


@dataclass(frozen=True)
class Row:
    """One hypothesis of the table: one run, or several that differ in their seed only.

    Attributes:
        id: The hypothesis's id, unique among the rows.
        hypothesis: Its claim.
        runs: Its runs, by seed; one without `--seeds`.
        estimates: Metric key -> figure (percent, mean over the seeds) with its interval.
    """

    id: str
    hypothesis: Hypothesis
    runs: tuple[Run, ...]
    estimates: Mapping[str, FigureEstimate]


@dataclass(frozen=True)
class Pair:
    """One row against another.

    Attributes:
        before: Id of the parent, or of the reference.
        after: Id of the row that is judged.
        is_parent: Whether `before` is the parent that `after` names. Only then are its
            expectations judged.
        changes: The effective difference of the two configs.
        differences: Metric key -> `after` minus `before` in points; p-values are corrected
            (Holm) within the family of the key. `adjusted_p` is NaN for keys of no family.
        families: Metric key -> 'confirmatory' or 'exploratory'; keys of no family are left out.
        verdict: What follows for the hypothesis of `after`.
    """

    before: str
    after: str
    is_parent: bool
    changes: tuple[Change, ...]
    differences: Mapping[str, Difference]
    families: Mapping[str, Family]
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """Several hypotheses on the same images.

    Attributes:
        split: The split they were scored on.
        classes: The class names.
        sample_ids: The images compared.
        rows: The hypotheses, in the order given.
        pairs: Every row but the reference, each against its parent or else the reference.
        reference: Id of the row that stands in where a parent is not among the rows.
        keys: The figures shown in tables: mDice, mIoU, aAcc, Dice of each class.
        by_seed: Whether a row holds all seeds of its hypothesis (`--seeds`).
        selected: Ids of the rows whose checkpoints were chosen on this very split.
        notes: What else differs between the runs and a reader should know.
        forced: What makes the runs not comparable, where `--force` overruled it; else empty.
        resamples: Resamples of the bootstrap and permutations of the test.
        seed: Seed of both.
        margin: Points that count as no difference for an expectation '='.
    """

    split: str
    classes: tuple[str, ...]
    sample_ids: tuple[str, ...]
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    reference: str
    keys: tuple[str, ...]
    by_seed: bool
    selected: tuple[str, ...]
    notes: tuple[str, ...]
    forced: tuple[str, ...]
    resamples: int
    seed: int
    margin: float

    def row(self, row_id: str) -> Row:
        """The row of an id."""
        return next(row for row in self.rows if row.id == row_id)

    def pair(self, row_id: str) -> Pair | None:
        """The pair in which a row is judged; None for the reference."""
        return next((pair for pair in self.pairs if pair.after == row_id), None)

    def best(self, key: str) -> tuple[str, ...]:
        """Ids of the rows whose figure is highest; several where equal, none without a value."""
        values = {row.id: row.estimates[key].value for row in self.rows}
        values = {name: value for name, value in values.items() if not math.isnan(value)}
        highest = max(values.values(), default=math.nan)
        return tuple(name for name, value in values.items() if value == highest)


def compare(
    runs: Sequence[Run],
    *,
    by_seed: bool = False,
    reference: str | None = None,
    force: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    margin: float = 1.0,
    also: Sequence[str] = (),
) -> Comparison:
    """Compare tested runs.

    Every run is compared with its parent where that is among them, else with the reference. Of
    the p-values, those of the figures that hypotheses speak of (mDice where one names none) are
    the confirmatory family; those of mDice and of each class's Dice besides are the exploratory
    one. Each family is corrected by itself (Holm).

    Args:
        runs: The runs, tested on one split.
        by_seed: Runs of one hypothesis are its training seeds, and one row together.
        reference: Id of the hypothesis that stands in for parents that are not among the runs;
            by default the first one given whose own parent is not among them.
        force: Compare runs that were scored on other images or labels all the same, on the
            samples whose ids they share.
        resamples: Resamples of the bootstrap, and permutations of the test.
        seed: Seed of both.
        margin: Points that count as no difference where '=' is expected.
        also: Further figures to estimate. They are of no family: intervals, no verdicts.

    Returns:
        The comparison.

    Raises:
        UserError: The runs cannot be compared; it lists why.
    """
    groups = group_runs(runs, by_seed)
    require_same_classes(runs)
    differing = differences_in_data(runs)
    if differing and not force:
        raise UserError(
            "the runs were scored on different data and are not comparable:\n  "
            + "\n  ".join(differing),
            "test them again on the same images and labels, or compare all the same with --force",
        )
    reference = _choose_reference(groups, reference)
    plans = _plan_pairs(groups, reference)
    sample_ids = _common_samples(runs)
    classes = runs[0].classes
    keys = ("mDice", "mIoU", "aAcc", *(f"Dice/{name}" for name in classes))
    spoken_of = (key for plan in plans for key in plan.confirmatory)
    tested = tuple(dict.fromkeys([*keys, *also, *spoken_of]))
    bootstrap = Bootstrap(
        [stack_matrices(group, sample_ids) for group in groups.values()],
        classes,
        tested,
        resamples=resamples,
        seed=seed,
    )
    rows = [
        Row(name, group[0].hypothesis, group, {k: bootstrap.figure(index, k) for k in tested})
        for index, (name, group) in enumerate(groups.items())
    ]
    notes = comparison_notes(runs, by_seed) + [note for plan in plans for note in plan.notes]
    return Comparison(
        split=runs[0].split,
        classes=classes,
        sample_ids=sample_ids,
        rows=tuple(rows),
        pairs=_judge(plans, groups, _test_pairs(plans, list(groups), bootstrap, tested), margin),
        reference=reference,
        keys=keys,
        by_seed=by_seed,
        selected=tuple(row.id for row in rows if any(map(_was_selected_here, row.runs))),
        notes=tuple(notes),
        forced=tuple(differing),
        resamples=resamples,
        seed=seed,
        margin=margin,
    )


def _was_selected_here(run: Run) -> bool:
    """Whether the run's checkpoint was chosen on the split it was tested on."""
    return bool(run.metrics["selected_on"] == run.split)


@dataclass(frozen=True)
class _Plan:
    """A pair that is to be compared, and the figures its hypothesis spoke of that can be tested."""

    before: str
    after: str
    is_parent: bool
    confirmatory: tuple[str, ...]
    notes: tuple[str, ...]


def _choose_reference(groups: Mapping[str, Sequence[Run]], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in groups:
            raise UserError(
                f"--reference {wanted} is not among the runs", f"take one of: {', '.join(groups)}"
            )
        return wanted
    roots = (name for name, group in groups.items() if group[0].hypothesis.parent not in groups)
    return next(roots, next(iter(groups)))


def _plan_pairs(groups: Mapping[str, Sequence[Run]], reference: str) -> list[_Plan]:
    plans = []
    for name, group in groups.items():
        parent = group[0].hypothesis.parent
        if parent is not None and parent in groups:
            plans.append(_plan(name, group[0], parent, groups[parent][0]))
        elif name != reference and groups[reference][0].hypothesis.parent != name:
            plans.append(_Plan(reference, name, False, ("mDice",), ()))
    return plans


def _plan(name: str, run: Run, parent: str, parent_run: Run) -> _Plan:
    """A hypothesis against its parent, and which of its expectations can be judged.

    Raises:
        UserError: It expects something of a figure that does not exist.
    """
    expected = run.hypothesis.expects
    testable = [key for key in expected if key in metric_keys(run.classes)]
    notes = []
    for key in (key for key in expected if key not in testable):
        if key not in run.figures or key not in parent_run.figures:
            near = difflib.get_close_matches(key, [*run.figures], n=1, cutoff=0.5)
            raise UserError(
                f"{name} expects a change of {key!r}, which is no figure of {run.folder} and its "
                f"parent {parent_run.folder}",
                (f"did you mean {near[0]!r}? " if near else "")
                + "correct `expects` in the config and in the run's config.json",
            )
        notes.append(
            f"{name} expects {key} to change as {expected[key]!r}: intervals are computed from "
            f"confusion matrices only, so this is not tested (measured {run.figures[key]:.2f}, "
            f"{parent} {parent_run.figures[key]:.2f})."
        )
    return _Plan(parent, name, True, tuple(testable) or ("mDice",), tuple(notes))


def _common_samples(runs: Sequence[Run]) -> tuple[str, ...]:
    """The sample ids that all runs have, sorted.

    Raises:
        UserError: There is none.
    """
    common = set.intersection(*(set(run.results.sample_ids) for run in runs))
    if not common:
        raise UserError(
            "the runs have no image in common: " + ", ".join(str(run.folder) for run in runs),
            "test them on the same split",
        )
    return tuple(sorted(common))


def stack_matrices(group: Sequence[Run], sample_ids: Sequence[str]) -> IntArray:
    """(S, N, C, C) matrices of a hypothesis's S runs on the N samples, in this order."""
    stacked = []
    for run in group:
        place = {name: index for index, name in enumerate(run.results.sample_ids)}
        stacked.append(run.results.matrices[[place[name] for name in sample_ids]])
    return np.stack(stacked)


def _test_pairs(
    plans: Sequence[_Plan], names: Sequence[str], bootstrap: Bootstrap, keys: Sequence[str]
) -> list[tuple[dict[str, Difference], dict[str, Family]]]:
    """The differences of each pair, corrected within their families over all pairs."""
    found: list[dict[str, Difference]] = []
    families: list[dict[str, Family]] = []
    for plan in tqdm(plans, desc="comparing", unit="pair", delay=1.0, leave=False, disable=None):
        before, after = names.index(plan.before), names.index(plan.after)
        found.append(paired_differences(bootstrap, before, after, keys))
        dice = [key for key in keys if key == "mDice" or key.startswith("Dice/")]
        family: dict[str, Family] = dict.fromkeys(dice, "exploratory")
        families.append(family | dict.fromkeys(plan.confirmatory, "confirmatory"))
    for kind in ("confirmatory", "exploratory"):
        members = {
            (index, key): found[index][key]
            for index, family in enumerate(families)
            for key in family
            if family[key] == kind
        }
        for (index, key), difference in adjust_family(members).items():
            found[index][key] = difference
    return list(zip(found, families, strict=True))


def _judge(
    plans: Sequence[_Plan],
    groups: Mapping[str, Sequence[Run]],
    tested: Sequence[tuple[dict[str, Difference], dict[str, Family]]],
    margin: float,
) -> tuple[Pair, ...]:
    pairs = []
    for plan, (differences, families) in zip(plans, tested, strict=True):
        before, after = groups[plan.before][0], groups[plan.after][0]
        pairs.append(
            Pair(
                plan.before,
                plan.after,
                plan.is_parent,
                tuple(effective_difference(before.config, after.config)),
                differences,
                families,
                _verdict(plan, after.hypothesis, differences, margin),
            )
        )
    return tuple(pairs)


def _verdict(
    plan: _Plan, hypothesis: Hypothesis, differences: Mapping[str, Difference], margin: float
) -> Verdict:
    """Judge the expectations against the parent; against another run nothing is judged."""
    if not plan.is_parent:
        why = (
            f"its parent {hypothesis.parent} is not among the runs"
            if hypothesis.parent
            else "it names no parent"
        )
        return Verdict(None, (), f"Not judged: {why}; {plan.before} only stands beside it.")
    return judge_hypothesis(hypothesis.expects, differences, plan.before, margin)
