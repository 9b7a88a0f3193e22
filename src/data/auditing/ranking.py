"""One suspicion for each mask, and its reasons in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seglab.data.auditing.components import FLIPPED, MISSING, SPURIOUS, FloatArray, Region
from seglab.data.auditing.components import disagreement_regions as _disagreements
from seglab.data.auditing.rules import DUPLICATE, HOLE, JAGGED, MIXED, SPECK, rule_regions
from seglab.data.auditing.scores import image_scores
from seglab.utils.masks import MaskArray

#: How much a label on what the model calls background counts beside an object without a label:
#: small models overlook animals that a person has outlined far more often than they invent some.
#: Chosen with the 99 human-corrected masks of the real data in sight: their figures are optimistic.
SPURIOUS_SHARE = 0.5
#: How much a class flip counts: a small model confuses classes about as often as annotators do.
CLASS_SHARE = 0.5
#: What a rule adds to the suspicion for each region it finds, and at most in all. The shares are
#: small: a mask with a speck is untidy, one without its animal is wrong.
RULE_SHARE = {SPECK: 0.01, HOLE: 0.01, JAGGED: 0.05, MIXED: 0.05, DUPLICATE: 0.5}
RULE_LIMIT = 0.1
_NAMED_WEIGHT = 0.05  # a region is named where it is this share of the image's objects
_NAMED = 4
_SURE = 0.7  # below it the words say that the model is in doubt


@dataclass(frozen=True)
class Verdict:
    """What the audit says of one mask.

    Attributes:
        sample_id: The image's path relative to the split.
        suspicion: 0 to 1; masks are ranked by it.
        scores: Every figure, see `image_scores`; empty without predictions.
        reasons: In words, the weightiest first.
        regions: The regions that the reasons are about.
    """

    sample_id: str
    suspicion: float
    scores: dict[str, float]
    reasons: tuple[str, ...]
    regions: tuple[Region, ...]


def judge(
    sample_id: str,
    mask: MaskArray,
    probabilities: FloatArray | None,
    classes: Sequence[str],
    conflicts: Sequence[str] = (),
    ignore_index: int = 255,
) -> Verdict:
    """Judge one mask.

    Args:
        sample_id: Its image's path.
        mask: (H, W) class indices.
        probabilities: (C, H, W) out-of-fold probabilities; None to apply the rules only.
        classes: Class names.
        conflicts: Identical images whose masks differ from this one.
        ignore_index: Label of pixels that are not judged.
    """
    rules = rule_regions(mask, ignore_index=ignore_index)
    regions: list[Region] = []
    scores: dict[str, float] = {}
    if probabilities is not None:
        regions = _disagreements(mask, probabilities, ignore_index)
        scores = image_scores(mask, probabilities, regions, ignore_index)
    objects = max(1, int(((mask != 0) & (mask != ignore_index)).sum()))
    objects = max(objects, round(sum(region.weight for region in regions)))
    named = [r for r in regions if r.weight >= _NAMED_WEIGHT * objects][:_NAMED]
    reasons = [_sentence(region, classes) for region in named]
    reasons += [f"the same photograph has another mask: {other}" for other in conflicts]
    reasons += _rule_sentences(rules)
    model = _model_part(scores) if scores else 0.0
    suspicion = _with_rules(model, Counter(region.kind for region in rules), len(conflicts))
    shown = tuple(named + rules)
    return Verdict(sample_id, suspicion, scores, tuple(dict.fromkeys(reasons)), shown)


def _model_part(scores: Mapping[str, float]) -> float:
    """Objects in dispute, or else their class: 1 - (1 - objects) (1 - share * class flip)."""
    objects = scores["missing"] + SPURIOUS_SHARE * scores["spurious"]
    return 1 - (1 - objects) * (1 - CLASS_SHARE * scores["class_flip"])


def _with_rules(model: float, counts: Mapping[str, int], conflicts: int) -> float:
    """The model's figure, raised by the rules: 1 - (1 - model) (1 - rules)."""
    tidy = min(sum(RULE_SHARE[kind] * count for kind, count in counts.items()), RULE_LIMIT)
    keep = (1 - model) * (1 - tidy) * (1 - (RULE_SHARE[DUPLICATE] if conflicts else 0.0))
    return 1 - keep


def rank(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The most suspicious first; equals by id."""
    return sorted(verdicts, key=lambda verdict: (-verdict.suspicion, verdict.sample_id))


def _sentence(region: Region, classes: Sequence[str]) -> str:
    label, seen = classes[region.labelled], classes[region.predicted]
    belief = "is sure of" if region.confidence >= _SURE else "suspects"
    size = f"{region.area} px, the model {100 * region.confidence:.0f} % sure"
    return {
        MISSING: f"a {seen} the model {belief} is missing ({size})",
        SPURIOUS: f"mask covers background: {label} where the model sees none ({size})",
        FLIPPED: f"{seen} labelled {label} ({size})",
    }[region.kind]


def _rule_sentences(regions: Sequence[Region]) -> list[str]:
    """One sentence for each rule that found something."""
    sentences = {
        SPECK: "{} speck(s): parts of a few pixels",
        HOLE: "{} small hole(s) in an object",
        JAGGED: "{} object(s) with a jagged outline",
        MIXED: "{} connected object(s) of mixed classes",
    }
    counts = Counter(region.kind for region in regions)
    return [text.format(counts[kind]) for kind, text in sentences.items() if counts[kind]]


def plain_region(region: Region) -> dict[str, object]:
    """A region as `audit.json` holds it."""
    sure = None if math.isnan(region.confidence) else region.confidence
    return {
        "kind": region.kind,
        "box": list(region.box),
        "area": region.area,
        "confidence": sure,
        "labelled": region.labelled,
        "predicted": region.predicted,
    }
