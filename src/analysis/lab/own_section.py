"""The network written for the study, beside the pretrained one and beside no network at all."""

from __future__ import annotations

from collections.abc import Sequence

from seglab.analysis.comparison import Pair, Row
from seglab.analysis.lab.model_sections import differences, models_blocks, parameters_of
from seglab.analysis.lab.story import BASELINE, OWN, Story
from seglab.analysis.report import numbers
from seglab.analysis.report.markdown import Prose, bold, bullets, say, table
from seglab.analysis.resampling import Difference
from seglab.utils.masks import BACKGROUND


def own_section(story: Story) -> list[str]:
    """The figures of one's own networks, and what they are worth."""
    rows = story.rows(OWN)
    if not rows:
        return ["No run here is of a network written for the study."]
    sizes = [size for row in rows for size in own_sizes(story, row)]
    blocks: list[str] = models_blocks(story, rows)
    if sizes:
        blocks.append(bullets(dict.fromkeys(sizes)))
    blocks += ["### Against calling everything the object", _constant_words(story)]
    blocks += [_constant_table(story, rows), bullets(constant_sentence(story, row) for row in rows)]
    pairs = own_pairs(story)
    if pairs:
        blocks += ["### Against the others", differences(story, pairs)]
        blocks.append(bullets(pair_sentence(story, pair) for pair in pairs))
    return blocks


def own_pairs(story: Story) -> list[Pair]:
    """What one's own networks are compared with, the improved ones with improved ones too."""
    pairs = [story.comparison.pair(row.id) for row in story.rows(OWN)]
    return [*(pair for pair in pairs if pair is not None), *story.beside]


def own_sizes(story: Story, row: Row) -> list[Prose]:
    """How many parameters an own network has, beside the baseline it is compared with."""
    pair = story.comparison.pair(row.id)
    if pair is None or story.stages[pair.before] != BASELINE:
        return []
    ours, theirs = parameters_of(row), parameters_of(story.comparison.row(pair.before))
    if not ours or not theirs:
        return []
    return [
        say(
            "{name} has {ours} parameters, {before} {theirs}: {ratio} times as many.",
            name=bold(row.id),
            ours=numbers.count(ours),
            before=pair.before,
            theirs=numbers.count(theirs),
            ratio=numbers.fixed(theirs / ours, 1),
        )
    ]


def _constant_words(story: Story) -> Prose:
    return say(
        "Who calls every pixel {name} and looks at no image has an IoU too: below it, the IoU says "
        "nothing for a network. For the pixel accuracy that is so of who calls every pixel "
        "{background}. Both follow from the truth alone.",
        name=story.object_class,
        background=story.comparison.classes[BACKGROUND],
    )


def _constant_table(story: Story, rows: Sequence[Row]) -> str:
    """The constant answers and one's own networks, figure by figure."""
    mean_key = f"image_mean/{story.key}"
    constants = (
        (story.object_class, story.constant.figures),
        (story.comparison.classes[BACKGROUND], story.constant.background),
    )
    lines: list[tuple[object, ...]] = [
        (
            say("everything is {name}", name=name),
            *(numbers.fixed(figures[key]) for key in (story.key, mean_key, "aAcc")),
            *(numbers.NONE, numbers.NONE),
        )
        for name, figures in constants
    ]
    for row in rows:
        lead = story.constant.leads[row.id]
        images = numbers.mean([run.figures[mean_key] for run in row.runs])
        values = (row.estimates[story.key].value, images, row.estimates["aAcc"].value)
        lines.append(
            (
                row.id,
                *map(numbers.fixed, values),
                numbers.signed(lead.value),
                numbers.between(lead.interval, sign=True),
            )
        )
    header = ("model", f"IoU of {story.object_class} %", "mean over images %", "pixel accuracy %")
    return table((*header, "IoU, points more", numbers.INTERVAL), lines)


def constant_sentence(story: Story, row: Row) -> Prose:
    """Whether an own network is better than no network, by the story's figure."""
    lead = story.constant.leads[row.id]
    return say(
        "By its IoU {name} {verdict} calling everything {object}: {points}.",
        name=bold(row.id),
        verdict=_verdict(lead, "is better than", "is worse than", "is not shown to differ from"),
        object=story.object_class,
        points=points_words(story, lead),
    )


def pair_sentence(story: Story, pair: Pair) -> Prose:
    """Which of two models has the higher IoU, if the images tell."""
    difference = pair.differences[story.key]
    return say(
        "{name} {verdict} {before}: {points}.",
        name=bold(pair.after),
        verdict=_verdict(difference, "is above", "is below", "is not shown to differ from"),
        before=pair.before,
        points=points_words(story, difference),
    )


def points_words(story: Story, difference: Difference) -> Prose:
    """A difference of the story's figure with its interval, in words."""
    return say(
        "{points} points of IoU of {name} ({interval})",
        points=numbers.signed(difference.value),
        name=story.object_class,
        interval=numbers.interval_words(difference.interval, sign=True),
    )


def _verdict(difference: Difference, above: str, below: str, undecided: str) -> str:
    if not difference.interval.excludes_zero():
        return undecided
    return above if difference.value > 0 else below
