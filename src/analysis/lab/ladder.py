"""The lab's way of scoring beside the honest one, step by step, over the seeds of a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seglab.analysis.report.numbers import mean
from seglab.analysis.run_folder import Run, raise_all
from seglab.utils.errors import UserError
from seglab.utils.lab_scores import FIGURES, ROW_IDS, read_lab_scores
from seglab.utils.result_files import LAB_SCORES_FILE

#: First and last step of every ladder: the honest score, and the lab's.
OURS, LABS = ROW_IDS[0], ROW_IDS[-1]
_AGAIN = "test each of these runs again with `seglab test --reproduce-lab --overwrite`"


@dataclass(frozen=True)
class Step:
    """One way of scoring; it differs from the step before in one thing.

    Attributes:
        id: One of `seglab.utils.lab_scores.ROW_IDS`.
        facts: `split`, `images`, `augmented`, `border`, `size`, `average`.
        figures: `IoU`, `image_mean_IoU`, `pixel_accuracy` -> percent, mean over the seeds; NaN
            without a value.
    """

    id: str
    facts: Mapping[str, Any]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Ladder:
    """All steps of one model, from the honest score to the lab's.

    Attributes:
        steps: At least the first and the last.
        batch_size: Images in a batch of its training.
        augmentation: Names of the random steps of its training.
    """

    steps: tuple[Step, ...]
    batch_size: int
    augmentation: tuple[str, ...]

    def step(self, name: str) -> Step | None:
        """The step of an id; None where it would change nothing for this model."""
        return next((step for step in self.steps if step.id == name), None)

    @property
    def ours(self) -> Step:
        """The honest score."""
        return self.steps[0]

    @property
    def labs(self) -> Step:
        """The lab's."""
        return self.steps[-1]

    def changes(self) -> dict[str, float]:
        """Step id -> points of IoU that it adds to the step before."""
        values = [step.figures["IoU"] for step in self.steps]
        return {
            step.id: after - before
            for step, before, after in zip(self.steps[1:], values, values[1:], strict=False)
        }


def read_ladders(models: Mapping[str, Sequence[Run]]) -> dict[str, Ladder]:
    """The ladder of every model all of whose runs were scored the lab's way.

    Args:
        models: Hypothesis id -> its runs.

    Raises:
        UserError: A file is damaged, of another checkpoint, or the seeds of a model were scored
            in different ways; lists every fault.
    """
    faults: list[UserError] = []
    ladders = {}
    for name, runs in models.items():
        found = len(faults)
        contents = [content for run in runs if (content := _read(run, faults)) is not None]
        faults += _differences(name, runs, contents)
        if len(contents) == len(runs) and len(faults) == found:
            ladders[name] = _average(contents)
    raise_all(faults, "what was scored the lab's way cannot be read")
    return ladders


def _read(run: Run, faults: list[UserError]) -> dict[str, Any] | None:
    path = run.test_folder / LAB_SCORES_FILE
    try:
        content = read_lab_scores(run.test_folder)
        if content and content["checkpoint_sha256"] != run.provenance["checkpoint_sha256"]:
            raise UserError(f"{path} is of another checkpoint than the test beside it", _AGAIN)
        if content and content["class"] not in run.classes:
            raise UserError(f"{path} is about the class {content['class']!r}", _AGAIN)
    except UserError as error:
        faults.append(error)
        return None
    return content


def _differences(
    name: str, runs: Sequence[Run], contents: Sequence[Mapping[str, Any]]
) -> Iterator[UserError]:
    """A fault where the seeds of a model were not scored in one way."""
    ways = [
        (content["batch_size"], content["augmentation"], [_facts(row) for row in content["rows"]])
        for content in contents
    ]
    if any(way != ways[0] for way in ways[1:]):
        folders = ", ".join(str(run.folder) for run in runs)
        yield UserError(f"the runs of {name} were scored in different ways ({folders})", _AGAIN)


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in FIGURES}


def _average(contents: Sequence[Mapping[str, Any]]) -> Ladder:
    steps = []
    for rows in zip(*(content["rows"] for content in contents), strict=True):
        figures = {
            key: mean([math.nan if row[key] is None else row[key] for row in rows])
            for key in FIGURES
        }
        facts = _facts(rows[0])
        steps.append(Step(facts.pop("id"), facts, figures))
    first = contents[0]
    return Ladder(tuple(steps), first["batch_size"], tuple(first["augmentation"]))
