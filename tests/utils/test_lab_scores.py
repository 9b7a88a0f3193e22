"""Reading `lab_scores.json`: a sound one, and everything that is not of the test beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from seglab.utils.errors import UserError
from seglab.utils.lab_scores import (
    describe_row,
    honest_figures,
    read_lab_scores,
    require_lab_config,
)

METRICS = {"IoU/animal": 87.125, "image_mean/IoU/animal": None, "aAcc": 93.5, "mIoU": 1.0}


def row(name: str, **changed: Any) -> dict[str, Any]:
    facts = {"split": "test", "augmented": False, "border": "ignore", "size": "photograph"}
    figures = {"IoU": 87.125, "image_mean_IoU": None, "pixel_accuracy": 93.5}
    return {"id": name, "images": 9, **facts, "average": "split", **figures, **changed}


@pytest.fixture
def scores() -> dict[str, Any]:
    """Sound content of two steps."""
    lab = row("lab", split="train", border="background", average="batches", IoU=70.0)
    train = row("train_images", split="train", border="background")
    return {
        "schema": 1, "class": "animal", "threshold": 0.5, "seed": 0, "batch_size": 4,
        "checkpoint_sha256": "0" * 64, "augmentation": ["Rotate", "Affine"],
        "rows": [row("ours"), row("border", border="background"), train, lab],
    }  # fmt: skip


@pytest.fixture
def test_folder(scores: dict[str, Any], tmp_path: Path) -> Path:
    """Results of a test with these scores."""
    content = {"images": 9, "metrics": METRICS}
    (tmp_path / "test_metrics.json").write_text(json.dumps(content))
    (tmp_path / "lab_scores.json").write_text(json.dumps(scores))
    return tmp_path


def test_what_was_written_is_read(test_folder: Path, scores: dict[str, Any]) -> None:
    assert read_lab_scores(test_folder) == scores
    (test_folder / "lab_scores.json").unlink()
    assert read_lab_scores(test_folder) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"rows": [row("ours", IoU=87.2), row("lab")]}, "another test than test_metrics.json"),
        ({"rows": [row("ours", images=8), row("lab")]}, "another test than test_metrics.json"),
        ({"class": "dog"}, "another test than test_metrics.json"),
        ({"rows": [row("lab"), row("ours")]}, "the rows are lab, ours"),
        ({"rows": [row("ours"), row("ours"), row("lab")]}, "the rows are ours, ours, lab"),
        ({"rows": [row("ours"), row("border")]}, "the rows are ours, border"),
        ({"threshold": 0, "seed": "x"}, "(?s)2 faults.*seed: 'x'.*threshold: 0"),
    ],
)
def test_what_does_not_fit_is_refused(
    change: dict[str, Any], fault: str, test_folder: Path, scores: dict[str, Any]
) -> None:
    (test_folder / "lab_scores.json").write_text(json.dumps(scores | change))
    with pytest.raises(UserError, match=fault) as caught:
        read_lab_scores(test_folder)
    assert "lab_scores.json" in caught.value.message and "--reproduce-lab" in caught.value.fix


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"schema": 1}'])
def test_a_damaged_file(content: str, test_folder: Path) -> None:
    (test_folder / "lab_scores.json").write_text(content)
    with pytest.raises(UserError, match="lab_scores.json is not"):
        read_lab_scores(test_folder)


def test_rows_in_words(scores: dict[str, Any]) -> None:
    scores["rows"].insert(3, row("augmented", augmented=True))
    scores["rows"].insert(3, row("train_size", size="training"))
    assert [describe_row(scores, index) for index in range(6)] == [
        "honest: test images, border ignored",
        "+ border as background",
        "+ on the train images",
        "+ in the size of training",
        "+ augmented (Rotate, Affine)",
        "the lab's way: + averaged over batches of 4",
    ]


def test_the_figures_of_a_class() -> None:
    assert honest_figures(METRICS, "animal") == {
        "IoU": 87.125, "image_mean_IoU": None, "pixel_accuracy": 93.5
    }  # fmt: skip


def loader(**dataset: Any) -> dict[str, Any]:
    dataset = {"type": "OxfordPetDataset", "data_root": "x", **dataset}
    return {"dataset": dataset, "batch_size": 4}


def test_the_data_it_is_for() -> None:
    config = Config({"test_dataloader": loader(), "train_dataloader": loader(mode="binary")})
    require_lab_config(config, "test")
    with pytest.raises(UserError, match="1 fault.*\n.*the config has no val_dataloader"):
        require_lab_config(config, "val")
    repeated = {"type": "RepeatDataset", "times": 2, "dataset": loader()["dataset"]}
    config.train_dataloader = {"dataset": repeated, "batch_size": 4}
    config.test_dataloader = loader(mode="trimap")
    expected = "(?s)2 faults.*test_dataloader: mode is 'trimap'.*the data set is RepeatDataset"
    with pytest.raises(UserError, match=expected):
        require_lab_config(config, "test")


@pytest.mark.parametrize("size", [None, 0, "8"])
def test_batches_of_another_kind_are_refused(size: object) -> None:
    config = Config({"test_dataloader": loader(), "train_dataloader": loader()})
    config.train_dataloader.batch_size = size
    with pytest.raises(UserError, match=f"1 fault.*\n.*train_dataloader: batch_size is {size!r}"):
        require_lab_config(config, "test")
    del config.train_dataloader["batch_size"]
    with pytest.raises(UserError, match="batch_size is None"):
        require_lab_config(config, "test")
