"""GrabCut on drawn things, the real YOLOv8-seg, SAM 2.1's real code with random weights."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data.detection import Detection
from seglab.data.detection.geometry import mask_iou
from seglab.data.relabelling.segmenters import SAM2_NAMES, box_fit, load_segmenter
from seglab.utils.errors import UserError

MAP = {15: 1, 16: 2}


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on noise, and its mask."""
    random = np.random.default_rng(0)
    rows, columns = np.ogrid[:80, :100]
    disc = (rows - 40) ** 2 + (columns - 50) ** 2 < 20**2
    image = random.integers(60, 90, (80, 100, 3), dtype=np.uint8)
    image[disc] += 130
    return image, disc


def test_grabcut_outlines_what_the_box_holds_and_repeats_itself() -> None:
    image, disc = drawn()
    segmenter = load_segmenter("grabcut", None, MAP, "cpu")
    assert segmenter.name == "grabcut" and not segmenter.outlines and not segmenter.recognises
    boxes = [Detection((30, 20, 71, 61), 1, 0.9)]
    (first,), nothing = segmenter.segment([image, image], [boxes, []])
    assert nothing == []
    assert mask_iou(first.mask, disc) > 0.95 and first.score > 0.9
    (again,) = segmenter.segment([image], [boxes])
    assert (again[0].mask == first.mask).all()


@pytest.mark.parametrize("box", [(0, 0, 100, 80), (5, 5, 5.4, 6), (99, 79, 100, 80)])
def test_grabcut_survives_odd_boxes(box: tuple[float, float, float, float]) -> None:
    image, _ = drawn()
    ((segment,),) = load_segmenter("grabcut", None, MAP, "cpu").segment(
        [image], [[Detection(box, 1, 0.9)]]
    )
    assert segment.mask.shape == (80, 100) and 0 <= segment.score <= 1


def test_the_fit_to_the_box() -> None:
    _, disc = drawn()
    assert box_fit(disc, (31, 21, 70, 60)) == 1
    assert box_fit(np.zeros_like(disc), (31, 21, 70, 60)) == 0


def test_a_fallback_is_named_and_never_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("sam2") is None:
        pytest.skip("sam2 is not installed; run `make curation`")
    monkeypatch.setenv("SEGLAB_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def refuse(url: str) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr("seglab.utils.weights._open_url", refuse)
    for name in SAM2_NAMES:
        with pytest.raises(UserError) as caught:
            load_segmenter(name, None, MAP, "cpu")
        text = str(caught.value)
        assert f"{name}.pt" in text and "--segmenter grabcut" in text and "yolov8-seg" in text
    (tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(b"half a download")
    with pytest.raises(UserError, match="damaged"):
        load_segmenter("sam2.1_hiera_tiny", None, MAP, "cpu")
    with pytest.raises(UserError, match="no checkpoint of sam2.1_hiera_tiny") as caught:
        load_segmenter("sam2.1_hiera_tiny", tmp_path / "sam2.1_hiera_tiny.pt", MAP, "cpu")
    assert "--segmenter grabcut" in str(caught.value)
    with pytest.raises(UserError, match="not there"):
        load_segmenter("sam2.1_hiera_tiny", tmp_path / "absent.pt", MAP, "cpu")
    with pytest.raises(UserError, match="unknown segmenter 'sam'"):
        load_segmenter("sam", None, MAP, "cpu")
    with pytest.raises(UserError, match="has no weights"):
        load_segmenter("grabcut", "x.pt", MAP, "cpu")


def test_sam2s_real_code_with_random_weights(tmp_path: Path) -> None:
    if importlib.util.find_spec("sam2") is None:
        pytest.skip("sam2 is not installed; run `make curation`")
    import torch

    from seglab.data.relabelling.sam2_segmenter import Sam2Segmenter, build_predictor

    torch.manual_seed(0)
    predictor = build_predictor("sam2.1_hiera_tiny", None, "cpu")
    checkpoint = tmp_path / "random.pt"
    torch.save({"model": predictor.model.state_dict()}, checkpoint)
    segmenter = load_segmenter("sam2.1_hiera_tiny", checkpoint, MAP, "cpu")
    assert isinstance(segmenter, Sam2Segmenter)
    assert segmenter.name == "random" and len(segmenter.sha256) == 64
    image, _ = drawn()
    boxes = [Detection((30, 20, 71, 61), 1, 0.9), Detection((0, 0, 20, 20), 2, 0.8)]
    asked: list[object] = []
    real = segmenter._predictor.predict_batch
    segmenter._predictor.predict_batch = lambda **keys: asked.append(keys) or real(**keys)
    none, two = segmenter.segment([image[:50], image], [[], boxes])
    assert none == [] and len(two) == 2
    for segment in two:
        assert segment.mask.shape == (80, 100) and segment.mask.dtype == bool
        assert 0 <= segment.score <= 1
    # The boxes in pixels of the image, one mask each.
    (keys,) = asked
    assert np.allclose(keys["box_batch"][0], [each.box for each in boxes])
    assert keys["multimask_output"] is False
    assert segmenter.segment([image], [[]]) == [[]]


def test_a_checkpoint_is_never_executed(tmp_path: Path) -> None:
    if importlib.util.find_spec("sam2") is None:
        pytest.skip("sam2 is not installed; run `make curation`")
    import torch

    mark = tmp_path / "executed"
    torch.save({"model": _Bomb(mark)}, tmp_path / "bomb.pt")
    with pytest.raises(UserError, match="no checkpoint"):
        load_segmenter("sam2.1_hiera_tiny", tmp_path / "bomb.pt", MAP, "cpu")
    assert not mark.exists()


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.shared
def test_yolo_looks_again_at_the_box(shared_dir: Path) -> None:
    if not all(map(importlib.util.find_spec, ("ultralytics", "onnxruntime"))):
        pytest.skip("the optional extras are absent; run `make curation`")
    weights = shared_dir / "weights/yolov8n-seg_int8.onnx"
    segmenter = load_segmenter("yolov8-seg", weights, MAP, "cpu")
    assert segmenter.name == "yolov8-seg (yolov8n-seg_int8)" and len(segmenter.sha256) == 64
    name = "000000275028_3168"  # a cat on a table; the old mask covers a quarter of it
    root = shared_dir / "data/pets_coco"
    with Image.open(root / f"img/train/{name}.jpg") as opened:
        image = np.asarray(opened.convert("RGB"))
    with Image.open(root / f"labels_human/train/{name}.png") as opened:
        human = np.asarray(opened) > 0
    cat = Detection((78, 75, 187, 130), 1, 0.8)
    nothing = Detection((200, 10, 230, 40), 1, 0.8)
    ((found, empty),) = segmenter.segment([image], [[cat, nothing]])
    assert mask_iou(found.mask, human) > 0.8 and found.score > segmenter.sure_score
    assert not empty.mask.any() and empty.score == 0
    with pytest.raises(UserError, match="detect but do not segment"):
        load_segmenter("yolov8-seg", shared_dir / "weights/yolov8n_int8.onnx", MAP, "cpu")
