"""How well the audit finds faults of each kind, put into drawn masks on purpose.

Draws a toy set of which a part of the masks is spoiled, makes out-of-fold predictions with the toy
config, and ranks: every kind of fault against the untouched masks, beside a random order and the
labelled area (small first). What exists in the work folder is used again.

`python benchmarks/audit_toy.py --work-dir supplementary/audit_toy`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ranking_figures import publish, table

from seglab.data.auditing.job import AuditInput, read_mask, run_audit
from seglab.data.toy.options import FAULT_KINDS, ToyOptions
from seglab.data.toy.writer import generate
from seglab.mmseg_custom.engine.out_of_fold import FoldOptions, predict_out_of_fold
from seglab.utils.config_utils import load_config
from seglab.utils.paths import PROJECT_ROOT
from seglab.utils.script import run_script

CONFIG = PROJECT_ROOT / "configs/toy_fpn_effnetlite0_128x128.py"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--work-dir", type=Path, default=Path("supplementary/audit_toy"))
    add("--images", type=int, default=300)
    add("--faults", type=float, default=0.3, help="part of the masks that is spoiled")
    add("--folds", type=int, default=3)
    add("--epochs", type=int, default=12)
    add("--write", type=Path, metavar="FILE.md", help="write the tables there as well")
    args = parser.parse_args(argv)
    root = args.work_dir / "set"
    generate(ToyOptions(root, args.images, 4, 4, faults=args.faults, fault_kinds=FAULT_KINDS))
    config = load_config(CONFIG, [], str(root))
    options = FoldOptions(args.folds, args.epochs)
    cache = predict_out_of_fold(config, args.work_dir / "oof", options)
    result = run_audit(AuditInput(root, predictions=(cache,)))
    faults = json.loads((root / "faults.json").read_text())["faults"]
    kinds = {Path(item["path"]).stem: item["kind"] for item in faults}
    found = [kinds.get(Path(verdict.sample_id).stem, "") for verdict in result.verdicts]
    kind = np.array(found)
    scores = {"seglab audit": np.array([v.suspicion for v in result.verdicts])}
    scores |= {
        name: np.array([v.scores[name] for v in result.verdicts])
        for name in result.verdicts[0].scores
    }
    areas = [(read_mask(result.files[v.sample_id].label) > 0).mean() for v in result.verdicts]
    scores["mask area"] = -np.array(areas)
    lines = ["# The audit on drawn masks with known faults", "", *_settings(args)]
    lines += table("all faults", kind != "", scores)
    for name in FAULT_KINDS:
        chosen = (kind == name) | (kind == "")
        lines += table(
            name, kind[chosen] == name, {key: value[chosen] for key, value in scores.items()}
        )
    publish(lines, args.write)
    return 0


def _settings(args: argparse.Namespace) -> list[str]:
    return [
        f"{args.images} drawn images, {args.faults:.0%} of the masks spoiled, each kind in turn; "
        f"predictions of {args.folds} folds of {args.epochs} epochs with `{CONFIG.stem}`, seed 0. "
        "Each kind is ranked against the untouched masks.",
        "",
    ]


if __name__ == "__main__":
    run_script(main)
