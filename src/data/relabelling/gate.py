"""The gate: is a new mask taken, thrown away, or shown to a person?

The written rule, in this order:

1. `person`: an object is in doubt (see the merge rule), or the new mask would hold no object.
2. `rejected`: nothing changes; no object of the old mask was contradicted, and it stays.
3. `person`: out-of-fold predictions are given and the new mask fits them worse than the old one
   by more than `worse` (foreground, `soft_iou`).
4. `accepted`: all else: each change rests on a sure detection, a sure segment and, where there are
   predictions, on their support.

Only accepted masks go into the output folder; in place of the others lie the old ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from seglab.data.detection.geometry import mask_iou
from seglab.data.relabelling.candidates import FloatArray
from seglab.data.relabelling.merging import CHANGES, DOUBT, Mask, Merged, soft_iou
from seglab.utils.masks import BACKGROUND

ACCEPTED, REJECTED, PERSON = "accepted", "rejected", "person"
DECISIONS = (ACCEPTED, REJECTED, PERSON)


@dataclass(frozen=True)
class GateRule:
    """The gate's own threshold; the merge rule carries the others.

    Attributes:
        worse: A new mask may fit the prediction worse by this much.
    """

    worse: float = 0.02


@dataclass(frozen=True)
class Verdict:
    """A decision, why, and the figures that it rests on."""

    decision: str
    reasons: tuple[str, ...]
    figures: dict[str, float | None]


def judge(
    old: Mask,
    merged: Merged,
    probabilities: FloatArray | None,
    rule: GateRule,
    ignore_index: int = 255,
) -> Verdict:
    """Apply the rule of this module to one mask.

    Args:
        old: (H, W) uint8 class indices.
        merged: From `merge`.
        probabilities: (C, H, W) out-of-fold probabilities, or None.
        rule: The thresholds.
        ignore_index: Label of pixels that belong to no class.
    """
    before, after = ((mask != BACKGROUND) & (mask != ignore_index) for mask in (old, merged.mask))
    fits: list[float | None] = [None, None]
    if probabilities is not None:
        foreground = (1 - probabilities[BACKGROUND]) * (old != ignore_index)
        fits = [soft_iou(before, foreground), soft_iou(after, foreground)]
    changes = [edit for edit in merged.edits if edit.kind in CHANGES]
    figures: dict[str, float | None] = {
        "agreement_with_old": mask_iou(before, after),
        "prediction_fits_old": fits[0],
        "prediction_fits_new": fits[1],
        "lowest_confidence": _lowest([edit.confidence for edit in changes]),
        "lowest_score": _lowest([edit.score for edit in changes]),
    }
    doubts = [edit.reason for edit in merged.edits if edit.kind == DOUBT]
    words = [f"{edit.kind}: {edit.reason}" for edit in changes]
    if doubts:
        return Verdict(
            PERSON, tuple(f"in doubt: {text}" for text in doubts) + tuple(words), figures
        )
    if not after.any():
        reason = "no object would be left" if before.any() else "no animal was found"
        return Verdict(PERSON, (reason, *words), figures)
    if not changes:
        return Verdict(REJECTED, ("no object of the old mask was contradicted",), figures)
    if fits[0] is not None and fits[1] is not None and fits[1] < fits[0] - rule.worse:
        reason = f"the prediction fits the new mask worse ({fits[0]:.2f} before, {fits[1]:.2f} now)"
        return Verdict(PERSON, (reason, *words), figures)
    return Verdict(ACCEPTED, tuple(words), figures)


def plain_edits(merged: Merged) -> list[dict[str, Any]]:
    """The edits as `relabel.json` holds them."""
    return [asdict(edit) for edit in merged.edits]


def _lowest(values: list[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)
