"""One suspicion for each mask, and its reasons in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seglab.data.auditing.components import FLIPPED, MISSING, SPURIOUS, FloatArray, Region
from seglab.data.auditing.components import disagreement_regions as _disagreements
from seglab.data.auditing.rules import (
    DUPLICATE,
    HOLE,
    JAGGED,
    MIXED,
    SLIVER,
    SPECK,
    rule_regions,
)
from seglab.data.auditing.scores import image_scores
from seglab.data.auditing.second_opinion import (
    UNLABELLED,
    Opinion,
    Witness,
    best_witness,
    unlabelled_regions,
    without_other_animals,
    witness_region,
)
from seglab.utils.masks import BACKGROUND, MaskArray

#: How much a label on what the model calls background counts beside an object without a label:
#: small models overlook animals that a person has outlined far more often than they invent some.
#: Chosen with the 99 human-corrected masks of the real data in sight: their figures are optimistic.
SPURIOUS_SHARE = 0.5
#: How much a class flip counts: a small model confuses classes about as often as annotators do.
CLASS_SHARE = 0.5
#: What is left of the model's suspicion where a detector that segments saw nothing at all.
SILENT_SHARE = 0.1
#: What a rule adds to the suspicion for each region it finds, and at most in all. The shares are
#: small: a mask with a speck is untidy, one without its animal is wrong.
RULE_SHARE = {SPECK: 0.03, HOLE: 0.03, JAGGED: 0.1, MIXED: 0.05}
RULE_LIMIT = 0.3
#: What a grave finding adds, once. None of the objects in human masks is a sliver; where the
#: detector was sure of an animal without a label, 4 masks of 5 were bad.
GRAVE_SHARE = {DUPLICATE: 0.5, UNLABELLED: 0.3, SLIVER: 0.2}
#: What is left of the rules where a witness has looked: it sees more than a rule does.
RULES_BESIDE = 0.1
_NAMED_WEIGHT = 0.05  # a region is named where it is this share of the image's objects
_NAMED = 4
_CONFIRMED = 0.8  # at this IoU somebody outlines an object as the mask does
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
    opinion: Opinion | None = None,
    ignore_index: int = 255,
) -> Verdict:
    """Judge one mask.

    Args:
        sample_id: Its image's path.
        mask: (H, W) class indices.
        probabilities: (C, H, W) out-of-fold probabilities; None to go without them.
        classes: Class names.
        conflicts: Identical images whose masks differ from this one.
        opinion: A detector's, from `second_opinion.ask`; None to go without it.
        ignore_index: Label of pixels that are not judged.
    """
    judged = np.where(mask == ignore_index, BACKGROUND, mask)
    opinion = opinion or Opinion()
    regions: list[Region] = []
    scores: dict[str, float] = {}
    if probabilities is not None:
        probabilities = without_other_animals(probabilities, opinion.detections)
        regions = _disagreements(mask, probabilities, ignore_index)
        scores = image_scores(mask, probabilities, regions, ignore_index)
    rules = rule_regions(mask, ignore_index=ignore_index)
    unlabelled = unlabelled_regions(mask, opinion.detections)
    witness = best_witness(judged, probabilities, opinion)
    if opinion.closer is not None:
        scores["unconfirmed"] = 1 - witness.agreement if witness else 0.0
    kinds = Counter(region.kind for region in [*rules, *unlabelled])
    kinds[DUPLICATE] = int(bool(conflicts))
    suspicion = _with_rules(_seen_part(scores, witness), kinds, RULES_BESIDE if witness else 1.0)
    named = _weighty(regions, int((judged != BACKGROUND).sum()))
    reasons = [_sentence(region, classes) for region in [*named, *unlabelled]]
    reasons += [f"the same photograph has another mask: {other}" for other in conflicts]
    reasons += _rule_sentences(rules)
    shown = [*named, *unlabelled, *rules]
    if witness and witness.agreement < _CONFIRMED:
        best = f"{witness.name}, IoU {witness.agreement:.2f}"
        reasons.append(f"no witness confirms it (best: {best})")
        shown.append(witness_region(witness))
    return Verdict(sample_id, suspicion, scores, tuple(dict.fromkeys(reasons)), tuple(shown))


def _weighty(regions: Sequence[Region], labelled: int) -> list[Region]:
    """The regions worth naming: a share of the objects, a few at most."""
    objects = max(1, labelled, round(sum(region.weight for region in regions)))
    return [r for r in regions if r.weight >= _NAMED_WEIGHT * objects][:_NAMED]


def _seen_part(scores: Mapping[str, float], witness: Witness | None) -> float:
    """What model and detector make of a mask, 0 to 1.

    With a witness its disagreement, 1 - IoU. Else what the model says alone: objects in dispute,
    or else their class, 1 - (1 - objects) (1 - share * class flip); only a tenth of it where a
    detector that segments was asked and saw nothing, for then the photograph is hard.
    """
    if witness:
        return scores["unconfirmed"]
    if "missing" not in scores:
        return 0.0
    objects = scores["missing"] + SPURIOUS_SHARE * scores["spurious"]
    alone = 1 - (1 - objects) * (1 - CLASS_SHARE * scores["class_flip"])
    return SILENT_SHARE * alone if "unconfirmed" in scores else alone


def _with_rules(seen: float, kinds: Mapping[str, int], weight: float) -> float:
    """What was seen, raised by each finding: 1 - (1 - seen) (1 - weight * share) ..."""
    tidy = min(sum(RULE_SHARE[kind] * kinds.get(kind, 0) for kind in RULE_SHARE), RULE_LIMIT)
    shares = [tidy, *(share for kind, share in GRAVE_SHARE.items() if kinds.get(kind))]
    return 1 - (1 - seen) * math.prod(1 - weight * share for share in shares)


def rank(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The most suspicious first; equals by id."""
    return sorted(verdicts, key=lambda verdict: (-verdict.suspicion, verdict.sample_id))


def _sentence(region: Region, classes: Sequence[str]) -> str:
    label, seen = classes[region.labelled], classes[region.predicted]
    an_object = f"{'an' if seen[0].lower() in 'aeiou' else 'a'} {seen}"
    belief = "is sure of" if region.confidence >= _SURE else "suspects"
    size = f"{region.area} px, the model {100 * region.confidence:.0f} % sure"
    return {
        MISSING: f"{an_object} the model {belief} is missing ({size})",
        SPURIOUS: f"mask covers background: {label} where the model sees none ({size})",
        FLIPPED: f"{seen} labelled {label} ({size})",
        UNLABELLED: f"{an_object} that the detector sees has no label "
        f"({region.area} px, {100 * region.confidence:.0f} % sure)",
    }[region.kind]


def _rule_sentences(regions: Sequence[Region]) -> list[str]:
    """One sentence for each rule that found something."""
    sentences = {
        SPECK: "{} speck(s): parts of a few pixels",
        HOLE: "{} small hole(s) in an object",
        SLIVER: "{} sliver(s): objects that are long and very thin",
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
        "outline": [[list(point) for point in line] for line in region.outline],
    }
