"""Everything the lab's report says is looked up here: the runs, compared and put into stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seglab.analysis.comparison import Comparison, Pair, Row, compare, stack_matrices
from seglab.analysis.lab.ladder import Ladder, read_ladders
from seglab.analysis.lab.study import StudyConfig, story_places
from seglab.analysis.permutation import paired_differences
from seglab.analysis.resampling import RESAMPLES, Bootstrap, Difference
from seglab.analysis.run_folder import Run, raise_all
from seglab.utils.errors import UserError
from seglab.utils.masks import BACKGROUND
from seglab.utils.test_utils import IntArray, aggregate_metrics, image_mean_metrics

#: The stages as `hypothesis` names them.
BASELINE, IMPROVED, OWN = "baseline", "improved", "own"


@dataclass(frozen=True)
class Constant:
    """What who calls every pixel an object would reach on the same images.

    Attributes:
        figures: Published figure -> percent.
        background: The same of who calls every pixel background.
        leads: Row id -> its figure of the story's key minus the constant's, points.
    """

    figures: Mapping[str, float]
    background: Mapping[str, float]
    leads: Mapping[str, Difference]


@dataclass(frozen=True)
class Story:
    """The study, as its runs tell it.

    Attributes:
        comparison: All runs, those of one hypothesis together, in the order of the story.
        key: The figure the study is about: the IoU of its object class.
        stages: Row id -> stage.
        study: The configs of the study.
        ladders: Row id -> its scores between the honest and the lab's; without the rows of which
            a run was not scored the lab's way.
        constant: Everything called an object.
        beside: The improved networks of one's own, each against the improved form of the one
            that its parent is compared with.
    """

    comparison: Comparison
    key: str
    stages: Mapping[str, str]
    study: tuple[StudyConfig, ...]
    ladders: Mapping[str, Ladder]
    constant: Constant
    beside: tuple[Pair, ...]

    @property
    def object_class(self) -> str:
        """The name of the class that is not background."""
        return self.comparison.classes[BACKGROUND + 1]

    def rows(self, stage: str) -> list[Row]:
        """The rows of a stage, in the order of the story."""
        return [row for row in self.comparison.rows if self.stages[row.id] == stage]

    def pair_of(self, row_id: str) -> Pair | None:
        """A row against its parent; None where that is not among the runs."""
        pair = self.comparison.pair(row_id)
        return pair if pair is not None and pair.is_parent else None

    def without_run(self) -> list[StudyConfig]:
        """The configs of the study that no run here tests."""
        return [config for config in self.study if config.hypothesis.id not in self.stages]


def tell_story(
    runs: Sequence[Run],
    study: Sequence[StudyConfig] = (),
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    margin: float = 1.0,
) -> Story:
    """Put runs into the stages of the study, and compare them.

    Args:
        runs: Tested on one split, of two classes. A run whose config names no stage has that of
            the study's config with its id.
        study: The configs of the study.
        resamples: Resamples of the bootstrap, and permutations of the test.
        seed: Seed of both.
        margin: Points that count as no difference where '=' is expected.

    Raises:
        UserError: The runs are no part of the study, or cannot be compared; lists every fault.
    """
    _require_binary(runs)
    runs = _staged(runs, study)
    places = story_places([run.hypothesis for run in runs])
    runs = sorted(runs, key=lambda run: places[run.id])
    key = f"IoU/{runs[0].classes[BACKGROUND + 1]}"
    comparison = compare(
        runs, by_seed=True, resamples=resamples, seed=seed, margin=margin, also=(key,)
    )
    stages = {run.id: str(run.hypothesis.stage) for run in runs}
    return Story(
        comparison,
        key,
        stages,
        tuple(study),
        read_ladders({row.id: row.runs for row in comparison.rows}),
        _constant(comparison, key, [name for name, stage in stages.items() if stage == OWN]),
        tuple(_beside(comparison, stages, key)),
    )


def _require_binary(runs: Sequence[Run]) -> None:
    faults = [
        UserError(
            f"{run.folder} has {len(run.classes)} classes ({', '.join(run.classes)}): the lab's "
            "study is about an object and its background",
            "name runs of configs with two classes; `seglab report` takes any",
        )
        for run in runs
        if len(run.classes) != BACKGROUND + 2
    ]
    raise_all(faults, "the runs are not of the lab's study")


def _staged(runs: Sequence[Run], study: Sequence[StudyConfig]) -> list[Run]:
    """The runs, each with a stage.

    Raises:
        UserError: Some have none.
    """
    known = {config.hypothesis.id: config.hypothesis.stage for config in study}
    staged, faults = [], []
    for run in runs:
        stage = run.hypothesis.stage or known.get(run.id)
        staged.append(replace(run, hypothesis=replace(run.hypothesis, stage=stage)))
        if stage is None:
            fault = f"{run.folder}: its hypothesis {run.id} names no stage of the study"
            fix = "write stage='baseline', 'improved' or 'own' into the config's hypothesis, or "
            faults.append(UserError(fault, f"{fix}leave the run out"))
    raise_all(faults, "the runs are not of the lab's study")
    return staged


def _constant(comparison: Comparison, key: str, names: Sequence[str]) -> Constant:
    """Everything called one class: its figures follow from the truth's pixels alone."""
    truth = stack_matrices(comparison.rows[0].runs[:1], comparison.sample_ids)
    classes = comparison.classes
    matrices, background = (all_of(truth, label) for label in (BACKGROUND + 1, BACKGROUND))
    figures, of_background = (
        aggregate_metrics(each[0], classes) | image_mean_metrics(each[0], classes)
        for each in (matrices, background)
    )
    stacks = [matrices]
    stacks += [stack_matrices(comparison.row(name).runs, comparison.sample_ids) for name in names]
    bootstrap = Bootstrap(
        stacks, classes, (key,), resamples=comparison.resamples, seed=comparison.seed
    )
    leads = {
        name: paired_differences(bootstrap, 0, index, (key,))[key]
        for index, name in enumerate(names, start=1)
    }
    return Constant(figures, of_background, leads)


def all_of(matrices: IntArray, label: int) -> IntArray:
    """(..., 2, 2) matrices of the same truth with every pixel predicted as one class."""
    predicted: IntArray = np.zeros_like(matrices)
    predicted[..., label] = matrices.sum(axis=-1)
    return predicted


def _beside(comparison: Comparison, stages: Mapping[str, str], key: str) -> list[Pair]:
    """Improved own networks against the improved form of what their parents stand against."""
    found: list[Pair] = []
    rows = {row.id: row for row in comparison.rows}
    for row in comparison.rows:
        pair = comparison.pair(str(row.hypothesis.parent))
        if stages[row.id] != OWN or stages.get(str(row.hypothesis.parent)) != OWN or pair is None:
            continue
        rivals = (
            other
            for other in rows.values()
            if other.hypothesis.parent == pair.before and stages[other.id] == IMPROVED
        )
        for rival in rivals:
            both = compare(
                [*rival.runs, *row.runs],
                by_seed=True,
                reference=rival.id,
                resamples=comparison.resamples,
                seed=comparison.seed,
                margin=comparison.margin,
                also=(key,),
            )
            found += both.pairs
    return found
