"""How well the audit finds the bad masks of real data, by masks that a person corrected.

A mask is bad where the foreground IoU of the original and the corrected one is under 0.8. The
ranking is `seglab audit`'s, with and without its detector; beside it stand every single score and
two baselines, the expectation of a random order and the labelled area (small first). No validation
or test photograph is used, and a mask is judged by models that were not trained on it. The rule was
chosen with these corrected masks in sight (a few dozen forms were looked at), so its figures are
optimistic, and 13 bad masks are few: another such set may well give an AUROC some hundredths away.

Make the predictions with `seglab audit`, then run
`python benchmarks/audit_real.py --predictions supplementary/oof/KEY [--detector WEIGHTS]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ranking_figures import publish, table

from seglab.data.auditing.job import AuditInput, read_mask, run_audit
from seglab.data.auditing.second_opinion import load_audit_detector
from seglab.utils.script import run_script

DATA = Path(__file__).resolve().parents[2] / "shared/data/pets_coco"
CLASSES = ("background", "cat", "dog")
LIMIT = 0.8
UNUSABLE = 0.3


def foreground_iou(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """IoU of the pixels that are not background; 1 where there are none in either."""
    union = int(((first > 0) | (second > 0)).sum())
    return int(((first > 0) & (second > 0)).sum()) / union if union else 1.0


def kind_of(mask: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> str:
    """What is mainly wrong with a mask, by the pixels that a person changed."""
    missing, extra = int(((mask == 0) & (truth > 0)).sum()), int(((mask > 0) & (truth == 0)).sum())
    if foreground_iou(mask, truth) < UNUSABLE:
        return "another thing or next to nothing labelled"
    if min(missing, extra) > max(missing, extra) / 3:
        return "outline off to both sides"
    return "part of the animal left out" if missing > extra else "background taken in"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--predictions", type=Path, nargs="+", required=True, metavar="CACHE")
    add("--detector", metavar="WEIGHTS", help="for a second opinion")
    add("--data-root", type=Path, default=DATA)
    add("--write", type=Path, metavar="FILE.md", help="write the tables there as well")
    args = parser.parse_args(argv)
    human = args.data_root / "labels_human/train"
    if not human.is_dir():
        print(f"SKIPPED: no human-corrected masks in {human}")
        return 0
    detector = load_audit_detector(args.detector, CLASSES) if args.detector else None
    asked = AuditInput(args.data_root, predictions=tuple(args.predictions), detector=detector)
    result = run_audit(asked)
    judged = [v for v in result.verdicts if (human / v.sample_id).with_suffix(".png").is_file()]
    masks = [read_mask(result.files[v.sample_id].label) for v in judged]
    truths = [read_mask((human / v.sample_id).with_suffix(".png")) for v in judged]
    pairs = list(zip(masks, truths, strict=True))
    ious = np.array([foreground_iou(*pair) for pair in pairs])
    scores = {"seglab audit": np.array([v.suspicion for v in judged])}
    if detector:
        plain = run_audit(replace(asked, detector=None))
        alone = {verdict.sample_id: verdict.suspicion for verdict in plain.verdicts}
        scores["the same, no detector"] = np.array([alone[v.sample_id] for v in judged])
    scores |= {name: np.array([v.scores[name] for v in judged]) for name in judged[0].scores}
    scores["mask area"] = -np.array([(mask > 0).mean() for mask in masks])
    lines = ["# The audit on masks that a person corrected", "", *settings(asked, result.recipes)]
    lines += table("all corrected masks", ious < LIMIT, scores)
    lines += [
        "## The bad ones and their place",
        "",
        "| place | IoU | what is wrong | reason given |",
    ]
    lines.append("|---|---|---|---|")
    for place, (verdict, iou, pair) in enumerate(zip(judged, ious, pairs, strict=True), start=1):
        if iou < LIMIT:
            reason = next(iter(verdict.reasons), "-")
            lines.append(f"| {place} | {iou:.2f} | {kind_of(*pair)} | {reason} |")
    publish(lines, args.write)
    return 0


def settings(asked: AuditInput, recipes: Sequence[dict[str, object]]) -> list[str]:
    """What was run, and what makes its figures optimistic."""
    made = "; ".join(
        f"{recipe['folds']} folds of {recipe['epochs']} epochs, seed {recipe['seed']}"
        for recipe in recipes
    )
    lines = [
        f"Out-of-fold predictions of `lite_fpn_effnetlite2_256x256`: {made}. Bad: foreground IoU "
        f"of the mask and a person's correction under {LIMIT}. The rule was chosen with these "
        "corrections in sight: its figures are optimistic.",
        "",
    ]
    if asked.detector:
        lines += [f"Second opinion: `{asked.detector.name}`. {asked.detector.declared}", ""]
    return lines


if __name__ == "__main__":
    run_script(main)
