from __future__ import annotations

import pytest
from mmengine.config import Config

from seglab.data.preflight.folders import find_folders, type_name
from seglab.utils.errors import UserError

from .conftest import dataset_dict, draw_image, write_pair


def loader(dataset):
    return Config({"train_dataloader": {"dataset": dataset}})


def only(cfg):
    (folder,), findings = find_folders(cfg, "train")
    assert not findings
    return folder


def test_lists_what_mask_folder_dataset_lists(root):
    """Same images in the same order, and masks at the same places, on an untidy tree."""
    from seglab.mmseg_custom.datasets import MaskFolderDataset

    write_pair(root, "train", "nested/deep/x.y", 9, 1)
    write_pair(root, "train", "B", 10, 1)
    for name in ("upper.JPG", "other.png", ".hidden.jpg", "notes.txt"):
        draw_image(11).save(root / "img" / "train" / name, format="JPEG")
    for suffix in (".jpg", (".jpg", ".png")):
        options = dataset_dict(root, "train", img_suffix=suffix)
        folder = only(loader(options))
        del options["type"]
        listed = MaskFolderDataset(**options, lazy_init=True).load_data_list()
        assert [str(path) for path in folder.list_images()] == [s["img_path"] for s in listed]
        masks = [str(folder.mask_of(path)) for path in folder.list_images()]
        assert masks == [sample["seg_map_path"] for sample in listed]
        assert len(masks) >= 8


def test_wrappers_are_opened(root):
    train, val = dataset_dict(root, "train"), dataset_dict(root, "val")
    repeated = {"type": "RepeatDataset", "times": 3, "dataset": train}
    both = {"type": "ConcatDataset", "datasets": [repeated, val]}
    folders, findings = find_folders(
        loader({"type": "RepeatDataset", "times": 2, "dataset": both}), "train"
    )
    assert not findings
    assert [(f.subfolder, f.repeats) for f in folders] == [("train", 6), ("val", 2)]


def test_another_type_is_named_and_not_opened(root):
    folders, (finding,) = find_folders(
        loader(dataset_dict(root, "train", type="mmseg.CityscapesDataset")), "train"
    )
    assert folders == []
    assert (finding.code, finding.severity) == ("unchecked-dataset", "doubt")
    assert "CityscapesDataset" in finding.message


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [("batch_size", None, "a whole number"), ("dataset.mask_dir", ["labels"], "text"),
     ("dataset.split", 3, "text")],
)  # fmt: skip
def test_a_setting_of_another_kind_is_named(root, key, value, fix):
    cfg = loader(dataset_dict(root, "train"))
    cfg.merge_from_dict({f"train_dataloader.{key}": value})
    with pytest.raises(UserError, match=f"train_dataloader.{key} is ") as caught:
        find_folders(cfg, "train")
    assert fix in str(caught.value)


@pytest.mark.parametrize("cfg", [{}, {"train_dataloader": None}, {"train_dataloader": {}}])
def test_a_config_without_loader(cfg):
    folders, (finding,) = find_folders(Config(cfg), "train")
    assert folders == []
    assert finding.code == "missing-dataloader"
    assert "train_dataloader" in finding.message


@pytest.mark.parametrize(
    ("indices", "names"), [(2, "ab"), (-1, "d"), ([3, 0], "da"), (9, "abcd"), (0, "")]
)
def test_indices_choose_a_subset(root, indices, names):
    folder = only(loader(dataset_dict(root, "train", indices=indices)))
    assert [path.stem for path in folder.list_images()] == list(names)


def test_type_name_takes_scopes_and_classes():
    assert type_name({"type": "mmseg.DiceLoss"}) == "DiceLoss"
    assert type_name({"type": Config}) == "Config"
    assert type_name({}) == ""
