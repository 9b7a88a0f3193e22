"""Each fault of files, made for real on a sound data set: code and file name must be reported."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from seglab.data.preflight import image_checks, run_preflight

from .conftest import SIZE, dataset_dict, draw_image, draw_mask, write_pair


def only(findings):
    (finding,) = findings
    return finding


def spoil(root, kind, name, image):
    """Replace image or mask `name` of the train split."""
    path = root / kind / "train" / name
    image.save(path)
    return path


def assert_found(findings, code, *words):
    """Exactly one finding, of this code, that names these words and has a fix."""
    finding = only(findings)
    assert finding.code == code
    assert finding.fix
    for word in words:
        assert word in finding.message
    return finding


def test_a_sound_set_gives_no_findings(make_config):
    assert run_preflight(make_config()) == []


def test_missing_root(root, make_config):
    cfg = make_config()
    cfg.train_dataloader.dataset.data_root = str(root / "nowhere")
    finding = assert_found(run_preflight(cfg), "missing-root", str(root / "nowhere"))
    assert "--data-root" in finding.fix
    cfg.val_dataloader.dataset.data_root = str(root / "nowhere")
    assert run_preflight(cfg) == [finding]  # once, not for each split


@pytest.mark.parametrize(("kind", "key"), [("img", "img_dir"), ("labels", "mask_dir")])
def test_missing_folder(root, make_config, kind, key):
    shutil.rmtree(root / kind / "val")
    finding = assert_found(run_preflight(make_config()), "missing-folder", str(root / kind / "val"))
    assert key in finding.fix


def test_empty_split(root, make_config):
    cfg = make_config(**{"val_dataloader.dataset.img_suffix": (".tif", ".bmp")})
    assert_found(run_preflight(cfg), "empty-split", "val", ".tif or .bmp", str(root / "img/val"))


def test_missing_mask(root, make_config):
    (root / "labels/train/b.png").unlink()
    finding = assert_found(run_preflight(make_config()), "missing-mask", "img/train/b.jpg")
    assert finding.files == (str(root / "img/train/b.jpg"),)
    assert finding.severity == "fault"


def test_missing_image(root, make_config):
    (root / "img/val/e.jpg").unlink()
    cfg = make_config(**{"val_dataloader.batch_size": 1})
    assert_found(run_preflight(cfg), "missing-image", "labels/val/e.png")


def test_masks_of_images_left_out_by_indices_are_not_lone(make_config):
    assert run_preflight(make_config(**{"train_dataloader.dataset.indices": 2})) == []


@pytest.mark.parametrize(
    ("kind", "code"), [("img", "unreadable-image"), ("labels", "unreadable-mask")]
)
def test_unreadable_files(root, make_config, kind, code):
    first, second, third = sorted((root / kind / "train").iterdir())[:3]
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:-30])
    third.write_bytes(b"no image at all")
    finding = assert_found(run_preflight(make_config()), code, "(3)", first.name, second.name)
    assert "0 bytes" in finding.message
    assert "not an image" in finding.message


def test_oversized_file(root, make_config, monkeypatch):
    monkeypatch.setenv("SEGLAB_MAX_MEGAPIXELS", "0.0005")
    spoil(root, "img", "a.jpg", draw_image(0, (40, 40)))
    assert_found(run_preflight(make_config()), "oversized-file", "img/train/a.jpg")


def test_size_mismatch(root, make_config):
    spoil(root, "labels", "c.png", draw_mask(1, (SIZE, SIZE + 3)))
    assert_found(
        run_preflight(make_config()), "size-mismatch", "img/train/c.jpg (16x16, mask 16x19)"
    )


def test_exif_turned_image_is_compared_as_it_is_loaded(root, make_config):
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_image(0, (20, 16)).save(root / "img/train/a.jpg", exif=exif)
    spoil(root, "labels", "a.png", draw_mask(1, (16, 20)))
    # This image is larger than the others: without a Resize that is a finding of its own.
    config = make_config(**{"train_dataloader.dataset.pipeline": [{"type": "Resize"}]})
    finding = assert_found(run_preflight(config), "exif-orientation", "img/train/a.jpg")
    assert finding.severity == "doubt"
    spoil(root, "labels", "a.png", draw_mask(1, (20, 16)))
    codes = [finding.code for finding in run_preflight(config)]
    assert codes == ["size-mismatch", "exif-orientation"]


MASK = np.asarray(draw_mask(1))
PALETTE = draw_mask(1).copy()
PALETTE.putpalette([0, 0, 0, 230, 159, 0, 86, 180, 233])


@pytest.mark.parametrize(
    ("mask", "code", "mode"),
    [
        (draw_mask(1).convert("RGB"), "rgb-mask", "RGB"),
        (draw_mask(1).convert("RGBA"), "rgb-mask", "RGBA"),
        (PALETTE, "palette-mask", "P"),
        (Image.fromarray(MASK.astype(np.uint16)), "16-bit-mask", "I;16"),
        (Image.fromarray(MASK > 0), "1-bit-mask", "1"),
        (draw_mask(1).convert("LA"), "alpha-mask", "LA"),
    ],
)
def test_mask_modes(root, make_config, mask, code, mode):
    spoil(root, "labels", "a.png", mask)
    finding = assert_found(run_preflight(make_config()), code, f"labels/train/a.png (mode {mode})")
    assert finding.severity == "fault"


def test_the_palette_masks_fix_does_what_it_says(root, make_config):
    mask = spoil(root, "labels", "a.png", PALETTE)
    mended = Image.fromarray(np.asarray(Image.open(mask)))
    spoil(root, "labels", "a.png", mended)
    assert run_preflight(make_config()) == []


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_image_modes_are_doubts(root, make_config, mode):
    spoil(root, "img", "a.jpg", draw_image(0).convert(mode))
    finding = assert_found(run_preflight(make_config()), "image-mode", f"a.jpg (mode {mode})")
    assert finding.severity == "doubt"


def test_label_out_of_range_names_file_and_values(root, make_config):
    mask = MASK.copy()
    mask[0, :4] = (3, 200, 254, 255)
    spoil(root, "labels", "a.png", Image.fromarray(mask))
    finding = assert_found(
        run_preflight(make_config()),
        "label-out-of-range",
        "labels/train/a.png (value 3, 200, 254)",
        "(0 to 2)",
        "(255)",
    )
    assert finding.severity == "fault"


def test_many_wrong_values_are_cut_short(root, make_config):
    spoil(root, "labels", "a.png", Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)))
    finding = only(run_preflight(make_config()))
    assert "value 3, 4, 5, 6, 7, 8, 9, 10 and 244 more" in finding.message


def test_ignore_index_and_classes_of_the_config_decide(root, make_config):
    mask = MASK.copy()
    mask[0, :2] = (3, 100)
    spoil(root, "labels", "a.png", Image.fromarray(mask))
    cfg = make_config(
        **{
            "train_dataloader.dataset.ignore_index": 100,
            "train_dataloader.dataset.metainfo.classes": ("background", "cat", "dog", "cow"),
            "val_dataloader.dataset.metainfo.classes": ("background", "cat", "dog", "cow"),
            "model.decode_head.num_classes": 4,
            "model.auxiliary_head": None,
        }
    )
    assert run_preflight(cfg) == []


def test_without_class_names_the_head_tells_the_number(root, make_config):
    cfg = make_config()
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        del loader.dataset["metainfo"]
    assert run_preflight(cfg) == []
    spoil(root, "labels", "a.png", draw_mask(3))
    assert_found(run_preflight(cfg), "label-out-of-range", "(value 3)")


def test_reduce_zero_label_shifts_the_valid_values(root, make_config):
    spoil(root, "labels", "a.png", draw_mask(3))
    cfg = make_config()
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.reduce_zero_label = True
    assert run_preflight(cfg) == []
    spoil(root, "labels", "a.png", draw_mask(4))
    codes = [finding.code for finding in run_preflight(cfg)]
    assert codes == ["label-out-of-range", "absent-class"]


def test_absent_class_looks_at_the_train_split_only(root, make_config):
    for name in "abcd":
        spoil(root, "labels", f"{name}.png", draw_mask(1))
    finding = assert_found(run_preflight(make_config()), "absent-class", "2 dog")
    assert finding.severity == "doubt"
    assert "cat" not in finding.message
    assert run_preflight(make_config(), ("val",)) == []


@pytest.mark.parametrize(("value", "code"), [(0, "uniform-mask"), (255, "ignored-mask")])
def test_masks_that_say_nothing(root, make_config, value, code):
    spoil(root, "labels", "c.png", Image.fromarray(np.full((SIZE, SIZE), value, np.uint8)))
    assert_found(run_preflight(make_config()), code, "labels/train/c.png")


def test_nested_files_are_checked_and_named_by_their_path(root, make_config):
    _, mask = write_pair(root, "train", "sub/a", 20, 1)
    write_pair(root, "train", "sub/b", 21, 1)
    mask.unlink()
    assert_found(run_preflight(make_config()), "missing-mask", "img/train/sub/a.jpg")


def test_all_folders_of_a_concat_dataset_are_checked(tmp_path_factory, make_config):
    other = tmp_path_factory.mktemp("other")
    write_pair(other, "train", "x", 30, 1)
    write_pair(other, "train", "y", 31, 9)
    cfg = make_config()
    both = [cfg.train_dataloader.dataset, dataset_dict(other, "train")]
    cfg.train_dataloader.dataset = {"type": "ConcatDataset", "datasets": both}
    assert_found(run_preflight(cfg), "label-out-of-range", "labels/train/y.png (value 9)")


def test_masks_outside_the_root_are_named_in_full(root, tmp_path_factory, make_config):
    masks = tmp_path_factory.mktemp("masks") / "relabelled"
    shutil.copytree(root / "labels", masks)
    (masks / "train/a.png").write_bytes(b"")
    cfg = make_config(**{"train_dataloader.dataset.mask_dir": str(masks)})
    assert_found(run_preflight(cfg), "unreadable-mask", str(masks / "train/a.png"))


def test_list_split_pairs_by_relative_name(root):
    from seglab.data.preflight.folders import find_folders

    (folder,), _ = find_folders(
        {"train_dataloader": {"dataset": dataset_dict(root, "train")}}, "train"
    )
    files = image_checks.list_split(folder, {})
    assert {i.stem: m.stem for i, m in files.pairs.items()} == {n: n for n in "abcd"}
