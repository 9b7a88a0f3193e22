"""The schemas of a test's files: sound ones pass, every fault of others is named."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seglab.utils import schemas
from seglab.utils.errors import UserError
from seglab.utils.schemas import validate

WRITTEN_BY_A_TEST = ("test_metrics", "provenance", "lab_scores")
HASH = "0123456789abcdef" * 4
BIN = {"confidence": 0.9, "accuracy": 0.8, "pixels": 10}
LAB_ROW = {
    "id": "ours", "split": "test", "images": 2, "augmented": False, "border": "ignore",
    "size": "photograph", "average": "split", "IoU": 87.5, "image_mean_IoU": None,
    "pixel_accuracy": 93,
}  # fmt: skip
SOUND: dict[str, dict[str, Any]] = {
    "test_metrics": {
        "schema": 2,
        "split": "val",
        "images": 1,
        "classes": ["background", "cat"],
        "palette": [[0, 0, 0], [255, 0, 9]],
        "ignore_index": 255,
        "absent": "nan",
        "boundary": {"dilation_ratio": 0.02, "tolerance_pixels": 2.0},
        "metrics": {"aAcc": 90.0, "mIoU": 1, "mAcc": None, "mDice": 3.25, "HD95/cat": None},
        "breakdown": {
            "object_size": [{"quartile": 1, "objects": 3, "mean/Dice": None}],
            "classes_present": [],
            "error_budget": [{"kind": "wrong_class", "truth": None, "pixels": 3}],
        },
        "calibration": {
            "all": [BIN, {"confidence": None, "accuracy": None, "pixels": 0}],
            "objects": [BIN],
        },
        "selected_on": None,
        "pictures": ["val_overview.png"],
    },
    "provenance": {
        "schema": 1,
        "config": "configs/x.py",
        "config_sha256": HASH,
        "checkpoint": "best.pth",
        "checkpoint_sha256": HASH,
        "data": {
            "split": "val",
            "data_root": "data",
            "mask_dir": None,
            "images": HASH,
            "labels": HASH,
            "files": {"a/x.jpg": {"image": HASH, "label": HASH}},
        },
        "environment": {"python": "3.11", "packages": {"torch": "2", "timm": None}, "cores": 2},
        "command": ["seglab", "test"],
        "device": "cpu",
        "seed": 0,
        "git_revision": None,
    },
    "lab_scores": {
        "schema": 1,
        "class": "animal",
        "threshold": 0.5,
        "seed": 0,
        "batch_size": 8,
        "checkpoint_sha256": HASH,
        "augmentation": ["HorizontalFlip"],
        "rows": [LAB_ROW, {**LAB_ROW, "id": "lab", "average": "batches"}],
    },
    "audit": {
        "schema": 1,
        "split": "train",
        "img_dir": "img",
        "mask_dir": "labels",
        "classes": ["background", "cat"],
        "ranking": [
            {
                "rank": 1,
                "image": "x.jpg",
                "mask": "labels/train/x.png",
                "sha256": HASH,
                "score": 0.5,
                "scores": {"missing": 0.5},
                "reasons": ["1 speck(s)"],
                "regions": [{"kind": "speck", "box": [0, 0, 3, 3], "confidence": None}],
            }
        ],
    },
    "bad_masks": {
        "schema": 1,
        "masks": [
            {"path": "labels/train/x.png", "sha256": HASH, "reason": "", "tagged_by": "audit"}
        ],
    },
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_content_passes(name: str) -> None:
    validate(name, SOUND[name], "x.json")


@pytest.mark.parametrize("name", SOUND)
def test_every_key_is_needed_and_described(name: str, project_root: Path) -> None:
    for key in SOUND[name]:
        content = {k: v for k, v in SOUND[name].items() if k != key}
        with pytest.raises(UserError, match=f"x.json .*1 fault.*\n.*'{key}' is a required"):
            validate(name, content, "x.json")
    if name not in WRITTEN_BY_A_TEST:
        return
    described = (project_root / "experiments" / "README.md").read_text()
    assert all(f"`{key}" in described for key in SOUND[name])


@pytest.mark.parametrize(
    ("name", "path", "value", "fault"),
    [
        ("test_metrics", "schema", 1, "schema: 2 was expected"),
        ("test_metrics", "split", "valid", "split: 'valid' is not one of"),
        ("test_metrics", "images", 0, "images: 0 is less than"),
        ("test_metrics", "images", 1.5, "images: 1.5 is not of type 'integer'"),
        ("test_metrics", "classes", ["a", "a"], "classes: .* non-unique"),
        ("test_metrics", "palette.1.0", 256, r"palette\[1\]\[0\]: 256 is greater"),
        ("test_metrics", "metrics.mDice", "87", "metrics.mDice: '87' is not of type"),
        ("test_metrics", "metrics", {}, "metrics: 'aAcc' is a required"),
        ("test_metrics", "breakdown.object_size.0.objects", [1], r"object_size\[0\].*\[1\]"),
        ("test_metrics", "calibration.all.0.accuracy", 1.5, "1.5 is greater than"),
        ("test_metrics", "calibration.all.0.pixels", 1.5, "1.5 is not of type 'integer'"),
        ("test_metrics", "pictures", ["../x.png"], r"pictures\[0\].*does not match"),
        ("test_metrics", "selected_on", "train", "selected_on: 'train' is not one of"),
        ("provenance", "checkpoint_sha256", "abc", "checkpoint_sha256: 'abc' does not match"),
        ("provenance", "data.files", {}, "data.files: .*non-empty|enough properties"),
        ("provenance", "data.files", {"x": {"image": HASH}}, "'label' is a required"),
        ("provenance", "data.labels", None, "data.labels: None is not of type"),
        ("lab_scores", "threshold", 1.5, "threshold: 1.5 is greater"),
        ("lab_scores", "rows", [LAB_ROW], "rows: .*too short"),
        ("lab_scores", "rows.1.IoU", 101, r"rows\[1\].IoU: 101 is greater"),
        ("lab_scores", "rows.1.id", "theirs", r"rows\[1\].id: 'theirs' is not one of"),
        ("provenance", "command", "seglab", "command: 'seglab' is not of type 'array'"),
    ],
)
def test_faults_are_named(name: str, path: str, value: object, fault: str) -> None:
    content = copy.deepcopy(SOUND[name])
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    node: Any = content
    for part in parents:
        node = node[part]
    node[last] = value
    with pytest.raises(UserError, match=fault):
        validate(name, content, "x.json")


def test_all_faults_at_once_each_on_a_short_line() -> None:
    content = copy.deepcopy(SOUND["test_metrics"])
    content |= {"images": -1, "extra": "x" * 5000, "split": "v" * 5000}
    with pytest.raises(UserError) as caught:
        validate("test_metrics", content, "run/test_metrics.json")
    message = caught.value.message
    assert message.startswith("run/test_metrics.json is not what seglab writes (3 faults):")
    assert all(len(line) < 260 for line in message.splitlines())


@pytest.mark.parametrize("content", [None, [], 3, "x"])
def test_what_is_no_object(content: object) -> None:
    with pytest.raises(UserError, match="the file: .* is not of type 'object'"):
        validate("provenance", content, "x.json")


def test_the_schemas_are_sound() -> None:
    files = sorted(Path(schemas.__file__).parent.glob("*.schema.json"))
    assert [path.name.split(".")[0] for path in files] == sorted(SOUND)
    for path in files:
        Draft202012Validator.check_schema(json.loads(path.read_text()))
