"""What is listed, with its images and predictions; each test of a fault that went unnoticed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data.relabelling.inputs import gather_tasks, mask_folder, read_predictions
from seglab.utils.bad_masks import BadMask
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file
from seglab.utils.prediction_cache import CacheIndex, save_probabilities, write_index

CLASSES = ("background", "cat")
Listing = Callable[..., BadMask]


@pytest.fixture
def listed(tmp_path: Path) -> Listing:
    """Makes a mask and its image of 9 x 7 pixels, and their entry of the list."""

    def make(path: str, image: str | None = None, drawn: str = "img/train/a.jpg") -> BadMask:
        for name, mode in ((path, "L"), (drawn, "RGB")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (9, 7)).save(tmp_path / name)
        return BadMask(path, sha256_file(tmp_path / path), "odd", "person", image)

    return make


def predictions(folder: Path, values: np.ndarray, classes: tuple[str, ...] = CLASSES) -> Path:
    save_probabilities(folder, "a.jpg", values.astype(np.float32))
    write_index(folder, CacheIndex(classes, {"a.jpg": 0}, {}, {}))
    return folder


def test_a_mask_folder_may_lie_deeper(listed: Listing, tmp_path: Path) -> None:
    masks = [listed("masks/v2/train/sub/a.png", "img/train/sub/a.jpg", "img/train/sub/a.jpg")]
    assert mask_folder(masks, "masks/v2/") == "masks/v2"
    (task,) = gather_tasks(tmp_path, masks, "img", CLASSES, (), 255, "masks/v2")
    assert (task.split, task.inside.as_posix()) == ("train", "sub/a.png")
    # Not named, its first part would count as the folder and its second as the split.
    with pytest.raises(UserError, match="of the split 'v2', its image .* is not.*--mask_dir"):
        gather_tasks(tmp_path, masks, "img", CLASSES, (), 255, mask_folder(masks))
    with pytest.raises(UserError, match="labels/SPLIT/NAME.png: masks/v2/train/sub/a.png"):
        mask_folder(masks, "labels")


def test_masks_of_one_folder_and_one_kind(listed: Listing) -> None:
    one = listed("labels/train/a.png")
    assert mask_folder([one, listed("labels/val/b.png")]) == "labels"
    with pytest.raises(UserError, match="several folders: labels, others"):
        mask_folder([one, listed("others/train/a.png")])
    # Only PNG masks are copied: another one's repair would never arrive in the output folder.
    with pytest.raises(UserError, match="labels/train/a.tif, a.png"):
        mask_folder([one, listed("labels/train/a.tif"), listed("a.png")])


def test_two_images_of_one_name_are_not_chosen_from(listed: Listing, tmp_path: Path) -> None:
    masks = [listed("labels/train/a.png")]
    Image.new("RGB", (9, 7)).save(tmp_path / "img/train/a.PNG")
    with pytest.raises(UserError, match="which of a.PNG, a.jpg .* is its image"):
        gather_tasks(tmp_path, masks, "img", CLASSES, (), 255)


def test_predictions_of_the_same_classes_in_the_same_order(listed: Listing, tmp_path: Path) -> None:
    masks = [listed("labels/train/a.png")]
    values = np.full((2, 7, 9), 0.5)
    right = predictions(tmp_path / "right", values)
    other = predictions(tmp_path / "other", np.concatenate([values, values]), ("x", "y"))
    (task,) = gather_tasks(tmp_path, masks, "img", CLASSES, (right, right), 255)
    mean = read_predictions(task, (right, right), (2, 7, 9))
    assert mean is not None and (mean == 0.5).all()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as caught:
        gather_tasks(tmp_path, masks, "img", CLASSES, (right, other, tmp_path / "empty"), 255)
    text = str(caught.value)
    assert "2 faults" in text and "other predicts x, y" in text and "no finished" in text
    # The index says two classes, the file holds four.
    predictions(tmp_path / "other", np.concatenate([values, values]))
    (task,) = gather_tasks(tmp_path, masks, "img", CLASSES, (other,), 255)
    with pytest.raises(UserError, match=r"shape \(4, 7, 9\)"):
        read_predictions(task, (other,), (2, 7, 9))


def test_an_image_outside_of_the_image_folder_has_no_prediction(
    listed: Listing, tmp_path: Path
) -> None:
    masks = [listed("labels/train/a.png", "elsewhere/a.jpg", "elsewhere/a.jpg")]
    assert len(gather_tasks(tmp_path, masks, "img", CLASSES, (), 255)) == 1
    cache = predictions(tmp_path / "cache", np.full((2, 7, 9), 0.5))
    with pytest.raises(UserError, match="no prediction of it"):
        gather_tasks(tmp_path, masks, "img", CLASSES, (cache,), 255)
