"""The data set of two folders."""

from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from seglab.mmseg_custom.datasets import MaskFolderDataset
from seglab.utils.errors import UserError

METAINFO = dict(classes=("background", "cat", "dog"), palette=[[0, 0, 0], [9, 9, 9], [5, 5, 5]])
PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs", meta_keys=("sample_id", "img_path")),
]


pytestmark = pytest.mark.usefixtures("mmseg_scope")


def write(
    root: Path, name: str, mask_dir: str = "labels", value: int = 1, suffix: str = ".jpg"
) -> None:
    for folder, ending, pixels in (
        ("img", suffix, np.full((8, 8, 3), 200, np.uint8)),
        (mask_dir, ".png", np.full((8, 8), value, np.uint8)),
    ):
        path = root / folder / "train" / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def build(root: Path, **options: object) -> MaskFolderDataset:
    return MaskFolderDataset(
        data_root=str(root), split="train", metainfo=METAINFO, pipeline=PIPELINE, **options
    )


def test_registered_with_mmseg() -> None:
    assert DATASETS.get("MaskFolderDataset") is MaskFolderDataset


def test_same_base_names_in_subfolders_stay_apart(tmp_path: Path) -> None:
    write(tmp_path, "b/x")
    write(tmp_path, "a/x", value=2)
    dataset = build(tmp_path)
    ids = [dataset.get_data_info(i)["sample_id"] for i in range(len(dataset))]
    assert ids == ["a/x.jpg", "b/x.jpg"]
    sample = dataset[0]
    assert sample["data_samples"].metainfo["sample_id"] == "a/x.jpg"
    assert sample["data_samples"].gt_sem_seg.data.unique().tolist() == [2]
    assert sample["inputs"].shape == (3, 8, 8)


def test_masks_are_switched_in_one_place(tmp_path: Path) -> None:
    write(tmp_path, "x", value=1)
    write(tmp_path, "x", value=2, mask_dir="labels_sam2")
    for mask_dir, value in (("labels", 1), ("labels_sam2", 2)):
        sample = build(tmp_path, mask_dir=mask_dir)[0]
        assert sample["data_samples"].gt_sem_seg.data.unique().tolist() == [value]


def test_several_suffixes_of_any_case(tmp_path: Path) -> None:
    write(tmp_path, "a", suffix=".png")
    write(tmp_path, "b", suffix=".JPG")
    write(tmp_path, "c", suffix=".bmp")
    dataset = build(tmp_path, img_suffix=(".png", ".jpg"))
    assert [dataset.get_data_info(i)["sample_id"] for i in range(len(dataset))] == [
        "a.png",
        "b.JPG",
    ]
    assert len(build(tmp_path, img_suffix=".bmp")) == 1


def test_dots_in_names_are_kept(tmp_path: Path) -> None:
    write(tmp_path, "a.b")
    info = build(tmp_path).get_data_info(0)
    assert info["seg_map_path"].endswith("labels/train/a.b.png")
    assert Path(info["seg_map_path"]).is_file()


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="image folder not found: .*img/train"):
        build(tmp_path)
    (tmp_path / "img" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match="no images in .*img/train"):
        build(tmp_path)
