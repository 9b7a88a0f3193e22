"""How each run was made: what somebody needs to make it again, or to check that it is the one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from seglab.analysis.anonymise import Anonymiser
from seglab.analysis.comparison import Comparison
from seglab.analysis.comparison_tables import shown_path
from seglab.analysis.report import numbers
from seglab.analysis.report.markdown import code_block, heading, say, table
from seglab.analysis.run_folder import Run
from seglab.utils.run_files import dig, finite


def making_section(comparison: Comparison) -> list[str]:
    """Commands, seeds, hashes and versions of every run, and how the report was made."""
    blocks: list[str] = [
        say(
            "Intervals and tests: {resamples} resamples and permutations, random seed {seed}. "
            "Every figure of this document is looked up in the files of the run folders named "
            "below, or computed from their per-image confusion matrices; none is typed. Paths are "
            "shown without what names a machine or a person.",
            resamples=numbers.count(comparison.resamples),
            seed=comparison.seed,
        )
    ]
    for row in comparison.rows:
        for run in row.runs:
            blocks += [heading(3, f"Run {run.label}"), *_run(run)]
    return blocks


def _run(run: Run) -> list[str]:
    roots = {str(dig(run.provenance, "data", "data_root") or "")} - {""}
    texts = [json.dumps(content) for content in (run.config, run.record, run.provenance)]
    clean = Anonymiser(roots, texts, keep=(*run.classes, "train", run.split))
    facts = {name: clean.text(value) for name, value in _facts(run).items()}
    commands = [
        clean.text(shlex.join(map(str, command)))
        for command in [
            *(session.get("command") or [] for session in run.record.get("sessions", [])),
            run.provenance["command"],
        ]
        if command
    ]
    blocks = [table(("fact", "value"), list(facts.items()), text_columns=2)]
    return [*blocks, code_block("\n".join(commands))] if commands else blocks


def _facts(run: Run) -> dict[str, str]:
    """What is recorded of a run, as text."""
    record, provenance = run.record, run.provenance
    best = record.get("best") or {}
    environment = record.get("environment") or provenance["environment"]
    return {
        "folder": shown_path(run.folder),
        "training seed": _text(run.seed),
        "status": f"{_text(record.get('status'))}, {_text(record.get('epochs'))} epochs in "
        f"{numbers.duration(finite(record.get('seconds')))}",
        "best epoch": _text(best.get("epoch")),
        "start": _start(record),
        "device": f"{_devices(record)}; tested on {provenance['device']}",
        "config": _text(record.get("config_file")),
        "config, SHA-256": provenance["config_sha256"],
        "checkpoint, SHA-256": provenance["checkpoint_sha256"],
        "training images, SHA-256": _text(dig(record, "data", "train", "images_sha256")),
        "training masks, SHA-256": _text(dig(record, "data", "train", "labels_sha256")),
        f"{run.split} images, SHA-256": provenance["data"]["images"],
        f"{run.split} masks, SHA-256": provenance["data"]["labels"],
        "git revision": _text(environment.get("git_revision") or provenance["git_revision"]),
        "Python and packages": _versions(environment),
    }


def _text(value: Any) -> str:
    return numbers.NONE if value is None else str(value)


def _start(record: Mapping[str, Any]) -> str:
    """Which weights the training started from."""
    if record.get("load_from"):
        return f"the checkpoint {record['load_from']}"
    weights = record.get("pretrained_backbone")
    return f"pretrained backbone: {weights}" if weights else "random weights"


def _devices(record: Mapping[str, Any]) -> str:
    devices = {str(session.get("device")) for session in record.get("sessions", [])}
    return f"trained on {', '.join(sorted(devices)) or numbers.NONE}"


def _versions(environment: Mapping[str, Any]) -> str:
    packages = environment.get("packages") or {}
    listed = [f"{name} {version}" for name, version in packages.items() if version]
    return ", ".join([f"Python {_text(environment.get('python'))}", *listed])
