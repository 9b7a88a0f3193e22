"""What stands beside weights that people share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seglab.mmseg_custom.engine.record import read_record


def model_facts(config: Config) -> dict[str, Any]:
    """The names of a config's model and of its parts."""
    model = config.model
    parts = {part: model.get(part) for part in ("backbone", "decode_head")}
    types = {part: node.get("type") for part, node in parts.items() if isinstance(node, Mapping)}
    return {"model": model.get("type"), **types}


def weight_facts(runner: Any, metrics: Mapping[str, float]) -> dict[str, Any]:
    """The facts of a run's best weights, for the JSON file beside them.

    Args:
        runner: The run's.
        metrics: The figures that chose these weights.
    """
    record = read_record(Path(runner.work_dir))
    metainfo = getattr(runner.train_dataloader.dataset, "metainfo", {})
    environment = record.get("environment", {})
    return {
        "schema": 1,
        **model_facts(runner.cfg),
        "classes": list(metainfo.get("classes", ())),
        "palette": metainfo.get("palette"),
        "hypothesis": record.get("hypothesis"),
        "hypothesis_id": record.get("hypothesis_id"),
        "epoch": runner.epoch,
        "iter": runner.iter,
        "seed": runner.seed,
        "selected_on": "val",
        "metrics": dict(metrics),
        "config_sha256": record.get("config_sha256"),
        "data": record.get("data"),
        "packages": environment.get("packages"),
        "git_revision": environment.get("git_revision"),
    }
