"""All hypotheses side by side: figures, differences, tests, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seglab.analysis.comparison import Comparison
from seglab.analysis.comparison_files import draw_comparison
from seglab.analysis.comparison_tables import (
    TextTable,
    cautions,
    detectable_sentences,
    outcome_word,
    pair_table,
)
from seglab.analysis.report import numbers
from seglab.analysis.report.choice import KEY
from seglab.analysis.report.context import Context
from seglab.analysis.report.markdown import bold, bullets, heading, say, table


def comparison_section(context: Context) -> list[str]:
    """The tables, the forest plot, what can be detected, and what a reader must know besides."""
    comparison = context.comparison
    blocks = [bullets(cautions(comparison))] if cautions(comparison) else []
    blocks += ["### At a glance", _headline(comparison), *_all_figures(comparison)]
    caption = say("Figures in percent, each with its {interval}.", interval=numbers.INTERVAL)
    if comparison.pairs:
        caption = say(
            "Differences in percentage points, each with its {interval}. Bold rows are figures "
            "that a hypothesis spoke of; left of zero is lower than the run compared with.",
            interval=numbers.INTERVAL,
        )

    def plot(path: Path) -> Path:
        return draw_comparison(comparison, path)

    blocks.append(context.pictures.draw("comparison", caption, plot))
    for pair in comparison.pairs:
        content = pair_table(comparison, pair)
        blocks += [heading(3, content.title), _as_table(content)]
    if comparison.pairs:
        blocks += ["### What these images can show", bullets(detectable_sentences(comparison))]
    if comparison.notes:
        blocks += ["### Notes", bullets(comparison.notes)]
    return blocks


def _headline(comparison: Comparison) -> str:
    """One line a hypothesis: mDice, its difference, and the verdict."""
    best = comparison.best(KEY)
    rows = []
    for row in comparison.rows:
        estimate, pair = row.estimates[KEY], comparison.pair(row.id)
        value = numbers.fixed(estimate.value)
        cells: list[object] = [row.id, pair.before if pair else numbers.NONE]
        cells.append(bold(value) if row.id in best and len(comparison.rows) > 1 else value)
        cells.append(numbers.between(estimate.interval))
        if pair is None:
            cells += [numbers.NONE] * 3
        else:
            difference = pair.differences[KEY]
            cells += [
                numbers.signed(difference.value),
                numbers.between(difference.interval, sign=True),
                numbers.probability(difference.adjusted_p),
            ]
        rows.append([*cells, outcome_word(pair)])
    header = ("hypothesis", "against", "mDice %", numbers.INTERVAL, "difference", numbers.INTERVAL)
    return table((*header, "p (Holm)", "verdict"), rows, text_columns=2, text_last=True)


def _all_figures(comparison: Comparison) -> Sequence[str]:
    """Every compared figure of every hypothesis; the best of a row is bold."""
    several = len(comparison.rows) > 1
    rows = []
    for key in comparison.keys:
        best = comparison.best(key)
        cells: list[object] = [key]
        for row in comparison.rows:
            value = numbers.fixed(row.estimates[key].value)
            cells.append(bold(value) if several and row.id in best else value)
        rows.append(cells)
    names = [
        f"{row.id} ({numbers.quantity(len(row.runs), 'seed')})" if comparison.by_seed else row.id
        for row in comparison.rows
    ]
    text = say(
        "All compared figures in percent over the {images} of {split}{mark}. Their intervals stand "
        "in the section of each hypothesis.",
        images=numbers.quantity(len(comparison.sample_ids), "image"),
        split=comparison.split,
        mark="; the best of each row is bold" if several else "",
    )
    return [text, table(("figure", *names), rows)]


def _as_table(content: TextTable) -> str:
    rows = [[bold(cell.text) if cell.best else cell.text for cell in row] for row in content.rows]
    return table(content.header, rows)
