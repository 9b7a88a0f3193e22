"""The tables of baselines and improved models, and the hypotheses they test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from seglab.analysis.comparison import Pair, Row
from seglab.analysis.comparison_tables import outcome_word
from seglab.analysis.lab.story import BASELINE, IMPROVED, Story
from seglab.analysis.lab.study import StudyConfig
from seglab.analysis.report import numbers
from seglab.analysis.report.context import seeds_of
from seglab.analysis.report.hypothesis_section import changes_blocks, facts_block, verdict_blocks
from seglab.analysis.report.markdown import Prose, bullets, heading, say, table
from seglab.analysis.run_folder import Run

#: A whole augmentation is one setting, and is shown whole.
_SETTING_WIDTH = 400
_SIGNS = {"+": "rises", "-": "falls", "=": "stays"}


def baseline_section(story: Story) -> list[str]:
    """The figures of the baselines."""
    rows = story.rows(BASELINE)
    if not rows:
        return ["No run here is of a baseline."]
    return [_what_it_is(story), *models_blocks(story, rows)]


def _what_it_is(story: Story) -> Prose:
    return say(
        "Percent on {split}, by our scoring, mean over the seeds. The interval covers other "
        "images of this kind and, where there are several seeds, other seeds.",
        split=story.comparison.split,
    )


def models_blocks(story: Story, rows: Sequence[Row]) -> list[str]:
    """How models score, and what they are."""
    mean_key = f"image_mean/{story.key}"
    figures, facts = [], []
    for row in rows:
        estimate = row.estimates[story.key]
        figures.append(
            (
                row.id,
                numbers.fixed(estimate.value),
                numbers.between(estimate.interval),
                seed_figures(row, story.key),
                numbers.fixed(_mean(row, mean_key)),
                numbers.fixed(row.estimates["aAcc"].value),
            )
        )
        start = start_of(row.runs[0])
        facts.append((row.id, start, numbers.count(parameters_of(row)), training_of(row)))
    header = ("model", f"IoU of {story.object_class}", numbers.INTERVAL, "seed by seed")
    return [
        table((*header, "mean over images", "pixel accuracy"), figures),
        table(
            ("model", "starts from", "parameters", "training, wall clock"), facts, text_columns=2
        ),
    ]


def start_of(run: Run) -> str:
    """What the training of a run started from."""
    if run.record.get("load_from"):
        return f"the checkpoint {Path(str(run.record['load_from'])).name}"
    weights = run.record.get("pretrained_backbone")
    return f"ImageNet: {weights}" if weights else "random weights"


def parameters_of(row: Row) -> int | None:
    """The number of parameters of a model; None where its record has none."""
    found = row.runs[0].record.get("parameters")
    return found if isinstance(found, int) else None


def training_of(row: Row) -> str:
    """Epochs and time of a training, mean over the seeds."""
    seconds = [run.record.get("seconds") for run in row.runs]
    known = [float(value) for value in seconds if isinstance(value, int | float)]
    shown = numbers.duration(numbers.mean(known) if len(known) == len(seconds) else math.nan)
    epochs = row.runs[0].record.get("epochs")
    shown_epochs = numbers.quantity(epochs, "epoch") if isinstance(epochs, int) else numbers.NONE
    return f"{shown_epochs}, {shown}"


def seed_figures(row: Row, key: str) -> str:
    """A figure of each training seed."""
    parts = [f"{numbers.fixed(run.figures[key])} (seed {seeds_of([run])})" for run in row.runs]
    return ", ".join(parts)


def _mean(row: Row, key: str) -> float:
    return numbers.mean([run.figures.get(key, math.nan) for run in row.runs])


def hypotheses_section(story: Story) -> list[str]:
    """What each hypothesis asks, expects and really changed; and those without a run."""
    blocks: list[str] = [
        "Each stands in the config that its runs were trained with: what is asked, what is "
        "changed, and which way which figure should move. The settings are those of the resolved "
        "configs."
    ]
    for row in story.comparison.rows:
        pair = story.comparison.pair(row.id)
        blocks += [heading(3, row.id), facts_block(story.comparison, row, pair)]
        blocks += changes_blocks(row, pair, _SETTING_WIDTH)
        if pair is not None and pair.is_parent:
            blocks += verdict_blocks(row, pair)
    waiting = story.without_run()
    if waiting:
        rows = [
            (
                config.hypothesis.id,
                config.hypothesis.stage,
                config.hypothesis.question,
                config.hypothesis.change,
                expectations(config),
                what_it_needs(config),
            )
            for config in waiting
        ]
        header = ("hypothesis", "stage", "question", "change", "expects", "what a run needs")
        blocks += ["### Without a run here", table(header, rows, text_columns=len(header))]
    return blocks


def expectations(config: StudyConfig) -> str:
    """What a config expects, in words."""
    expects = config.hypothesis.expects.items()
    return ", ".join(f"{key} {_SIGNS[sign]}" for key, sign in expects) or numbers.NONE


def what_it_needs(config: StudyConfig) -> Prose:
    """What a run of a config would need, as far as its config tells."""
    if config.downloaded:
        return say(
            "a download: ImageNet weights of {encoder}, which `seglab train --config "
            "configs/{name}` fetches from where segmentation_models_pytorch has them",
            encoder=config.downloaded,
            name=Prose(config.path.name),
        )
    name = Prose(config.path.name)
    return say("nothing but time: `seglab train --config configs/{name}`", name=name)


def improved_section(story: Story) -> list[str]:
    """The improved models, each against its parent."""
    rows = story.rows(IMPROVED)
    if not rows:
        return ["No run here is of an improved model."]
    blocks: list[str] = [_what_it_is(story), *models_blocks(story, rows)]
    pairs = [pair for row in rows if (pair := story.pair_of(row.id)) is not None]
    alone = [row.id for row in rows if story.pair_of(row.id) is None]
    if pairs:
        blocks += ["### Against their parents", difference_words(story), differences(story, pairs)]
    if alone:
        blocks.append(bullets(f"{name}: its parent has no run here." for name in alone))
    return blocks


def difference_words(story: Story) -> Prose:
    """What the columns of `differences` are."""
    return say(
        "Points of IoU of {name}. The verdict is on what the hypothesis itself expects, with p "
        "corrected for all figures that hypotheses here speak of (Holm).",
        name=story.object_class,
    )


def differences(story: Story, pairs: Sequence[Pair]) -> str:
    """One line a pair: the IoU of both, the difference, and the verdict with what decided it."""
    rows = []
    for pair in pairs:
        difference = pair.differences[story.key]
        before, after = (
            story.comparison.row(name).estimates[story.key].value
            for name in (pair.before, pair.after)
        )
        decided = [
            f"{item.key} {numbers.signed(item.difference.value)} "
            f"({numbers.between(item.difference.interval, sign=True)}), p "
            f"{numbers.probability(item.difference.adjusted_p)}"
            for item in pair.verdict.judgements
            if item.difference is not None
        ]
        rows.append(
            (
                pair.after,
                pair.before,
                numbers.fixed(before),
                numbers.fixed(after),
                numbers.signed(difference.value),
                numbers.between(difference.interval, sign=True),
                "; ".join(decided) or numbers.NONE,
                outcome_word(pair),
            )
        )
    header = ("model", "against", "before", "after", "difference", numbers.INTERVAL)
    return table((*header, "judged by", "verdict"), rows, text_columns=2, text_last=True)
