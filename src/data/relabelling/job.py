"""Relabel what is listed: detect, segment, merge, judge, write; go on where it stopped."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from seglab.data.detection import Detector
from seglab.data.preflight.decode import read_mask
from seglab.data.relabelling.candidates import Candidate, distinct, make_prompts
from seglab.data.relabelling.gate import ACCEPTED, DECISIONS, PERSON, GateRule, judge, plain_edits
from seglab.data.relabelling.inputs import Task, read_image, read_predictions
from seglab.data.relabelling.merging import Mask, MergeRule, merge
from seglab.data.relabelling.pictures import before_after, person_page
from seglab.data.relabelling.segmenters import Segmenter
from seglab.data.relabelling.store import PAGE_FILE, RELABEL_FILE, Store, key_of
from seglab.utils.bad_masks import PERSON as BY_PERSON
from seglab.utils.bad_masks import BadMask
from seglab.utils.errors import UserError
from seglab.utils.io_utils import write_json, write_text
from seglab.utils.masks import class_colors

SCHEMA = 1
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Job:
    """What decides the result, beside the files.

    Attributes:
        classes: Class names, background first.
        caches: Folders of out-of-fold predictions.
        merge_rule: Thresholds of the merge.
        gate_rule: Thresholds of the gate.
        min_confidence: Detections below it are not considered.
        ignore_index: Mask value that belongs to no class.
        batch_size: Images that are worked on at once; a kill loses one batch at most.
    """

    classes: tuple[str, ...]
    caches: tuple[Path, ...] = ()
    merge_rule: MergeRule = field(default_factory=MergeRule)
    gate_rule: GateRule = field(default_factory=GateRule)
    min_confidence: float = 0.25
    ignore_index: int = 255
    batch_size: int = 8


@dataclass(frozen=True)
class Tools:
    """The two stages, and the class map that they were loaded with."""

    detector: Detector
    segmenter: Segmenter
    class_map: Mapping[int, int]


@dataclass(frozen=True)
class Outcome:
    """What was done.

    Attributes:
        records: One for each listed mask, in the list's order.
        redone: How many were worked on now; the others were finished before.
        forgotten: Results of masks that are no longer listed, removed.
        masks: Masks in the output folder.
    """

    records: tuple[dict[str, Any], ...]
    redone: int
    forgotten: int
    masks: int


def settings_of(job: Job, tools: Tools) -> dict[str, Any]:
    """What decides a result beside the files, as the records hold it."""
    return {
        "schema": SCHEMA,
        "detector": tools.detector.name,
        "detector_sha256": tools.detector.sha256,
        "segmenter": tools.segmenter.name,
        "segmenter_sha256": tools.segmenter.sha256,
        "classes": list(job.classes),
        "class_map": {str(number): label for number, label in sorted(tools.class_map.items())},
        "min_confidence": job.min_confidence,
        "ignore_index": job.ignore_index,
        "merge_rule": asdict(_rule_for(job, tools)),
        "gate_rule": asdict(job.gate_rule),
    }


def _rule_for(job: Job, tools: Tools) -> MergeRule:
    """The merge rule with what the segmenter can do."""
    used = tools.segmenter
    return replace(
        job.merge_rule,
        score=used.sure_score,
        score_outline=used.sure_outline,
        recognised=used.recognises,
        outlines=used.outlines,
    )


def run_job(
    store: Store,
    tasks: Sequence[Task],
    originals: Path,
    job: Job,
    tools: Tools,
    taken: Sequence[BadMask] = (),
) -> Outcome:
    """Relabel, and write the output folder.

    Masks that were finished with the same inputs, settings and weights are not done again; those
    that were finished with others are done anew, so a folder never mixes two settings.

    Args:
        store: The prepared output folder.
        tasks: From `gather_tasks`.
        originals: The old mask folder.
        job: The settings.
        tools: Detector and segmenter.
        taken: New masks that a person takes, as `person.html` lists them; kept for later runs.

    Raises:
        UserError: The disk is full, a prediction is damaged, or a new mask is not the one that a
            person took; what is finished stays.
    """
    settings = settings_of(job, tools)
    keys = [key_of(task, settings) for task in tasks]
    try:
        forgotten = store.forget_others(tasks, originals)
        records = [store.finished(task, key) for task, key in zip(tasks, keys, strict=True)]
        todo = [place for place, record in enumerate(records) if record is None]
        bar = tqdm(
            total=len(tasks), initial=len(tasks) - len(todo), desc="relabelling", unit="mask"
        )
        with bar:
            for start in range(0, len(todo), job.batch_size):
                places = todo[start : start + job.batch_size]
                batch = [tasks[place] for place in places]
                for task, key, made in zip(
                    batch, [keys[p] for p in places], _relabel(batch, job, tools), strict=True
                ):
                    store.save(task, {"key": key, **made.record}, made.mask, made.picture)
                    bar.update()
        finished = [store.finished(task, key) for task, key in zip(tasks, keys, strict=True)]
        # Why a mask is listed may have changed since it was finished.
        done = tuple(
            {**record, **_listing(task)}
            for task, record in zip(tasks, finished, strict=True)
            if record is not None
        )
        done = _approve(store, tasks, done, taken)
        masks = _publish(store, tasks, originals, done, settings, tools)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"the disk is full: {error.strerror} while writing to {store.folder}; finished masks "
            "are kept",
            "free some space and run the same command again: it goes on where it stopped",
        ) from error
    return Outcome(done, len(todo), forgotten, masks)


def _approve(
    store: Store,
    tasks: Sequence[Task],
    records: Sequence[dict[str, Any]],
    taken: Sequence[BadMask],
) -> tuple[dict[str, Any], ...]:
    """Accept what a person took, now or in an earlier run.

    Raises:
        UserError: A mask that is taken now is no proposal for a person, or another one by now.
    """
    offered = {
        store.proposal_of(task): str(record["proposed_sha256"])
        for task, record in zip(tasks, records, strict=True)
        if record["decision"] == PERSON
    }
    wrong = [mask.path for mask in taken if offered.get(mask.path) != mask.sha256]
    if wrong:
        raise UserError(
            f"--accept: {', '.join(wrong)}: not a new mask that is offered now",
            f"look at {store.folder / PAGE_FILE} again: it was written for these settings",
        )
    # What was taken of proposals that were made anew since is forgotten: nobody has seen these.
    before = store.approved()
    approved = {path: one for path, one in before.items() if offered.get(path) == one["sha256"]}
    approved |= {mask.path: {"sha256": mask.sha256, "reason": mask.reason} for mask in taken}
    if approved != before:
        store.approve(approved)
    return tuple(
        _accepted(record, approved[store.proposal_of(task)]["reason"])
        if store.proposal_of(task) in approved
        else record
        for task, record in zip(tasks, records, strict=True)
    )


def _accepted(record: dict[str, Any], reason: str) -> dict[str, Any]:
    words = f"a person took the new mask: {reason}"
    return {**record, "decision": ACCEPTED, "reasons": [words, *record["reasons"]]}


def _listing(task: Task) -> dict[str, Any]:
    """What a record takes from the list."""
    return {
        "mask": task.listed.path,
        "split": task.split,
        "listed_for": task.listed.reason,
        "tagged_by": task.listed.tagged_by,
    }


@dataclass(frozen=True)
class _Made:
    record: dict[str, Any]
    mask: Mask
    picture: Any


def _relabel(batch: Sequence[Task], job: Job, tools: Tools) -> list[_Made]:
    """Both stages, the merge and the gate for a few masks."""
    images = [read_image(task.image) for task in batch]
    old = [read_mask(task.mask) for task in batch]
    probabilities = [
        read_predictions(task, job.caches, (len(job.classes), mask.shape[0], mask.shape[1]))
        for task, mask in zip(batch, old, strict=True)
    ]
    prompts = [
        make_prompts(found, predicted)
        for found, predicted in zip(tools.detector.detect(images), probabilities, strict=True)
    ]
    segments = tools.segmenter.segment(
        images, [[prompt.found for prompt in each] for each in prompts]
    )
    made = []
    for index, task in enumerate(batch):
        pairs = zip(prompts[index], segments[index], strict=True)
        candidates = distinct([Candidate(prompt, segment) for prompt, segment in pairs])
        merged = merge(
            old[index], candidates, probabilities[index], _rule_for(job, tools), job.ignore_index
        )
        verdict = judge(old[index], merged, probabilities[index], job.gate_rule, job.ignore_index)
        record = {
            **_listing(task),
            "decision": verdict.decision,
            "reasons": list(verdict.reasons),
            "figures": verdict.figures,
            "objects": plain_edits(merged),
            "detector": tools.detector.name,
            "segmenter": tools.segmenter.name,
        }
        proposed = merged.proposal if verdict.decision == PERSON else merged.mask
        record["pixels"] = _pixels(old[index], proposed, job.classes)
        colors = class_colors(len(job.classes))
        picture = before_after(images[index], old[index], proposed, colors, job.ignore_index)
        made.append(_Made(record, proposed, picture))
    return made


def _pixels(old: Mask, new: Mask, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Pixels of each class before and in the new mask."""
    before, after = (np.bincount(mask.ravel(), minlength=256) for mask in (old, new))
    return {
        name: {"before": int(before[label]), "after": int(after[label])}
        for label, name in enumerate(classes)
    }


def _publish(
    store: Store,
    tasks: Sequence[Task],
    originals: Path,
    records: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    tools: Tools,
) -> int:
    """Write the complete mask folder, `relabel.json` and the page; returns the masks."""
    pairs = list(zip(tasks, records, strict=True))
    accepted = [task for task, record in pairs if record["decision"] == ACCEPTED]
    masks = store.assemble(originals, {task.split for task in tasks}, accepted)
    asked = [(task, record) for task, record in pairs if record["decision"] == PERSON]
    offered = [
        (record, store.path("pictures", task, ".png"), _offer(store, task, record))
        for task, record in asked
    ]
    page = person_page(offered, len(records), settings["classes"])
    write_text(store.folder / PAGE_FILE, page)
    counts = Counter(str(record["decision"]) for record in records)
    content = {
        "schema": SCHEMA,
        "declared": tools.detector.declared,
        "segmenter_score": tools.segmenter.score_means,
        "settings": settings,
        "counts": {decision: counts[decision] for decision in DECISIONS},
        "pixels": area_totals(records),
        "masks": list(records),
    }
    write_json(store.folder / RELABEL_FILE, content)
    return masks


def _offer(store: Store, task: Task, record: Mapping[str, Any]) -> BadMask:
    """A new mask as the list of those that a person takes names it."""
    sha256 = str(record["proposed_sha256"])
    return BadMask(store.proposal_of(task), sha256, "it is right", BY_PERSON)


def area_totals(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Pixels of each class over the listed masks: before, and in the output folder."""
    totals: dict[str, dict[str, int]] = {}
    for record in records:
        taken = "after" if record["decision"] == ACCEPTED else "before"
        for name, pixels in record["pixels"].items():
            total = totals.setdefault(name, {"before": 0, "after": 0})
            total["before"] += pixels["before"]
            total["after"] += pixels[taken]
    return totals
