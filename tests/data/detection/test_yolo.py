"""The real YOLOv8n weights on real photographs, and what goes wrong without them."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data.detection import class_map_for, load_detector
from seglab.data.detection.geometry import box_iou
from seglab.data.detection.yolo import YoloDetector
from seglab.data.detection.yolo_weights import find_yolo_weights
from seglab.utils.errors import UserError

# Not importorskip: whoever imports ultralytics first decides what it may do by itself.
if not all(map(importlib.util.find_spec, ("ultralytics", "onnxruntime"))):
    pytest.skip("the optional extras are absent; run `make curation`", allow_module_level=True)

MAP = class_map_for(("background", "cat", "dog"))
#: A photograph of one dog on a sofa, outlined by a person.
DOG = "000000481212_908"


def photograph(shared: Path, name: str) -> np.ndarray:
    with Image.open(shared / f"data/pets_coco/img/train/{name}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def human_box(shared: Path, name: str) -> tuple[int, int, int, int]:
    with Image.open(shared / f"data/pets_coco/labels_human/train/{name}.png") as mask:
        rows, columns = np.nonzero(np.asarray(mask))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.shared
def test_the_detector_finds_the_dog_and_leaves_the_process_alone(shared_dir: Path) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        detector = load_detector(shared_dir / "weights/yolov8n_int8.onnx", MAP, batch_size=2)
        image = photograph(shared_dir, DOG)
        # Another size in the same call: boxes are in pixels of their own image.
        large = np.asarray(Image.fromarray(image).resize((512, 300)))
        blank = np.zeros((40, 30, 3), np.uint8)
        first, second, none = detector.detect([image, large, blank])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert detector.name == "yolov8n_int8" and not detector.segments
    assert len(detector.sha256) == 64 and "COCO" in detector.declared
    assert none == []
    best = first[0]
    assert best.label == 2 and best.confidence > 0.6 and best.mask is None
    # The int8 weights leave out the leg: the box is the dog's, not its outline to the pixel.
    assert box_iou(best.box, human_box(shared_dir, DOG)) > 0.6
    scaled = np.array(human_box(shared_dir, DOG)) * (2, 300 / 256, 2, 300 / 256)
    assert box_iou(second[0].box, scaled.tolist()) > 0.6
    confidences = [each.confidence for each in first]
    assert confidences == sorted(confidences, reverse=True)
    assert all(0 <= b.box[0] < b.box[2] <= 256 and 0 <= b.box[1] < b.box[3] <= 256 for b in first)


@pytest.mark.shared
def test_masks_and_the_models_own_input_size(shared_dir: Path) -> None:
    detector = load_detector(shared_dir / "weights/yolov8n-seg_int8.onnx", MAP)
    assert detector.segments
    image = photograph(shared_dir, DOG)
    found, none = detector.detect([image, np.zeros_like(image)])
    assert isinstance(detector, YoloDetector)
    assert list(detector._model.predictor.imgsz) == [320, 320]
    assert none == []
    mask = found[0].mask
    assert mask is not None and mask.shape == image.shape[:2] and mask.dtype == bool
    with Image.open(shared_dir / f"data/pets_coco/labels_human/train/{DOG}.png") as human:
        truth = np.asarray(human) > 0
    assert (mask & truth).sum() / (mask | truth).sum() > 0.6


@pytest.mark.shared
def test_only_mapped_classes_under_the_data_sets_numbers(shared_dir: Path) -> None:
    weights = shared_dir / "weights/yolov8n_int8.onnx"
    image = photograph(shared_dir, DOG)
    (as_one,) = load_detector(weights, {16: 1}).detect([image])
    assert {each.label for each in as_one} == {1}
    (cats,) = load_detector(weights, {15: 1}, min_confidence=0.5).detect([image])
    assert cats == []
    with pytest.raises(UserError, match="knows no class 80, 99"):
        load_detector(weights, {99: 1, 80: 2, 15: 1})


def test_damaged_weights_are_one_clear_line(tmp_path: Path) -> None:
    for name in ("x.onnx", "x.pt"):
        (tmp_path / name).write_bytes(b"not a network")
        with pytest.raises(UserError, match=f"{name} cannot be opened as YOLOv8 weights"):
            load_detector(tmp_path / name, MAP)
    with pytest.raises(UserError, match="not between 0 and 1"):
        load_detector(tmp_path / "x.onnx", MAP, min_confidence=1.0)
    with pytest.raises(UserError, match="none of auto, cpu"):
        load_detector(tmp_path / "x.onnx", MAP, device="tpu")


def test_weights_are_found_by_name_and_never_swapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGLAB_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("seglab.utils.weights.CONNECT_SECONDS", 0.2)
    monkeypatch.setattr("seglab.utils.weights._open_url", refuse)
    with pytest.raises(UserError) as caught:
        find_yolo_weights("yolov8x.pt")
    assert all(word in str(caught.value) for word in ("yolov8x.pt", "137 MB", "SEGLAB_WEIGHTS"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/yolov8x.pt").write_bytes(b"x")
    assert find_yolo_weights("yolov8x") == tmp_path / "mine/yolov8x.pt"
    with pytest.raises(UserError, match="neither a file nor a known name"):
        find_yolo_weights("yolov99.pt")
    with pytest.raises(UserError, match="not found"):
        find_yolo_weights(tmp_path / "absent.onnx")
    (tmp_path / "weights.txt").write_text("x")
    with pytest.raises(UserError, match="no .pt or .onnx"):
        find_yolo_weights(tmp_path / "weights.txt")


def refuse(url: str) -> None:
    raise TimeoutError("no answer")


def test_a_missing_extra_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ultralytics" else real(name, *rest),
    )
    with pytest.raises(UserError, match="make curation"):
        load_detector("yolov8x.pt", MAP)


@pytest.mark.shared
def test_settings_go_into_a_cache_and_no_file_beside_the_user(
    shared_dir: Path, tmp_path: Path
) -> None:
    code = (
        "from seglab.data.detection import load_detector; import numpy as np\n"
        f"d = load_detector({str(shared_dir / 'weights/yolov8n_int8.onnx')!r}, {{15: 1}})\n"
        "print(d.detect([np.zeros((64, 64, 3), np.uint8)]))"
    )
    (tmp_path / "here").mkdir()
    hidden = ("YOLO_CONFIG_DIR", "YOLO_OFFLINE", "YOLO_AUTOINSTALL", "YOLO_VERBOSE")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "here",
        capture_output=True,
        text=True,
        env={
            **{key: value for key, value in os.environ.items() if key not in hidden},
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "HOME": str(tmp_path / "home"),
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[]]"
    assert list((tmp_path / "here").iterdir()) == []
    assert (tmp_path / "cache/seglab/ultralytics").is_dir()
    assert not (tmp_path / "home").exists()


@pytest.mark.shared
def test_pillow_and_torch_stay_as_they_were(shared_dir: Path) -> None:
    """In a process of its own: what was loaded first by another test would hide it."""
    weights = shared_dir / "weights/yolov8n_int8.onnx"
    code = (
        "import torch; from PIL import Image; before = Image.open, torch.save\n"
        "from seglab.data.detection import load_detector\n"
        f"load_detector({str(weights)!r}, {{15: 1}}, device='cpu')\n"
        "import ultralytics.utils.patches as patches\n"
        "assert (Image.open, torch.save) == before and patches.image_open is not before[0]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
