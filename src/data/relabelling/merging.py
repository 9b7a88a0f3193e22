"""The merge rule: edit an old mask as little as the evidence asks for.

A listed mask is often bad in one place only, and many that are listed are right. So each object is
decided by itself. An object of the old mask is a connected part of one class.

1. Each old object is tied to the candidate (an animal that was found and outlined) whose outline
   holds the largest share of it, at least half; else to the one whose box holds most of it, at
   least half. A candidate half of which lies in an old object is tied to it as well. What is tied
   is decided together.
2. Where the candidates' outlines agree with the old objects these stay to the pixel.
3. A candidate that is sure and has no old object is added.
4. Candidates that are sure and disagree with their old objects replace them, unless the
   out-of-fold prediction, where there is one, does not prefer the new outline clearly. Where only
   the outline is in question detector and segmenter have to be surer. A segmenter of imprecise
   outlines (GrabCut) replaces nothing without a prediction.
5. An old object of no candidate stays where the prediction supports it, else it stays in doubt.
   It is removed where the prediction sees background and an animal was found where the old mask
   had none, and where it is an unsupported speck.
6. A class is changed only where the detector contradicts it clearly and the prediction, where
   there is one, agrees with the detector. Where the detector is silent the old class stays.

Everything unsure leaves the old pixels alone and is noted as a doubt. Ignored pixels stay ignored,
and count for nothing in any comparison.
Where objects overlap, what stayed lies over what is new, and the more confident over the less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from seglab.data.detection.geometry import Box, bounding_box, mask_iou
from seglab.data.detection.interface import BoolArray
from seglab.data.relabelling.candidates import DETECTOR, PREDICTION, Candidate, FloatArray
from seglab.data.relabelling.parts import Part, parts_of
from seglab.utils.masks import BACKGROUND

Mask = npt.NDArray[np.uint8]
KEPT, ADDED, REPLACED, REMOVED, RELABELLED = "kept", "added", "replaced", "removed", "relabelled"
DOUBT, IGNORED = "doubt", "ignored"
CHANGES = (ADDED, REPLACED, REMOVED, RELABELLED)
_OWN_MASK, _OWN_BOX = 0.5, 0.5
_MARGIN = 8  # pixels around an object in which the prediction is compared


@dataclass(frozen=True)
class MergeRule:
    """The thresholds of the merge rule; chosen with human masks in sight, see the benchmark.

    Attributes:
        confirmed: Outlines and old objects agree from this IoU on.
        off: Below this IoU an old object is off the animal; between it and `confirmed` only its
            outline is in question.
        confidence: A detection is sure from this confidence on.
        confidence_outline: For an outline alone it has to be surer.
        alone: Without a prediction the detector has to be surer by this much.
        score: A segment is sure from this score on.
        score_outline: For an outline alone it has to be surer.
        score_noise: What was found anew with a lower score is noise, not worth a person's time.
        gain_off: Where there is a prediction, what replaces an object that is off fits it better
            by this much, see `soft_iou`.
        gain_outline: The same for an outline alone.
        support: Mean foreground probability that the prediction gives to an object that is added,
            and to one that stays although the detector is silent.
        background: Below this mean probability such an old object goes.
        class_lead: A class is changed where the detector leads its rival by this confidence.
        speck: An object of at most this share of the image is a speck.
        recognised: Whether the segmenter confirms what only the prediction saw.
        outlines: Whether an outline that is merely imprecise is replaced.
    """

    confirmed: float = 0.79
    off: float = 0.6
    confidence: float = 0.5
    confidence_outline: float = 0.65
    alone: float = 0.1
    score: float = 0.4
    score_outline: float = 0.8
    score_noise: float = 0.3
    gain_off: float = 0.2
    gain_outline: float = 0.015
    support: float = 0.3
    background: float = 0.15
    class_lead: float = 0.3
    speck: float = 0.0006
    recognised: bool = True
    outlines: bool = True


@dataclass(frozen=True)
class Edit:
    """What was decided about one object.

    Attributes:
        kind: `KEPT`, one of `CHANGES`, `DOUBT`, or `IGNORED`.
        label: Class index in the new mask (in the old one for what was removed).
        area: Pixels of the object.
        box: Its bounding box.
        reason: In words.
        confidence: The detector's, None where it is silent.
        score: The segmenter's, None where none was asked.
        overlap: IoU with the old objects, None where there is one side only.
        support: Mean foreground probability of the prediction there, None without predictions.
    """

    kind: str
    label: int
    area: int
    box: Box
    reason: str
    confidence: float | None = None
    score: float | None = None
    overlap: float | None = None
    support: float | None = None


@dataclass(frozen=True)
class Merged:
    """A new mask and how it came about.

    Attributes:
        mask: (H, W) uint8; doubts leave the old pixels alone.
        proposal: The same with the doubtful outlines too: what a person is shown.
        edits: What was decided about each object.
    """

    mask: Mask
    proposal: Mask
    edits: tuple[Edit, ...]


def merge(
    old: Mask,
    candidates: Sequence[Candidate],
    probabilities: FloatArray | None,
    rule: MergeRule,
    ignore_index: int = 255,
) -> Merged:
    """Apply the rule of this module.

    Args:
        old: (H, W) uint8 class indices.
        candidates: From `distinct`.
        probabilities: (C, H, W) out-of-fold probabilities, or None.
        rule: The thresholds.
        ignore_index: Label of pixels that stay as they are.
    """
    return _Merger(old, probabilities, rule, ignore_index).run(candidates)


def soft_iou(mask: BoolArray, probability: FloatArray) -> float:
    """IoU of a mask and a probability of the same shape: sum(m p) / sum(m + p - m p)."""
    common = float(probability[mask].sum())
    union = float(mask.sum()) + float(probability.sum()) - common
    return common / union if union > 0 else 1.0


@dataclass(frozen=True)
class _Group:
    """Old objects and candidates that are about the same pixels; the surest candidate first."""

    parts: tuple[Part, ...]
    candidates: tuple[Candidate, ...]

    @property
    def old(self) -> BoolArray:
        mask = np.zeros_like(self.candidates[0].mask)
        for part in self.parts:
            mask[part.window] |= part.inside
        return mask

    @property
    def new(self) -> BoolArray:
        return np.asarray(np.any([each.mask for each in self.candidates], axis=0))


class _Merger:
    """One mask's merge; holds what each step needs."""

    def __init__(
        self,
        old: Mask,
        probabilities: FloatArray | None,
        rule: MergeRule,
        ignore_index: int,
    ) -> None:
        self._old, self._rule, self._ignore = old, rule, ignore_index
        self._probabilities = probabilities
        self._visible = old != ignore_index
        self._foreground = (
            None if probabilities is None else (1 - probabilities[BACKGROUND]) * self._visible
        )
        self._edits: list[Edit] = []
        self._fresh: list[tuple[int, BoolArray]] = []  # the surest first
        self._moved = False  # whether an animal was found where the old mask had none
        self._stayed = np.zeros_like(old)  # classes of the old objects that stay
        self._doubted: list[tuple[int, BoolArray]] = []  # new outlines that are not sure

    def run(self, candidates: Sequence[Candidate]) -> Merged:
        """Decide each group of objects and paint the new mask."""
        labels = [int(v) for v in np.unique(self._old) if v not in (BACKGROUND, self._ignore)]
        parts = [part for v in labels for part in parts_of(self._old == v, v)]
        unseen = []
        for group in _groups(parts, self._cut(candidates)):
            if not group.candidates:
                unseen.append(group.parts[0])
            elif not group.parts:
                self._decide_new(group.candidates[0])
            else:
                self._decide(group)
        for part in unseen:
            self._decide_unseen(part)
        # A doubtful outline lies over the old one that it would replace.
        proposal = self._paint(self._doubted)
        return Merged(self._paint([]), proposal, tuple(self._edits))

    def _cut(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates without ignored pixels: nobody knows what is right there."""
        cut = [
            replace(each, segment=replace(each.segment, mask=each.mask & self._visible))
            for each in candidates
        ]
        return [each for each in cut if each.mask.any()]

    def _paint(self, doubted: Sequence[tuple[int, BoolArray]]) -> Mask:
        mask = np.zeros_like(self._old)
        for label, where in reversed(self._fresh):
            mask[where] = label
        mask = np.where(self._stayed != BACKGROUND, self._stayed, mask)
        for label, where in reversed(doubted):
            mask[where] = label
        mask[self._old == self._ignore] = self._ignore
        return mask

    def _decide(self, group: _Group) -> None:
        """What becomes of old objects that candidates are about."""
        overlap = mask_iou(group.old, group.new)
        lead = group.candidates[0]
        if overlap >= self._rule.confirmed:
            self._keep(group, overlap, KEPT, "the detector confirms it")
            return
        why = self._against_replacing(group, overlap)
        if why is None:
            before = f"the old outline overlaps what was found by {overlap:.2f} only"
            label, note = self._class_of(group)
            for candidate in group.candidates:
                other = label if len(group.candidates) == 1 else candidate.label
                self._fresh.append((other, candidate.mask))
            self._moved |= overlap < self._rule.off
            self._note(REPLACED, label, group.new, before + note, lead, overlap)
        else:
            reason = f"the old outline overlaps what was found by {overlap:.2f} only, but {why}"
            self._keep(group, overlap, DOUBT, reason)
            self._doubted += [(BACKGROUND, group.old), (lead.label, group.new)][::-1]

    def _against_replacing(self, group: _Group, overlap: float) -> str | None:
        """Why the old outline is not replaced, None where it is."""
        rule, lead = self._rule, group.candidates[0]
        if overlap >= rule.off and not rule.outlines:
            return "the segmenter's outlines are not precise enough to replace it"
        if lead.prompt.source == PREDICTION and not rule.recognised:
            return "only the prediction sees it"
        if lead.segment.score < (rule.score if overlap < rule.off else rule.score_outline):
            return f"the segmenter's score is only {lead.segment.score:.2f}"
        gain = self._gain(group.new, group.old)
        if gain is None and not rule.outlines:
            return "the segmenter's outlines are not precise enough, and there is no prediction"
        if overlap < rule.off:
            needed, least = rule.confidence, rule.gain_off
        else:
            needed, least = rule.confidence_outline, rule.gain_outline
        if gain is None:
            needed += rule.alone
        if lead.confidence < needed:
            return f"the {lead.prompt.source} is only {lead.confidence:.2f} sure"
        if gain is not None and gain < least:
            return f"the prediction does not prefer the new outline clearly ({gain:+.2f})"
        return None

    def _decide_new(self, candidate: Candidate) -> None:
        """What becomes of a candidate without an old object."""
        doubt = self._against_adding(candidate)
        reason = "an animal that the old mask lacks"
        if doubt is None:
            self._fresh.append((candidate.label, candidate.mask))
            self._moved = True
            self._note(ADDED, candidate.label, candidate.mask, reason, candidate)
            return
        weak = candidate.segment.score < self._rule.score_noise
        reason = f"perhaps {reason}, but {doubt}"
        kind = IGNORED if weak else DOUBT
        if not weak:
            self._doubted.append((candidate.label, candidate.mask))
        self._note(kind, candidate.label, candidate.mask, reason, candidate)

    def _against_adding(self, candidate: Candidate) -> str | None:
        rule = self._rule
        if candidate.prompt.source == PREDICTION and not rule.recognised:
            return "only the prediction sees it"
        needed = rule.confidence + (rule.alone if self._foreground is None else 0.0)
        if candidate.confidence < needed:
            return f"the {candidate.prompt.source} is only {candidate.confidence:.2f} sure"
        if candidate.segment.score < rule.score:
            return f"the segmenter's score is only {candidate.segment.score:.2f}"
        support = self._support(candidate.mask)
        if support is not None and support < rule.support:
            return f"the prediction gives it only {support:.2f} foreground"
        return None

    def _decide_unseen(self, part: Part) -> None:
        """What becomes of an old object that belongs to no candidate."""
        support = None if self._foreground is None else part.mean(self._foreground)
        speck = part.area <= self._rule.speck * self._old.size
        kind = KEPT
        reason = "the detector is silent, the prediction supports it"
        if support is None and not speck:
            kind, reason = DOUBT, "the detector is silent and there is no prediction"
        elif speck and (support is None or support < self._rule.support):
            kind, reason = REMOVED, "a speck that nothing supports"
        elif support is not None and support < self._rule.support:
            kind, reason = DOUBT, f"the detector is silent, the prediction gives {support:.2f}"
            # Both overlook animals: alone they take none away, but what stands elsewhere moved.
            if support < self._rule.background and self._moved:
                kind, reason = REMOVED, "neither detector nor prediction sees anything here"
        if kind != REMOVED:
            self._stay(part, part.label)
        self._edits.append(Edit(kind, part.label, part.area, part.box, reason, support=support))

    def _stay(self, part: Part, label: int) -> None:
        self._stayed[part.window][part.inside] = label

    def _keep(self, group: _Group, overlap: float, kind: str, reason: str) -> None:
        """Leave the old pixels, perhaps under another class."""
        label, note = self._class_of(group)
        for part in group.parts:
            self._stay(part, label if note else part.label)
        if note and kind == KEPT:
            kind = RELABELLED
        self._note(kind, label, group.old, reason + note, group.candidates[0], overlap)

    def _class_of(self, group: _Group) -> tuple[int, str]:
        """The class of an object, and words where it is not the old one."""
        areas: dict[int, int] = {}
        for part in group.parts:
            areas[part.label] = areas.get(part.label, 0) + part.area
        old = max(areas, key=lambda label: (areas[label], -label))
        lead = group.candidates[0]
        other = lead.label
        # Several animals in one object: their classes are not one object's to change.
        if {each.label for each in group.candidates} != {other} or set(areas) == {other}:
            return old, ""
        clear = lead.prompt.source == DETECTOR and lead.confidence >= self._rule.confidence
        clear = clear and lead.confidence - lead.prompt.rival >= self._rule.class_lead
        if clear and self._probabilities is not None:
            means = self._probabilities[1:, group.old | group.new].mean(axis=1)
            clear = int(means.argmax()) + 1 == other
        return (other, f"; class {old} is contradicted: it is {other}") if clear else (old, "")

    def _gain(self, new: BoolArray, before: BoolArray) -> float | None:
        """How much better the new outline fits the prediction, None without one."""
        box = bounding_box(new | before)
        if self._foreground is None or box is None:
            return None
        left, top, right, bottom = (int(value) for value in box)
        window = (
            slice(max(0, top - _MARGIN), bottom + _MARGIN),
            slice(max(0, left - _MARGIN), right + _MARGIN),
        )
        there = self._foreground[window]
        return soft_iou(new[window], there) - soft_iou(before[window], there)

    def _support(self, where: BoolArray) -> float | None:
        return None if self._foreground is None else float(self._foreground[where].mean())

    def _note(
        self,
        kind: str,
        label: int,
        where: BoolArray,
        reason: str,
        lead: Candidate,
        overlap: float | None = None,
    ) -> None:
        box = bounding_box(where)
        assert box is not None
        area, support = int(where.sum()), self._support(where)
        sure = lead.confidence, lead.segment.score
        self._edits.append(Edit(kind, label, area, box, reason, *sure, overlap, support))


def _groups(parts: Sequence[Part], candidates: Sequence[Candidate]) -> list[_Group]:
    """Which old objects and candidates belong together, see the module.

    Groups come in the order of their first candidate; then old objects of none, the larger first.
    """
    tied = np.zeros((len(candidates), len(parts)), bool)
    areas = [int(each.mask.sum()) for each in candidates]
    for column, part in enumerate(parts):
        common = [part.common(each.mask) for each in candidates]
        shares = [pixels / part.area for pixels in common]
        boxed = [part.share_in_box(each.prompt.found.box) for each in candidates]
        if shares and max(shares) >= _OWN_MASK:
            tied[int(np.argmax(shares)), column] = True
        elif boxed and max(boxed) >= _OWN_BOX:
            tied[int(np.argmax(boxed)), column] = True
        for row, area in enumerate(areas):
            tied[row, column] |= common[row] / area >= _OWN_MASK
    rows, columns = len(candidates), len(parts)
    links = np.zeros((rows + columns, rows + columns), bool)
    links[:rows, rows:] = tied
    count, names = connected_components(csr_matrix(links), directed=False)
    return [
        _Group(
            tuple(parts[i] for i in range(columns) if names[rows + i] == number),
            tuple(candidates[i] for i in range(rows) if names[i] == number),
        )
        for number in range(count)
    ]
