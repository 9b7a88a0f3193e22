"""Tested runs of the lab's study, made without training anything."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from seglab.analysis.lab.build import write_lab_report
from seglab.analysis.lab.story import Story, tell_story
from seglab.analysis.lab.study import StudyConfig
from seglab.analysis.report.context import Pictures
from seglab.analysis.report.markdown import figure
from seglab.analysis.run_folder import load_run
from seglab.utils.hypothesis import Hypothesis
from seglab.utils.lab_scores import FIGURES
from seglab.utils.result_files import LAB_SCORES_FILE

CLASSES = ("background", "animal")
RESAMPLES = 400
MakeLabRun = Callable[..., Path]
#: Points of IoU that each step of the lab's scoring adds to the one before.
STEPS = {"border": -5.0, "train_images": 6.0, "train_size": 0.5, "augmented": -2.0, "lab": -1.0}
HYPOTHESES: dict[str, dict[str, Any]] = {
    "U": {"parent": "R34", "stage": "baseline", "expects": {"mIoU": "="}},
    "U+": {"parent": "U", "stage": "improved", "expects": {"mIoU": "+"}},
    "CNN": {"parent": "R34", "stage": "own", "expects": {"mIoU": "-"}},
    "CNN+": {"parent": "CNN", "stage": "own", "expects": {"mIoU": "+"}},
}


def write_lab_scores(folder: Path, steps: Mapping[str, float], split: str = "test") -> None:
    """`lab_scores.json` beside a test: its own figures first, each step so many points more."""
    tested = folder / f"test_{split}"
    metrics = json.loads((tested / "test_metrics.json").read_text())
    provenance = json.loads((tested / "provenance.json").read_text())
    row = {
        "id": "ours", "split": split, "images": metrics["images"], "augmented": False,
        "border": "ignore", "size": "photograph", "average": "split",
        **{key: metrics["metrics"][name.replace("NAME", "animal")]
           for key, name in FIGURES.items()},
    }  # fmt: skip
    changed: dict[str, dict[str, Any]] = {
        "border": {"border": "background"},
        "train_images": {"split": "train", "images": 40},
        "train_size": {"size": "training"},
        "augmented": {"augmented": True},
        "lab": {"average": "batches"},
    }
    rows = [row]
    for name, points in steps.items():
        moved = {key: min(100.0, max(0.0, rows[-1][key] + points)) for key in FIGURES}
        rows.append({**rows[-1], "id": name, **changed[name], **moved})
    content = {
        "schema": 1, "class": "animal", "threshold": 0.5, "seed": 0, "batch_size": 8,
        "checkpoint_sha256": provenance["checkpoint_sha256"],
        "augmentation": ["HorizontalFlip"] if "augmented" in steps else [], "rows": rows,
    }  # fmt: skip
    (tested / LAB_SCORES_FILE).write_text(json.dumps(content))


def loader(split: str, flip: bool) -> dict[str, Any]:
    steps = [{"type": "LoadImageFromFile"}, *([{"type": "RandomFlip"}] if flip else [])]
    return {
        "dataset": {
            "type": "OxfordPetDataset",
            "split": split,
            "border": "ignore",
            "metainfo": {"classes": list(CLASSES)},
            "pipeline": steps,
        }
    }


@pytest.fixture
def make_lab_run(make_run: Callable[..., Path], tmp_path: Path) -> MakeLabRun:
    """`make_lab_run("U", seed=0, skill=0.8, steps=STEPS, stage=..., folder=...)`."""

    def write(
        name: str,
        seed: int = 0,
        skill: float = 0.8,
        steps: Mapping[str, float] | None = STEPS,
        folder: Path | None = None,
        **stated: Any,
    ) -> Path:
        claim = {"id": name, "question": "?", "change": "c", **HYPOTHESES.get(name, {}), **stated}
        run = make_run(
            folder or tmp_path / "experiments" / name.replace("+", "_plus") / f"seed_{seed}",
            {key: value for key, value in claim.items() if value is not None},
            seed,
            skill=skill,
            split="test",
            classes=CLASSES,
            config={
                f"{split}_dataloader": loader(split, split == "train" and "+" in name)
                for split in ("train", "val", "test")
            },
        )
        if steps is not None:
            write_lab_scores(run, steps)
        return run

    return write


@pytest.fixture
def study(make_lab_run: MakeLabRun) -> list[Path]:
    """Two seeds of everything: the improvements help the network by hand, hardly the other."""
    plain = {key: value for key, value in STEPS.items() if key != "augmented"}
    skills = {"U": 0.85, "U+": 0.852, "CNN": 0.40, "CNN+": 0.55}
    return [
        make_lab_run(name, seed, skill, STEPS if "+" in name else plain)
        for name, skill in skills.items()
        for seed in (0, 1)
    ]


def story_of(folders: Sequence[Path], configs: Sequence[StudyConfig] = ()) -> Story:
    runs = [load_run(folder, "test") for folder in folders]
    return tell_story(runs, configs, resamples=RESAMPLES)


@pytest.fixture
def story() -> Callable[..., Story]:
    """Tells the story of run folders with few resamples."""
    return story_of


def _draw_nothing(self: Pictures, name: str, caption: object, *_: object) -> str:
    Image.new("RGB", (4, 3)).save(self._folder / f"{name}.png")
    return figure(f"{self._prefix}/{name}.png", caption)


@pytest.fixture
def text_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes the report of run folders, without drawing, and reads it."""

    def write(folders: Sequence[Path], configs: Sequence[StudyConfig] = ()) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(Pictures, "draw", _draw_nothing)
            files = write_lab_report(story_of(folders, configs), tmp_path / "out")
        return files.markdown.read_text()

    return write


@pytest.fixture
def waiting() -> StudyConfig:
    """A config of the study that has no run for want of a download."""
    claim = Hypothesis("R34", None, "how far?", "none", {}, "baseline")
    return StudyConfig(Path("configs/r34.py"), claim, "smp:resnet34")
