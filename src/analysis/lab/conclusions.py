"""What follows from the study: every sentence is chosen by what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seglab.analysis.comparison import Pair, Row
from seglab.analysis.lab.ladder import Ladder
from seglab.analysis.lab.own_section import (
    constant_sentence,
    own_pairs,
    pair_sentence,
    points_words,
)
from seglab.analysis.lab.story import BASELINE, IMPROVED, OWN, Story
from seglab.analysis.report import numbers
from seglab.analysis.report.context import Pictures
from seglab.analysis.report.markdown import Prose, bold, bullets, join_words, say, sentences
from seglab.analysis.verdict import Outcome
from seglab.utils.forest import DifferenceRow, plot_differences

#: What a verdict says about the improvements of a model where figures were expected to rise.
_ROSE = {
    Outcome.SUPPORTED: "The improvements helped {before}",
    Outcome.NOT_SUPPORTED: "The improvements harmed {before}",
}
#: Of several expectations some came true, and of others the contrary.
_BOTH = "The improvements of {before} did the contrary of a part of what {after} expects of them"
#: What it says whatever was expected.
_SAID = {
    Outcome.SUPPORTED: "The improvements of {before} did what {after} expects of them",
    Outcome.NOT_SUPPORTED: "The improvements of {before} did the contrary of what {after} expects",
    Outcome.UNDECIDED: "Whether the improvements help {before} is undecided",
    None: "Nothing was expected of the improvements of {before}",
}


def summary(story: Story) -> list[str]:
    """The study in a paragraph."""
    parts = [_best(story, story.comparison.rows), _improvements(story), _own(story)]
    return [sentences([*parts, _scoring(story)])]


def conclusions(story: Story, pictures: Pictures) -> list[str]:
    """Everything that follows, point by point, as a picture, and what does not follow."""
    points: list[Prose] = []
    baselines = story.rows(BASELINE)
    if baselines:
        points.append(_best(story, baselines, "baselines"))
    beside = [story.comparison.pair(row.id) for row in baselines]
    points += [pair_sentence(story, pair) for pair in beside if pair is not None]
    points += [improvement_sentence(story, pair) for pair in improvement_pairs(story)]
    points += [constant_sentence(story, row) for row in story.rows(OWN)]
    shown = {pair.after for pair in improvement_pairs(story)}
    others = [pair for pair in own_pairs(story) if pair.after not in shown or not pair.is_parent]
    points += [pair_sentence(story, pair) for pair in others]
    if story.ladders:
        points.append(_scoring(story))
    blocks = [bullets(points)]
    if story.comparison.pairs:
        caption = say(
            "How far every model is above (right of zero) or below the one it is compared with, in "
            "percentage points with the {interval}. Bold is what a hypothesis spoke of.",
            interval=numbers.INTERVAL,
        )
        blocks.append(pictures.draw("differences", caption, plot_differences, _points(story)))
    return [*blocks, "What this does not show:", bullets(_limits(story))]


def improvement_pairs(story: Story) -> list[Pair]:
    """Improved models against their parents, one's own among them."""
    pairs = [story.pair_of(row.id) for row in story.comparison.rows]
    return [
        pair
        for pair in pairs
        if pair is not None
        and (
            story.stages[pair.after] == IMPROVED
            or story.stages[pair.after] == story.stages[pair.before] == OWN
        )
    ]


def improvement_sentence(story: Story, pair: Pair) -> Prose:
    """What the improvements did to a model, by the verdict on its hypothesis."""
    judged = pair.verdict.judgements
    begun = say(_said(pair), before=bold(pair.before), after=bold(pair.after))
    moved = [
        say(
            "{key} {points} points ({interval}, p {p})",
            key=item.key,
            points=numbers.signed(item.difference.value),
            interval=numbers.interval_words(item.difference.interval, sign=True),
            p=numbers.probability(item.difference.adjusted_p),
        )
        for item in judged
        if item.difference is not None
    ]
    if all(item.key != story.key for item in judged):
        moved.append(points_words(story, pair.differences[story.key]))
    text = say("{begun}: {points}.", begun=begun, points=join_words(moved))
    return sentences([text, _smallest(pair)])


def _said(pair: Pair) -> str:
    """The words for a verdict; those of a figure that rose only where all should have risen."""
    outcome, judged = pair.verdict.outcome, pair.verdict.judgements
    found = {item.outcome for item in judged}
    if outcome is Outcome.NOT_SUPPORTED and Outcome.SUPPORTED in found:
        return _BOTH
    risen = all(item.expected == "+" for item in judged)
    return (_ROSE.get(outcome) if risen and outcome else None) or _SAID[outcome]


def _smallest(pair: Pair) -> Prose:
    """For the undecided: what these images could have shown."""
    smallest = [
        item.difference.detectable
        for item in pair.verdict.judgements
        if item.difference is not None and math.isfinite(item.difference.detectable)
    ]
    if pair.verdict.outcome is not Outcome.UNDECIDED or not smallest:
        return Prose("")
    if max(smallest) >= 100:
        return Prose("These images cannot show any difference reliably.")
    return say(
        "A single test on these images finds a true difference of {points} points with {power} "
        "probability; a smaller one may be there all the same.",
        points=numbers.fixed(max(smallest)),
        power=numbers.POWER_SHOWN,
    )


def _best(story: Story, rows: Sequence[Row], of: str = "models") -> Prose:
    """The highest IoU, and whether it is shown to lead the next one."""
    known = [row for row in rows if math.isfinite(_value(story, row))]
    if not known:
        return say("No model has an IoU of {name}.", name=story.object_class)
    best = max(known, key=lambda row: _value(story, row))
    estimate = best.estimates[story.key]
    start = say("{name} reaches", name=bold(best.id))
    if len(known) > 1:
        start = say(
            "Of the {count} {of} {name} has the highest figure:",
            count=len(known),
            of=of,
            name=bold(best.id),
        )
    return say(
        "{start} {value} % IoU of {object} ({interval}) on the {images} of {split}, over "
        "{seeds}{lead}.",
        start=start,
        lead=_lead(story, best, known),
        value=numbers.fixed(estimate.value),
        object=story.object_class,
        interval=numbers.interval_words(estimate.interval),
        images=numbers.quantity(len(story.comparison.sample_ids), "image"),
        split=story.comparison.split,
        seeds=numbers.quantity(len(best.runs), "training seed"),
    )


def _lead(story: Story, best: Row, known: Sequence[Row]) -> Prose:
    """The next one below the best, and whether the images tell them apart, if they were tested."""
    others = [row for row in known if row.id != best.id]
    if not others:
        return Prose("")
    following = max(others, key=lambda row: _value(story, row))
    between = {best.id, following.id}
    tested = [
        pair.differences[story.key]
        for pair in (*story.comparison.pairs, *story.beside)
        if {pair.before, pair.after} == between
    ]
    alike = any(not difference.interval.excludes_zero() for difference in tested)
    return say(
        "; the next, {name}, has {value} %{alike}",
        name=following.id,
        value=numbers.fixed(_value(story, following)),
        alike=Prose(", and is not shown to differ from it") if alike else Prose(""),
    )


def _value(story: Story, row: Row) -> float:
    """A row's figure; what has none comes last."""
    value = row.estimates[story.key].value
    return -math.inf if math.isnan(value) else value


def _improvements(story: Story) -> Prose:
    """Which improvements did what was expected of them."""
    pairs = improvement_pairs(story)
    words = {
        Outcome.SUPPORTED: "do what was expected of them in {names}",
        Outcome.NOT_SUPPORTED: "do the contrary of what was expected in {names}",
        Outcome.UNDECIDED: "are not shown to do what was expected in {names}",
    }
    parts = []
    for outcome, template in words.items():
        names = [pair.after for pair in pairs if pair.verdict.outcome is outcome]
        if names:
            parts.append(say(template, names=join_words(names)))
    return say("The improvements {parts}.", parts=join_words(parts)) if parts else Prose("")


def _own(story: Story) -> Prose:
    """The best of one's own networks, beside no network and beside what it is compared with."""
    rows = story.rows(OWN)
    if not rows:
        return Prose("")
    best = max(rows, key=lambda row: _value(story, row))
    others = [say("calling every pixel {name}", name=story.object_class)]
    values = [story.constant.figures[story.key]]
    rivals = [pair.before for pair in own_pairs(story) if pair.after == best.id]
    for name in rivals:
        others.append(say("{name}", name=name))
        values.append(story.comparison.row(name).estimates[story.key].value)
    beside = [
        say("{other} {value} %", other=other, value=numbers.fixed(value))
        for other, value in zip(others, values, strict=True)
    ]
    return say(
        "The network written for the study reaches {value} % ({best}); {beside}.",
        value=numbers.fixed(_value(story, best)),
        best=bold(best.id),
        beside=join_words(beside),
    )


def _scoring(story: Story) -> Prose:
    """Which way the lab's scoring errs, over all models."""
    moved = {name: _moved(ladder) for name, ladder in story.ladders.items()}
    moved = {name: value for name, value in moved.items() if math.isfinite(value)}
    if not moved:
        return Prose("")
    parts = []
    for word, chosen in (
        ("above", [name for name, value in moved.items() if numbers.signed(value)[0] == "+"]),
        ("below", [name for name, value in moved.items() if numbers.signed(value)[0] == "-"]),
    ):
        if chosen:
            values = sorted(abs(moved[name]) for name in chosen)
            ends = dict.fromkeys(numbers.fixed(value) for value in (values[0], values[-1]))
            template = "{word} ours for {names} (by {points} points)"
            points = " to ".join(ends)
            parts.append(say(template, word=word, names=join_words(chosen), points=points))
    if not parts:
        return say("The lab's way of scoring gives the same figures as ours.")
    return say("The lab's way of scoring is {parts}.", parts=join_words(parts))


def _moved(ladder: Ladder) -> float:
    return ladder.labs.figures["IoU"] - ladder.ours.figures["IoU"]


def _points(story: Story) -> list[DifferenceRow]:
    """The differences as they are drawn: few figures, all pairs."""
    rows = []
    for pair in (*story.comparison.pairs, *story.beside):
        outcomes = {item.key: item.outcome.value for item in pair.verdict.judgements}
        for key in dict.fromkeys([story.key, *outcomes, "aAcc"]):
            difference = pair.differences.get(key)
            if difference is None:
                continue  # expected, but of a figure that is not resampled
            rows.append(
                DifferenceRow(
                    f"{pair.after} - {pair.before}",
                    key,
                    difference.value,
                    difference.interval.low,
                    difference.interval.high,
                    outcomes.get(key),
                    key in outcomes,
                )
            )
    return rows


def _limits(story: Story) -> list[Prose]:
    comparison = story.comparison
    found = []
    single = [row.id for row in comparison.rows if len(row.runs) == 1]
    if single:
        found.append(
            say(
                "One training run stands for {names}: how much another seed would change is not "
                "in its interval.",
                names=join_words(single),
            )
        )
    waiting = [config.hypothesis.id for config in story.without_run()]
    if waiting:
        found.append(
            say("Anything about {names}: no run here is of these.", names=join_words(waiting))
        )
    if comparison.selected:
        found.append(
            say(
                "The epochs of {names} were chosen on {split} itself: their figures flatter.",
                names=join_words(comparison.selected),
                split=comparison.split,
            )
        )
    found.append(
        say(
            "Anything about other data: all of it was measured on {images}.",
            images=numbers.quantity(len(comparison.sample_ids), "image"),
        )
    )
    return found
