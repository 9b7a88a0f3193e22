"""The first page: what was found in three sentences, and the words used for it."""

from __future__ import annotations

import math

from seglab.analysis.comparison import Comparison, Pair
from seglab.analysis.reading import READING
from seglab.analysis.report import numbers
from seglab.analysis.report.choice import KEY
from seglab.analysis.report.context import Context
from seglab.analysis.report.markdown import Prose, bold, bullets, join_words, say, sentences
from seglab.analysis.verdict import Outcome


def summary(context: Context) -> list[str]:
    """The chosen model, what can be claimed, and what cannot: three sentences."""
    parts = [_chosen(context), _claims(context), _limits(context.comparison)]
    blocks: list[str] = [sentences(parts)]
    if context.comparison.forced:
        warning = bold("FORCED: these runs were scored on different data and are not comparable.")
        rest = (
            "Compared are the images whose names all runs share; figures without an interval and "
            "the analysis of a run are of all its own images."
        )
        blocks.insert(0, f"> {warning} {rest}")
    return blocks


def _chosen(context: Context) -> Prose:
    comparison = context.comparison
    row = comparison.row(context.choice.id)
    estimate = row.estimates[KEY]
    facts = {
        "name": bold(row.id),
        "value": bold(f"{numbers.fixed(estimate.value)} %"),
        "interval": numbers.interval_words(estimate.interval),
        "images": numbers.quantity(len(comparison.sample_ids), "image"),
        "split": comparison.split,
        "count": numbers.quantity(len(comparison.rows), "hypothesis", "hypotheses"),
    }
    score = "mDice {value} ({interval}) on the {images} of the split {split}"
    if len(comparison.rows) == 1:
        return say("{name} reaches " + score + ".", **facts)
    return say("Of the {count} compared {name} scores highest: " + score + ".", **facts)


def _claims(context: Context) -> Prose:
    comparison, choice = context.comparison, context.choice
    judged = [pair for pair in comparison.pairs if pair.verdict.outcome is not None]
    parts: list[object] = []
    if judged:
        counted = [_outcome_count(judged, outcome) for outcome in Outcome]
        claims = numbers.quantity(len(judged), "hypothesis", "hypotheses")
        template = "Of the {claims} judged against a parent, {counted}"
        parts.append(say(template, claims=claims, counted=join_words(list(filter(None, counted)))))
    rivals = [rival.id for rival in choice.rivals if not rival.shown_worse]
    if rivals:
        template = "{name} is not shown to be better than {rivals}"
        part = say(template, name=choice.id, rivals=join_words(rivals, "or"))
        if choice.frugal:
            template = "{part}, of which {frugal} is the cheapest and may serve as well"
            part = say(template, part=part, frugal=bold(choice.frugal))
        parts.append(part)
    elif choice.rivals:
        parts.append(say("{name} is shown to be better than every other", name=choice.id))
    if not parts:
        return Prose("With one hypothesis there is nothing to compare it with.")
    return say("{parts}.", parts=Prose("; ".join(map(str, parts))))


def _outcome_count(judged: list[Pair], outcome: Outcome) -> Prose:
    """'1 is supported (H2)'."""
    names = [pair.after for pair in judged if pair.verdict.outcome is outcome]
    if not names:
        return Prose("")
    verb = "is" if len(names) == 1 else "are"
    return say(
        "{count} {verb} {word} ({names})",
        count=len(names),
        verb=verb,
        word=outcome.value,
        names=join_words(names),
    )


def _limits(comparison: Comparison) -> Prose:
    """How small a difference can be seen, and whether the figures flatter."""
    parts = []
    detectable = [pair.differences[KEY].detectable for pair in comparison.pairs]
    detectable = list(filter(math.isfinite, detectable))
    if detectable:
        parts.append(
            say(
                "these images would show a true difference in mDice of {points} points or more "
                "with {power} probability, and may miss smaller ones",
                power=numbers.POWER_SHOWN,
                points=numbers.fixed(max(detectable)),
            )
        )
    if comparison.selected:
        all_chosen = len(comparison.selected) == len(comparison.rows)
        parts.append(
            say(
                "the checkpoints {of}were chosen on this very split, so that {its} figures "
                "flatter: new images would probably score lower",
                of="" if all_chosen else Prose(f"of {join_words(comparison.selected)} "),
                its="its" if all_chosen else "their",
            )
        )
    if not parts:
        return Prose("")
    text = Prose("; ".join(parts))
    return Prose(f"{text[0].upper()}{text[1:]}.")


def words(context: Context) -> list[str]:
    """What a stranger needs to read the rest."""
    comparison = context.comparison
    definitions = [
        say(
            "**Dice** of a class: twice the pixels that prediction and truth share, divided by the "
            "pixels of both together; 100 % is perfect. **IoU** is the shared pixels divided by "
            "those in either."
        ),
        say(
            "**mDice**, the figure everything is judged by: the mean of the Dice of {classes}; a "
            "class that is in neither truth nor prediction is left out. It is computed over the "
            "pixels of all {images} together. The mDice of one image is over the classes that its "
            "truth or prediction has; one that only the prediction has counts 0.",
            classes=join_words(comparison.classes),
            images=numbers.quantity(len(comparison.sample_ids), "image"),
        ),
        say(
            "**Hypothesis**: one change to a training, made to answer one question. Its **parent** "
            "is the hypothesis it changes. A difference is the later figure minus the earlier one, "
            "in percentage points."
        ),
        *(say("{name}: {text}", name=bold(name), text=text) for name, text in READING.items()),
    ]
    return [bullets(definitions)]
