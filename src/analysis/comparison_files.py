"""Write a comparison: `comparison.json`, `comparison.md`, `comparison.png`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seglab.analysis.comparison import Comparison, Pair, Row
from seglab.analysis.comparison_tables import (
    FORCED,
    TextTable,
    cautions,
    detectable_sentences,
    facts,
    figures_table,
    hypothesis_facts,
    outcome_word,
    pair_table,
    shown_path,
)
from seglab.analysis.reading import READING
from seglab.analysis.report import markdown
from seglab.analysis.resampling import FigureEstimate
from seglab.analysis.run_folder import Run
from seglab.utils.config_diff import ABSENT, Change, format_change
from seglab.utils.forest import DifferenceRow, MetricRow, plot_differences, plot_run_metrics
from seglab.utils.io_utils import require_writable, write_json, write_text

JSON_FILE = "comparison.json"
MARKDOWN_FILE = "comparison.md"
PICTURE_FILE = "comparison.png"
SCHEMA = 1


def write_comparison(comparison: Comparison, output_dir: str | Path) -> list[Path]:
    """Write the comparison's files; the same runs give the same files.

    Args:
        comparison: From `compare`.
        output_dir: Made if need be. Files of an earlier comparison are replaced.

    Returns:
        The paths: JSON, Markdown, picture.

    Raises:
        UserError: The folder cannot be written.
    """
    folder = Path(output_dir)
    require_writable(folder, "--output-dir")
    return [
        draw_comparison(comparison, folder / PICTURE_FILE),
        write_text(folder / MARKDOWN_FILE, comparison_markdown(comparison)),
        write_json(folder / JSON_FILE, comparison_content(comparison)),
    ][::-1]


def comparison_content(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain data; figures in percent, differences in points, unrounded."""
    return {
        "schema": SCHEMA,
        "forced": bool(comparison.forced),
        "not_comparable_because": list(comparison.forced),
        "split": comparison.split,
        "images": len(comparison.sample_ids),
        "sample_ids": list(comparison.sample_ids),
        "classes": list(comparison.classes),
        "reference": comparison.reference,
        "by_seed": comparison.by_seed,
        "selected_on_this_split": list(comparison.selected),
        "resamples": comparison.resamples,
        "seed": comparison.seed,
        "margin": comparison.margin,
        "notes": list(comparison.notes),
        "hypotheses": [_row_content(row) for row in comparison.rows],
        "best": {key: list(comparison.best(key)) for key in comparison.keys},
        "pairs": [_pair_content(pair) for pair in comparison.pairs],
    }


def _row_content(row: Row) -> dict[str, Any]:
    return {
        "hypothesis": row.hypothesis.to_dict(),
        "runs": [_run_content(run) for run in row.runs],
        "figures": {key: _estimate_content(value) for key, value in row.estimates.items()},
    }


def _run_content(run: Run) -> dict[str, Any]:
    return {
        "folder": shown_path(run.folder),
        "seed": run.seed,
        "checkpoint_sha256": run.provenance["checkpoint_sha256"],
        "labels_sha256": run.provenance["data"]["labels"],
    }


def _estimate_content(estimate: FigureEstimate) -> dict[str, Any]:
    return {name: value for name, value in asdict(estimate).items() if name != "key"}


def _pair_content(pair: Pair) -> dict[str, Any]:
    verdict = pair.verdict
    return {
        "before": pair.before,
        "after": pair.after,
        "is_parent": pair.is_parent,
        "config_changes": [_change_content(change) for change in pair.changes],
        "differences": {
            key: {**_estimate_content(difference), "family": pair.families.get(key)}
            for key, difference in pair.differences.items()
        },
        "verdict": {
            "outcome": verdict.outcome.value if verdict.outcome else None,
            "sentence": verdict.sentence,
            "judgements": [
                {
                    "key": judgement.key,
                    "expected": judgement.expected,
                    "outcome": judgement.outcome.value,
                    "sentence": judgement.sentence,
                }
                for judgement in verdict.judgements
            ],
        },
    }


def _change_content(change: Change) -> dict[str, Any]:
    """A change; a side that is absent is left out."""
    sides = {"before": change.before, "after": change.after}
    return {"key": change.key} | {k: v for k, v in sides.items() if v is not ABSENT}


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as a Markdown document."""
    title = f"Comparison on {comparison.split}"
    blocks = [markdown.heading(1, f"{title} ({FORCED})" if comparison.forced else title)]
    blocks.append(_bullets(facts(comparison)))
    if cautions(comparison):
        blocks.append(markdown.bullets(cautions(comparison)))
    blocks += _section(figures_table(comparison), level=2)
    if comparison.pairs:
        blocks.append("The best of each column is bold.")
        caption = "differences with their 95 % intervals"
        blocks.append(markdown.figure(PICTURE_FILE, caption))
        blocks.append(markdown.heading(2, "What these images can show"))
        blocks.append(markdown.bullets(detectable_sentences(comparison)))
    for pair in comparison.pairs:
        blocks += _pair_blocks(comparison, pair)
    if comparison.notes:
        blocks += [markdown.heading(2, "Notes"), markdown.bullets(comparison.notes)]
    blocks += [markdown.heading(2, "How to read this"), _bullets(READING)]
    return "\n\n".join(blocks) + "\n"


def _section(content: TextTable, level: int) -> list[str]:
    rows = [[markdown.bold(c.text) if c.best else c.text for c in row] for row in content.rows]
    return [markdown.heading(level, content.title), markdown.table(content.header, rows)]


def _bullets(items: Mapping[str, str]) -> str:
    return markdown.bullets(
        markdown.say("{name}: {text}", name=markdown.bold(name), text=text)
        for name, text in items.items()
    )


def _pair_blocks(comparison: Comparison, pair: Pair) -> list[str]:
    """A pair: the hypothesis, the verdict, the differences, what the configs differ in."""
    blocks = _section(pair_table(comparison, pair), level=2)
    verdict = {f"verdict: {outcome_word(pair)}": pair.verdict.sentence}
    blocks.insert(1, _bullets({**hypothesis_facts(comparison, pair.after), **verdict}))
    if pair.verdict.judgements:
        blocks.append(markdown.bullets(item.sentence for item in pair.verdict.judgements))
    changes = "\n".join(map(format_change, pair.changes)) or "nothing but the seed"
    heading = markdown.say("Config of {b} to config of {a}:", b=pair.before, a=pair.after)
    return [*blocks, heading, markdown.code_block(changes)]


def draw_comparison(comparison: Comparison, path: Path) -> Path:
    """Draw the differences of all pairs, or the figures where there is no pair."""
    mark = "FORCED, not comparable: " if comparison.forced else ""
    title = f"{mark}{comparison.split}, {len(comparison.sample_ids)} images"
    if comparison.pairs:
        rows = [row for pair in comparison.pairs for row in _difference_rows(comparison, pair)]
        return plot_differences(rows, path, title)
    figures = [
        MetricRow(row.id, key, estimate.value, estimate.interval.low, estimate.interval.high)
        for key in comparison.keys
        for row in comparison.rows
        for estimate in [row.estimates[key]]
    ]
    palette = comparison.rows[0].runs[0].metrics["palette"]
    return plot_run_metrics(figures, path, comparison.classes, palette, title)


def _difference_rows(comparison: Comparison, pair: Pair) -> list[DifferenceRow]:
    outcomes = {item.key: item.outcome.value for item in pair.verdict.judgements}
    return [
        DifferenceRow(
            f"{pair.after} - {pair.before}",
            key,
            difference.value,
            difference.interval.low,
            difference.interval.high,
            outcomes.get(key),
            pair.families.get(key) == "confirmatory",
        )
        for key, difference in pair.differences.items()
        if key in comparison.keys or key in pair.families
    ]
