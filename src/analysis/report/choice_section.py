"""The chosen model and why, in honest words."""

from __future__ import annotations

from seglab.analysis.report import numbers
from seglab.analysis.report.choice import KEY, Choice, Cost, Rival
from seglab.analysis.report.context import Context
from seglab.analysis.report.markdown import Prose, bold, bullets, join_words, say, table


def choice_section(context: Context) -> list[str]:
    """Which hypothesis to take, what is certain about it, and what it costs."""
    comparison, choice = context.comparison, context.choice
    estimate = comparison.row(choice.id).estimates[KEY]
    if not choice.rivals:
        first = say(
            "{name} is the only hypothesis here, with mDice {value} %: there was no choice.",
            name=bold(choice.id),
            value=numbers.fixed(estimate.value),
        )
        return [first, _costs(context)]
    first = say(
        "Chosen: {name}, which has the highest mDice, {value} % ({interval}).",
        name=bold(choice.id),
        value=numbers.fixed(estimate.value),
        interval=numbers.interval_words(estimate.interval),
    )
    reasons = [*_leads(choice), *_cheaper(choice)]
    reasons.append(
        say(
            "The highest figure was found by looking at all of them: that favours whichever was "
            "lucky on these images. p (Holm) below is corrected for {rivals}, and still only a "
            "reason to test again.",
            rivals=numbers.quantity(len(choice.rivals), "comparison"),
        )
    )
    unselected = [row.id for row in comparison.rows if row.id not in comparison.selected]
    if choice.id in comparison.selected and unselected:
        reasons.append(
            say(
                "Its epoch was chosen on this split too, and that of {others} was not, as far as "
                "is known: its lead over them is flattered.",
                others=join_words(unselected),
            )
        )
    elif choice.id in comparison.selected:
        reasons.append(
            say(
                "The epoch was chosen on this split too, for every hypothesis alike: the ranking "
                "suffers less from that than the figures do."
            )
        )
    return [first, bullets(reasons), _costs(context)]


def _leads(choice: Choice) -> list[Prose]:
    """Over whom the lead is shown, and over whom it is not."""
    found = []
    beaten = [rival.id for rival in choice.rivals if rival.shown_worse]
    open_leads = [rival for rival in choice.rivals if not rival.shown_worse]
    if beaten:
        found.append(say("It is shown to be better than {names}.", names=join_words(beaten, "and")))
    found += [
        say(
            "Its lead over {name} of {points} points is undecided ({interval}).",
            name=rival.id,
            points=numbers.fixed(rival.lead.value),
            interval=numbers.interval_words(rival.lead.interval, sign=True),
        )
        for rival in open_leads
    ]
    return found


def _cheaper(choice: Choice) -> list[Prose]:
    """The cheapest of those that are not shown to be worse."""
    if choice.frugal is None:
        if any(not rival.shown_worse for rival in choice.rivals):
            text = "None of those it is not shown to be better than is known to be clearly cheaper."
            return [Prose(text)]
        return []
    cost, chosen = choice.costs[choice.frugal], choice.costs[choice.id]
    return [
        say(
            "Where cost counts, take {name}: the cheapest of those not shown to be worse, with "
            "{cost} against {chosen} of {id}. Not shown to be worse is not shown to be as good.",
            name=bold(choice.frugal),
            cost=_cost_words(cost),
            chosen=_cost_words(chosen),
            id=choice.id,
        )
    ]


def _cost_words(cost: Cost) -> str:
    seconds = numbers.duration(cost.seconds)
    return f"{numbers.count(cost.parameters)} parameters and {seconds} of training"


def _costs(context: Context) -> str:
    """What each costs, and how far behind it is."""
    rows = []
    for row in context.comparison.rows:
        cost = context.choice.costs[row.id]
        cells: list[object] = [row.id, numbers.fixed(row.estimates[KEY].value)]
        cells += [numbers.NONE, numbers.NONE, numbers.NONE]
        reading = "chosen"
        if row.id != context.choice.id:
            rival = context.choice.rival(row.id)
            cells[2:] = [
                numbers.fixed(rival.lead.value),
                numbers.between(rival.lead.interval, sign=True),
                numbers.probability(rival.lead.adjusted_p),
            ]
            reading = _reading(rival)
        cells += [numbers.count(cost.parameters), numbers.duration(cost.seconds)]
        rows.append([*cells, reading])
    header = ("hypothesis", "mDice %", "points behind", numbers.INTERVAL, "p (Holm)", "parameters")
    return table((*header, "training", "reading"), rows, text_last=True)


def _reading(rival: Rival) -> str:
    return "worse" if rival.shown_worse else "not shown to be worse"
