"""What a pair of hypotheses that differ in their train masks found, in words and as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from seglab.analysis.comparison import Comparison, Pair
from seglab.analysis.comparison_files import comparison_content
from seglab.analysis.comparison_tables import cautions, detectable_sentences, pair_table
from seglab.analysis.report import markdown
from seglab.analysis.report.numbers import NONE, between, fixed, quantity, share, signed
from seglab.analysis.verdict import Outcome

GAIN_FILE, DOCUMENT_FILE = "repair_gain.json", "repair_gain.md"
SCHEMA = 1
_WORDS = {
    Outcome.SUPPORTED: "it rose: the other masks helped",
    Outcome.NOT_SUPPORTED: "it fell: the other masks did harm",
    Outcome.UNDECIDED: "undecided, this may be chance",
    None: "not judged",
}


def only_pair(comparison: Comparison) -> Pair:
    """The pair of a comparison of two hypotheses.

    Raises:
        ValueError: There are more.
    """
    (pair,) = comparison.pairs
    return pair


def difference_words(comparison: Comparison) -> str:
    """The difference in mDice with its interval: '+0.40 points [-1.02 to +1.90]'."""
    difference = only_pair(comparison).differences["mDice"]
    interval = between(difference.interval, sign=True)
    shown = "no interval" if interval == NONE else interval
    return f"{signed(difference.value)} points [{shown}]"


def gain_sentence(comparison: Comparison) -> str:
    """What was found, whichever way it went, and what could have been found.

    Args:
        comparison: Of the two hypotheses, all their seeds together.
    """
    pair = only_pair(comparison)
    seeds = quantity(len(comparison.row(pair.after).runs), "seed")
    images = quantity(len(comparison.sample_ids), "image")
    (detectable,) = detectable_sentences(comparison)
    return (
        f"{comparison.split} mDice changed by {difference_words(comparison)} over {seeds} and "
        f"{images}: {_WORDS[pair.verdict.outcome]}. {detectable}"
    )


def gain_content(
    comparison: Comparison, by_seed: Mapping[int, Comparison], masks: Mapping[str, Any]
) -> dict[str, Any]:
    """The finding as plain data: differences in points, unrounded.

    Args:
        comparison: Of the two hypotheses, all their seeds together.
        by_seed: Seed -> the comparison of its two runs alone.
        masks: How the train masks differ.
    """
    pair = only_pair(comparison)
    content = comparison_content(comparison)
    return {
        "schema": SCHEMA,
        "sentence": gain_sentence(comparison),
        "split": comparison.split,
        "images": len(comparison.sample_ids),
        "before": pair.before,
        "after": pair.after,
        "seeds": list(by_seed),
        "train_masks": dict(masks),
        "config_changes": content["pairs"][0]["config_changes"],
        "mDice": content["pairs"][0]["differences"]["mDice"],
        "verdict": content["pairs"][0]["verdict"],
        "per_seed": [
            {"seed": seed, "mDice": asdict(only_pair(alone).differences["mDice"])}
            for seed, alone in by_seed.items()
        ],
        "cautions": cautions(comparison),
        "notes": list(comparison.notes),
    }


def gain_document(
    comparison: Comparison, by_seed: Mapping[int, Comparison], masks: Mapping[str, Any]
) -> str:
    """The finding as Markdown, for those who read nothing else.

    Args:
        comparison: Of the two hypotheses, all their seeds together.
        by_seed: Seed -> the comparison of its two runs alone.
        masks: How the train masks differ: `masks`, `changed`, `pixels`, `changed_pixels`.
    """
    pair = only_pair(comparison)
    changed = (
        f"{masks['changed']} of {quantity(masks['masks'], 'train mask')} differ between the two, "
        f"in {share(masks['changed_pixels'], masks['pixels'], 2)} of all pixels."
    )
    rows = []
    for seed, alone in by_seed.items():
        figures = [alone.row(name).estimates["mDice"].value for name in (pair.before, pair.after)]
        rows.append([seed, *map(fixed, figures), difference_words(alone)])
    together = pair_table(comparison, pair)
    blocks = [
        markdown.heading(1, f"Did it help? {pair.after} against {pair.before}"),
        gain_sentence(comparison),
        changed,
        markdown.bullets([*cautions(comparison), *comparison.notes]),
        markdown.heading(2, "Seed by seed"),
        "Dice over the classes in percent; an interval here is over images alone.",
        markdown.table(["seed", pair.before, pair.after, "difference in mDice"], rows),
        markdown.heading(2, together.title),
        markdown.table(together.header, [[cell.text for cell in row] for row in together.rows]),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"
