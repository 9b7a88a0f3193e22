"""How much relabelling mends real masks, by masks that a person corrected.

Each backend relabels a list (a `bad_mask_paths.json`, and with `--all` every mask that a person has
corrected); old and new masks are compared with the person's by foreground IoU. A mask is bad where
the old one's is under 0.8.

Run `python benchmarks/relabel_real.py --bad-masks bad_mask_paths.json --all
--predictions supplementary/oof/KEY --markdown reports/relabel_real.md`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from audit_real import DATA, LIMIT, foreground_iou
from PIL import Image

from seglab.data.clean_bad_masks import load_tools
from seglab.data.relabelling.gate import ACCEPTED, DECISIONS, PERSON
from seglab.data.relabelling.inputs import gather_tasks
from seglab.data.relabelling.job import Job, run_job
from seglab.data.relabelling.store import Store
from seglab.utils.bad_masks import BadMask, read_bad_masks
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file, write_json, write_text
from seglab.utils.script import run_script

DECLARED = (
    "Optimistic in two ways: the detector and YOLOv8-seg were trained on COCO and may have seen "
    "these photographs, and the merge rule and the gate were chosen with these human masks in "
    "sight. A mask in `person` keeps the old one until a person has decided."
)
WORSE = 0.02
_WEIGHTS = DATA.parents[1] / "weights"
_GROUPS = ("all listed", "listed and bad", "accepted", "accepted and bad")
_OFFERED = "offered to a person, if all were taken"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    args = read_arguments(argv)
    human = args.data_root / "labels_human" / "train"
    if not human.is_dir():
        print(f"SKIPPED: no human-corrected masks in {human}")
        return 0
    lists: dict[str, list[BadMask]] = {}
    corrected = all_corrected(args.data_root, human)
    if args.bad_masks:
        known = {mask.path for mask in corrected}
        named = read_bad_masks(args.bad_masks, args.data_root)
        title = f"{args.bad_masks.name}: {len(named)} masks listed"
        lists[title] = [mask for mask in named if mask.path in known]
    if args.all:
        lists["every corrected mask listed"] = corrected
    results = {
        title: {
            name: measure(name, args, listed, human, f"list_{number}") for name in args.backends
        }
        for number, (title, listed) in enumerate(lists.items())
    }
    text = markdown(results, bool(args.predictions))
    print(text)
    if args.json:
        write_json(args.json, {"schema": 2, "declared": DECLARED, "lists": results})
    if args.markdown:
        write_text(args.markdown, text)
    return 0


def read_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--bad-masks", type=Path, metavar="JSON", help="a list to relabel")
    add("--all", action="store_true", help="as well, or alone: list every corrected mask")
    add("--data-root", type=Path, default=DATA)
    add("--predictions", type=Path, nargs="+", default=[], metavar="CACHE")
    add("--backends", nargs="+", default=["yolov8-seg", "grabcut"], help="segmenters")
    add("--detector", default=str(_WEIGHTS / "yolov8n_int8.onnx"))
    add("--yolo-seg-weights", default=str(_WEIGHTS / "yolov8n-seg_int8.onnx"))
    add("--sam2-weights", help="SAM 2.1's checkpoint, where it is not found by its name")
    add("--work-dir", type=Path, help="kept output folders; default: a temporary one")
    add("--json", type=Path)
    add("--markdown", type=Path)
    args = parser.parse_args(argv)
    if not (args.bad_masks or args.all):
        parser.error("give --bad-masks, --all or both")
    return args


def all_corrected(root: Path, human: Path) -> list[BadMask]:
    """Every mask that a person has corrected, as if it were listed."""
    paths = [PurePosixPath("labels", "train", path.name) for path in sorted(human.glob("*.png"))]
    return [
        BadMask(str(path), sha256_file(root / path), "listed to measure", "person")
        for path in paths
    ]


def measure(
    backend: str, args: argparse.Namespace, listed: Sequence[BadMask], human: Path, folder: str
) -> dict[str, Any]:
    """Relabel with a backend and compare; returns its figures."""
    job = Job(("background", "cat", "dog"), caches=tuple(args.predictions))
    options = argparse.Namespace(
        class_map=[],
        device="auto",
        detector=args.detector,
        segmenter=backend,
        segmenter_weights={"yolov8-seg": args.yolo_seg_weights, "grabcut": None}.get(
            backend, args.sam2_weights
        ),
    )
    with tempfile.TemporaryDirectory() as temporary:
        store = Store((args.work_dir or Path(temporary)) / folder / backend)
        store.check(args.data_root, "img", "labels")
        tasks = gather_tasks(
            args.data_root, listed, "img", job.classes, job.caches, job.ignore_index
        )
        tools = load_tools(options, job)
        store.prepare()
        outcome = run_job(store, tasks, args.data_root / "labels", job, tools)
        rows = []
        for task, record in zip(tasks, outcome.records, strict=True):
            truth = read(human / task.inside)
            rows.append(
                {
                    "mask": record["mask"],
                    "decision": record["decision"],
                    "old": foreground_iou(read(task.mask), truth),
                    "new": foreground_iou(read(store.folder / task.split / task.inside), truth),
                    "offered": foreground_iou(read(store.path("proposed", task, ".png")), truth),
                    "reasons": record["reasons"],
                }
            )
    if not rows:
        raise UserError("no listed mask was corrected by a person", "list others")
    return {
        "detector": tools.detector.name,
        "segmenter": tools.segmenter.name,
        "groups": {name: figures(members(name, rows)) for name in _GROUPS},
        "offered": figures([row for row in rows if row["decision"] == PERSON], "offered"),
        "decisions": {d: sum(row["decision"] == d for row in rows) for d in DECISIONS},
        "accepted_worse": sum(
            row["decision"] == ACCEPTED and row["new"] < row["old"] - WORSE for row in rows
        ),
        "masks": rows,
    }


def members(group: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a group."""
    return [
        row
        for row in rows
        if ("bad" not in group or row["old"] < LIMIT)
        and ("accepted" not in group or row["decision"] == ACCEPTED)
    ]


def figures(rows: Sequence[dict[str, Any]], after_key: str = "new") -> dict[str, Any]:
    """Count, and mean IoU with the human mask before and after; None of no masks."""
    before, after = (
        float(np.mean([row[key] for row in rows])) if rows else None for key in ("old", after_key)
    )
    return {"masks": len(rows), "before": before, "after": after}


def read(path: Path) -> Any:
    """A mask as (H, W) uint8."""
    with Image.open(path) as opened:
        return np.asarray(opened)


def cell(found: dict[str, Any]) -> str:
    """A group's figures: "10: 0.374 -> 0.866"."""
    if not found["masks"]:
        return "0"
    return f"{found['masks']}: {found['before']:.3f} -> {found['after']:.3f}"


def markdown(results: dict[str, dict[str, dict[str, Any]]], predicted: bool) -> str:
    """The tables."""
    helped = "with out-of-fold predictions" if predicted else "without predictions"
    heads = ["detector, segmenter", *_GROUPS, _OFFERED, "decisions", "accepted worse"]
    lines = [
        "# Relabelling against human masks",
        "",
        "Mean foreground IoU with the human mask, before -> after, over the listed masks that a "
        f"person corrected, {helped}. {DECLARED}",
    ]
    for title, backends in results.items():
        lines += ["", f"## {title}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for result in backends.values():
            cells = [f"{result['detector']}, {result['segmenter']}"]
            for found in [*(result["groups"][name] for name in _GROUPS), result["offered"]]:
                change = (
                    f": {found['before']:.3f} -> {found['after']:.3f}" if found["masks"] else ""
                )
                cells.append(f"{found['masks']}{change}")
            counts = result["decisions"]
            cells.append(", ".join(f"{count} {decision}" for decision, count in counts.items()))
            cells.append(f"{result['accepted_worse']} by more than {WORSE}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main)
