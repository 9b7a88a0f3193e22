"""How well the audit finds the bad masks of real data, by masks that a person corrected.

A mask is bad where the foreground IoU of the original and the corrected one is under 0.8. The
ranking is `seglab audit`'s; beside it stand every single score and two baselines, the expectation
of a random order and the labelled area (small first). No validation or test photograph is used,
and a mask is judged by models that were not trained on it. The rule was chosen with these corrected
masks in sight (three forms, and a sweep of nine pairs of shares), so its figures are optimistic. A
form that counted only pixels with an object likelier than not was chosen on two of three folds,
fell far below on the third, and was dropped.

Make the predictions with `seglab audit --folds 3 --epochs 10`, then run
`python benchmarks/audit_real.py --predictions supplementary/oof/KEY`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from seglab.data.auditing.job import AuditInput, read_mask, run_audit
from seglab.utils.script import run_script

DATA = Path(__file__).resolve().parents[2] / "shared/data/pets_coco"
LIMIT = 0.8
AT = (5, 10, 20)

FloatArray = npt.NDArray[np.float64]


def foreground_iou(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """IoU of the pixels that are not background; 1 where there are none in either."""
    union = int(((first > 0) | (second > 0)).sum())
    return int(((first > 0) & (second > 0)).sum()) / union if union else 1.0


def figures(bad: npt.NDArray[np.bool_], score: FloatArray) -> str:
    """AUROC, AP and precision at k of a ranking, in a line."""
    order = np.argsort(-score, kind="stable")
    precisions = "  ".join(f"{bad[order[:k]].mean():5.2f}" for k in AT)
    auroc, ap = roc_auc_score(bad, score), average_precision_score(bad, score)
    return f"{auroc:6.3f}  {ap:6.3f}  {precisions}"


def table(title: str, bad: npt.NDArray[np.bool_], scores: Mapping[str, FloatArray]) -> None:
    """Print the figures of every score and of the random order."""
    heads = "  ".join(f"P@{k:<3d}" for k in AT)
    print(f"\n{title}: {len(bad)} masks, {bad.sum()} bad\n{'':14s}  AUROC      AP  {heads}")
    if not 0 < bad.sum() < len(bad):
        print("nothing to rank")
        return
    for name, values in scores.items():
        print(f"{name:14s} {figures(bad, values)}")
    share = f"{bad.mean():5.2f}"
    print(f"{'random':14s}  0.500  {bad.mean():6.3f}  " + "  ".join([share] * len(AT)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, metavar="CACHE")
    parser.add_argument("--data-root", type=Path, default=DATA)
    args = parser.parse_args(argv)
    human = args.data_root / "labels_human/train"
    if not human.is_dir():
        print(f"SKIPPED: no human-corrected masks in {human}")
        return 0
    result = run_audit(AuditInput(args.data_root, predictions=tuple(args.predictions)))
    judged = [v for v in result.verdicts if (human / v.sample_id).with_suffix(".png").is_file()]
    masks = [read_mask(result.files[v.sample_id].label) for v in judged]
    truths = [read_mask((human / v.sample_id).with_suffix(".png")) for v in judged]
    ious = np.array([foreground_iou(*pair) for pair in zip(masks, truths, strict=True)])
    bad = ious < LIMIT
    scores = {"seglab audit": np.array([v.suspicion for v in judged])}
    scores |= {name: np.array([v.scores[name] for v in judged]) for name in judged[0].scores}
    scores["mask area"] = -np.array([(mask > 0).mean() for mask in masks])
    table("all corrected masks", bad, scores)
    print("\nthe bad ones and their place:")
    for place, (verdict, iou) in enumerate(zip(judged, ious, strict=True), start=1):
        if iou < LIMIT:
            reason = next(iter(verdict.reasons), "-")
            print(f"{place:3d}  IoU {iou:.2f}  {verdict.sample_id}: {reason}")
    return 0


if __name__ == "__main__":
    run_script(main)
