"""A comparison as tables and sentences, for the screen and for documents alike."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from seglab.analysis.comparison import Comparison, Pair
from seglab.analysis.report.numbers import NONE, between, fixed, probability, quantity, signed
from seglab.utils.paths import PROJECT_ROOT

FORCED = "FORCED: the runs were scored on different data and are not comparable"


class Cell(NamedTuple):
    """A cell of a table; `best` marks the best of its column."""

    text: str
    best: bool = False


class TextTable(NamedTuple):
    """A table of texts; the first column names the rows."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def figures_table(comparison: Comparison) -> TextTable:
    """The figures of every hypothesis in percent, the best marked, and its difference."""
    rows = []
    best = {key: comparison.best(key) for key in comparison.keys}
    several = len(comparison.rows) > 1
    for row in comparison.rows:
        pair = comparison.pair(row.id)
        name = f"{row.id} ({quantity(len(row.runs), 'seed')})" if comparison.by_seed else row.id
        cells = [Cell(name)]
        for key in comparison.keys:
            estimate = row.estimates[key]
            text = f"{fixed(estimate.value)} [{between(estimate.interval)}]"
            cells.append(Cell(text, several and row.id in best[key]))
        against = f"{signed(pair.differences['mDice'].value)} to {pair.before}" if pair else NONE
        rows.append((*cells, Cell(against)))
    header = ("hypothesis", *comparison.keys, "mDice against")
    return TextTable("Figures in percent, with 95 % intervals", header, tuple(rows))


def pair_table(comparison: Comparison, pair: Pair) -> TextTable:
    """The differences of a pair in percentage points, figure by figure."""
    before, after = comparison.row(pair.before), comparison.row(pair.after)
    rows = []
    for key, difference in pair.differences.items():
        if key not in comparison.keys and key not in pair.families:
            continue  # what only another pair's hypothesis speaks of
        family = pair.families.get(key)
        texts = (
            key,
            fixed(before.estimates[key].value),
            fixed(after.estimates[key].value),
            signed(difference.value),
            between(difference.interval, sign=True),
            probability(difference.p_value) if family else NONE,
            probability(difference.adjusted_p),
            family or NONE,
            fixed(difference.detectable),
        )
        rows.append(tuple(map(Cell, texts)))
    role = "its parent" if pair.is_parent else "the reference, not its parent"
    return TextTable(
        f"{pair.after} against {pair.before} ({role}), percentage points",
        (
            *("figure", pair.before, pair.after, "difference", "95 % interval"),
            *("p", "p (Holm)", "family", "smallest detectable"),
        ),
        tuple(rows),
    )


def facts(comparison: Comparison) -> dict[str, str]:
    """What was compared, and how."""
    several = any(len(row.runs) > 1 for row in comparison.rows)
    found = {
        "split": f"{comparison.split}, {quantity(len(comparison.sample_ids), 'image')}",
        "classes": ", ".join(comparison.classes),
        **{
            f"runs of {row.id}" if len(row.runs) > 1 else f"run of {row.id}": ", ".join(
                shown_path(run.folder) for run in row.runs
            )
            for row in comparison.rows
        },
        "reference": comparison.reference,
        "intervals": f"{comparison.resamples:,} resamples of "
        + ("the seeds and the images" if several else "the images")
        + f", random seed {comparison.seed}",
    }
    if comparison.forced:
        found = {"WARNING": FORCED, **found}
    return found


def shown_path(path: Path) -> str:
    """A folder as documents name it: from the project's root, or else by its last two parts."""
    if path.is_relative_to(PROJECT_ROOT):
        return path.relative_to(PROJECT_ROOT).as_posix()
    return "/".join(path.parts[-2:])


def cautions(comparison: Comparison) -> list[str]:
    """What a reader must know before the figures: sentences."""
    found = []
    if comparison.forced:
        found.append(f"{FORCED}. Figures are over the samples whose ids all runs share.")
        found += [f"{line}." for line in comparison.forced]
    if comparison.selected:
        found.append(
            f"The checkpoints of {', '.join(comparison.selected)} were chosen on this split "
            f"({comparison.split}): their figures are higher than on images never looked at. "
            "Judge the final choice on the test split."
        )
    return found


def detectable_sentences(comparison: Comparison) -> list[str]:
    """The smallest difference in mDice that these images can show, for each pair."""
    number = len(comparison.sample_ids)
    images = "this image" if number == 1 else f"these {quantity(number, 'image')}"
    found = []
    for pair in comparison.pairs:
        smallest = pair.differences["mDice"].detectable
        if pair.differences["mDice"].standard_error == 0:
            text = f"they do not differ in mDice on {images}, so that nothing can be said about"
            text += " what these could show"
        elif smallest < 100:
            text = f"a true difference in mDice of {fixed(smallest)} points is found with 80 %"
            text += f" probability on {images} (one test at 5 %)"
        else:  # also NaN: no standard error, no power
            text = f"{images} cannot show any difference in mDice reliably"
        found.append(f"{pair.after} against {pair.before}: {text}.")
    return found


def outcome_word(pair: Pair | None) -> str:
    """The verdict in a word."""
    if pair is None:
        return "reference"
    return pair.verdict.outcome.value if pair.verdict.outcome else "not judged"


def hypothesis_facts(comparison: Comparison, row_id: str) -> dict[str, str]:
    """What a hypothesis asks, changes and expects, where it says so."""
    hypothesis = comparison.row(row_id).hypothesis
    words = {"+": "rises", "-": "falls", "=": "stays"}
    expects = ", ".join(f"{key} {words[sign]}" for key, sign in hypothesis.expects.items())
    found = {"question": hypothesis.question, "change": hypothesis.change, "expects": expects}
    return {name: text for name, text in found.items() if text}
