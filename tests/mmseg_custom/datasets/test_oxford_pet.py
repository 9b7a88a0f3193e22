"""The data set in Oxford-IIIT Pet's layout, against masks mapped by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from seglab.mmseg_custom.datasets import OxfordPetDataset
from seglab.mmseg_custom.datasets.samples import sample_files
from seglab.utils.config_utils import load_config
from seglab.utils.data_hashes import hash_samples, summarise_hashes
from seglab.utils.errors import UserError

PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs", meta_keys=("sample_id", "img_path")),
]

pytestmark = pytest.mark.usefixtures("mmseg_scope")


def build(root: Path, split: str = "train", **options: Any) -> OxfordPetDataset:
    return OxfordPetDataset(data_root=str(root), split=split, pipeline=PIPELINE, **options)


def labels(dataset: OxfordPetDataset) -> dict[str, np.ndarray]:
    samples = [dataset[index]["data_samples"] for index in range(len(dataset))]
    return {sample.sample_id: sample.gt_sem_seg.data[0].numpy() for sample in samples}


def expected(trimap: np.ndarray, mode: str, border: str, is_dog: bool) -> np.ndarray:
    """The labels by NumPy alone, pixel value by pixel value."""
    animal = 2 if mode == "species" and is_dog else 1
    edge = {"ignore": 255, "foreground": animal, "background": 0}[border]
    edge = 2 if mode == "trimap" else edge
    return np.select([trimap == 1, trimap == 2, trimap == 3], [animal, 0, edge], default=99)


@pytest.mark.parametrize(
    ("mode", "border"),
    [
        ("binary", "ignore"),
        ("binary", "foreground"),
        ("binary", "background"),
        ("species", "ignore"),
        ("species", "foreground"),
        ("species", "background"),
        ("trimap", "ignore"),
    ],
)
def test_labels_of_every_mode_and_border(tiny_pets: Path, mode: str, border: str) -> None:
    loaded = labels(build(tiny_pets, "trainval", mode=mode, border=border))
    assert len(loaded) == 18
    for name, label in loaded.items():
        trimap = np.asarray(
            Image.open(tiny_pets / "annotations/trimaps" / name.replace(".jpg", ".png"))
        )
        assert np.array_equal(label, expected(trimap, mode, border, name.startswith("beagle")))


def test_splits_ids_classes_and_defaults(tiny_pets: Path) -> None:
    assert DATASETS.get("OxfordPetDataset") is OxfordPetDataset
    dataset = build(tiny_pets)
    assert dataset.metainfo["classes"] == ("background", "animal")
    assert len(dataset.metainfo["palette"]) == 2
    ids = {split: set(labels(build(tiny_pets, split))) for split in ("train", "val", "test")}
    assert [len(names) for names in ids.values()] == [15, 3, 9]
    assert len(set.union(*ids.values())) == 27
    assert all(name.endswith(".jpg") for name in ids["train"])
    species = build(tiny_pets, mode="species", metainfo=dict(classes=("none", "cats", "dogs")))
    assert species.metainfo["classes"] == ("none", "cats", "dogs")


def test_excluded_images_leave_the_others_where_they_are(tiny_pets: Path) -> None:
    whole = {split: set(labels(build(tiny_pets, split))) for split in ("train", "val", "test")}
    out = [sorted(names)[0].removesuffix(".jpg") for names in whole.values()]
    for split, names in whole.items():
        left = set(labels(build(tiny_pets, split, exclude=out)))
        assert left == names - {f"{name}.jpg" for name in out} and len(left) == len(names) - 1
    with pytest.raises(UserError, match="no list has 'Bengal_99'"):
        build(tiny_pets, exclude=["Bengal_99"])
    assert build(tiny_pets, exclude="Bengal_1").exclude == ("Bengal_1",)


def test_another_reading_is_another_label(tiny_pets: Path) -> None:
    hashes = [
        summarise_hashes(hash_samples(sample_files(build(tiny_pets, "test", **options))))
        for options in ({}, {"border": "background"}, {"mode": "species"}, {})
    ]
    assert len({summary["images_sha256"] for summary in hashes}) == 1
    assert len({summary["labels_sha256"] for summary in hashes}) == 3
    assert hashes[0] == hashes[3]


def test_wrong_options_and_lists_are_refused_all_at_once(pets: Path) -> None:
    with pytest.raises(UserError) as caught:
        build(pets, "validation", mode="tri", border="no")
    assert all(word in str(caught.value) for word in ("split is", "mode is", "border is"))
    with (pets / "annotations/test.txt").open("a") as stream:
        stream.write("Bengal_1 6 1 2\nnonsense\n")
    with pytest.raises(UserError) as caught:
        build(pets)
    assert "Bengal_1 is in both" in str(caught.value) and "'nonsense'" in str(caught.value)
    with pytest.raises(UserError, match="annotations/list.txt: No such file"):
        build(pets / "nowhere")


def test_the_base_config_scores_on_the_untouched_trimap(
    tiny_pets: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGLAB_OXFORD_PET", str(tiny_pets))
    config = load_config(project_root / "configs/_base_/datasets/oxford_pet.py")
    for split, size in (("train", (256, 256)), ("val", (64, 80)), ("test", (64, 80))):
        sample = DATASETS.build(config[f"{split}_dataloader"].dataset)[0]
        assert sample["inputs"].shape == (3, 256, 256)
        assert sample["data_samples"].gt_sem_seg.shape == size
        assert set(sample["data_samples"].gt_sem_seg.data.unique().tolist()) == {0, 1, 255}
    for name in ("metainfo", "species_metainfo", "trimap_metainfo"):
        assert len(config[name].classes) == len(config[name].palette)


@pytest.mark.shared
def test_the_real_sample(shared_dir: Path) -> None:
    loaded = labels(build(shared_dir / "data/oxford_pet_sample", "test", mode="species"))
    assert len(loaded) == 60
    for name, label in loaded.items():
        present = set(np.unique(label).tolist())
        assert present <= {0, 1 if name[0].isupper() else 2, 255}, name
