"""How well a ranking puts bad masks first: what the two audit benchmarks print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from seglab.utils.io_utils import write_text

AT = (5, 10, 20)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def figures(bad: BoolArray, score: FloatArray) -> str:
    """AUROC, AP and precision at k of a ranking, as cells of a row."""
    order = np.argsort(-score, kind="stable")
    precisions = " | ".join(f"{bad[order[:k]].mean():.2f}" for k in AT)
    auroc, ap = roc_auc_score(bad, score), average_precision_score(bad, score)
    return f"{auroc:.3f} | {ap:.3f} | {precisions}"


def table(title: str, bad: BoolArray, scores: Mapping[str, FloatArray]) -> list[str]:
    """The figures of every score and of the random order, as Markdown."""
    heads = " | ".join(f"P@{k}" for k in AT)
    lines = [
        f"## {title}: {len(bad)} masks, {bad.sum()} bad",
        "",
        f"| ranked by | AUROC | AP | {heads} |",
        "|---|" + "---|" * (2 + len(AT)),
    ]
    if not 0 < bad.sum() < len(bad):
        return [*lines[:1], "", "nothing to rank", ""]
    lines += [f"| {name} | {figures(bad, values)} |" for name, values in scores.items()]
    share = f"{bad.mean():.2f}"
    lines.append(f"| random | 0.500 | {bad.mean():.3f} | " + " | ".join([share] * len(AT)) + " |")
    return [*lines, ""]


def publish(lines: Sequence[str], path: Path | None) -> None:
    """Print the lines, and write them where a path is given."""
    text = "\n".join(lines).rstrip() + "\n"
    print(text)
    if path:
        write_text(path, text)
