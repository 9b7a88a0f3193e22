"""Fixtures that several test files use."""

import os
import signal

# Before anything imports torch; the tools set the same default.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Of several test processes each gets a core of its own.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test that tracks says so itself, and none finds the developer's server.
os.environ["SEGLAB_TRACKING"] = "off"

# A shell starts background jobs deaf to Ctrl-C, and their children inherit it; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import seglab  # noqa: F401, I001 - first: it arms the torchvision repair

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from clearml_stand_in import ClearMLStandIn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # `clearml_stand_in`, which several test files use
SHARED = ROOT.parent / "shared"

TINY_CONFIG = """
_base_ = [
    "{root}/configs/_base_/default_runtime.py",
    "{root}/configs/_base_/datasets/pets_coco.py",
    "{root}/configs/_base_/schedules/adamw_80e.py",
]
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True,
        pad_val=0, seg_pad_val=255, size=(64, 64), test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(type="TimmBackbone", model_name="test_efficientnet"),
    decode_head=dict(
        type="FCNHead", in_channels=64, in_index=3, channels=16, num_convs=1,
        concat_input=False, dropout_ratio=0.1, num_classes=3, norm_cfg=norm_cfg,
        align_corners=False, loss_decode=dict(type="ComboLoss", ce_weight=0.5, dice_weight=0.5),
    ),
    train_cfg=dict(), test_cfg=dict(mode="whole"),
)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(lr=1e-2))
train_cfg = dict(max_epochs=2)
train_dataloader = dict(batch_size=4, dataset=dict(data_root="{data}"))
val_dataloader = dict(batch_size=4, dataset=dict(data_root="{data}"))
test_dataloader = dict(batch_size=4, dataset=dict(data_root="{data}"))
"""


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real images and weights beside the checkout; the test skips loudly without them."""
    if not SHARED.is_dir():
        warnings.warn(f"SKIPPED for want of real data: {SHARED} is absent", stacklevel=2)
        pytest.skip(f"real data not found: {SHARED}")
    return SHARED


def draw_squares(root: Path, counts: dict[str, int], size: int = 64, seed: int = 0) -> None:
    """Write a data set of bright (cat) and dark (dog) squares on noise, in pets_coco's layout."""
    random = np.random.default_rng(seed)
    for split, count in counts.items():
        for folder in ("img", "labels"):
            (root / folder / split).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image = random.integers(90, 160, (size, size, 3), dtype=np.uint8)
            mask = np.zeros((size, size), dtype=np.uint8)
            label = 1 + index % 2
            side = int(random.integers(size // 3, size // 2))
            top, left = random.integers(0, size - side, 2)
            mask[top : top + side, left : left + side] = label
            image[mask == label] = 250 if label == 1 else 10
            Image.fromarray(image).save(root / "img" / split / f"{index:03d}.jpg", quality=95)
            Image.fromarray(mask).save(root / "labels" / split / f"{index:03d}.png")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 / 5 / 4 images of 64x64 that a network learns in seconds. Do not change it."""
    root = tmp_path_factory.mktemp("tiny_data")
    draw_squares(root, {"train": 12, "val": 5, "test": 4})
    return root


def draw_pets(root: Path, per_breed: int = 9, size: tuple[int, int] = (80, 64)) -> None:
    """Write a data set in the layout of Oxford-IIIT Pet: two breeds of cats, one of dogs.

    A bright (cat) or dark (dog) rectangle with a border of two pixels on noise; a third of each
    breed is test. `size` is (width, height).
    """
    random = np.random.default_rng(0)
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    for folder in ("images", "annotations/trimaps"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for breed, row in (("Abyssinian", "1 1 1"), ("Bengal", "6 1 2"), ("beagle", "5 2 1")):
        for index in range(1, per_breed + 1):
            image = random.integers(90, 160, (size[1], size[0], 3), dtype=np.uint8)
            trimap = np.full((size[1], size[0]), 2, np.uint8)
            left, top = (int(random.integers(4, side // 3)) for side in size)
            trimap[top - 2 : top + size[1] // 2 + 2, left - 2 : left + size[0] // 2 + 2] = 3
            trimap[top : top + size[1] // 2, left : left + size[0] // 2] = 1
            image[trimap == 1] = 250 if row[2] == "1" else 10
            name = f"{breed}_{index}"
            Image.fromarray(image).save(root / "images" / f"{name}.jpg", quality=95)
            Image.fromarray(trimap).save(root / "annotations" / "trimaps" / f"{name}.png")
            lines["test" if index % 3 == 0 else "trainval"].append(f"{name} {row}")
    for name, listed in lines.items():
        (root / "annotations" / f"{name}.txt").write_text("".join(f"{x}\n" for x in listed))
    everything = ["#Image CLASS-ID SPECIES BREED ID", *lines["trainval"], *lines["test"]]
    (root / "annotations" / "list.txt").write_text("".join(f"{x}\n" for x in everything))


@pytest.fixture(scope="session")
def tiny_pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """15 / 3 / 9 images of 80x64 in the layout of Oxford-IIIT Pet. Do not change it."""
    root = tmp_path_factory.mktemp("tiny_pets")
    draw_pets(root)
    return root


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A data set in the layout of Oxford-IIIT Pet to be spoiled: 9 / 3 / 6 small images."""
    root = tmp_path / "pets"
    draw_pets(root, per_breed=6, size=(24, 18))
    return root


@pytest.fixture(scope="session")
def tiny_config_text(tiny_data: Path) -> str:
    """A config of a very small network on `tiny_data`: two epochs of three steps."""
    return TINY_CONFIG.format(root=ROOT, data=tiny_data)


@pytest.fixture
def tiny_config(tmp_path: Path, tiny_config_text: str) -> Path:
    """The file of that config."""
    path = tmp_path / "tiny.py"
    path.write_text(tiny_config_text)
    return path


@pytest.fixture
def mmseg_scope() -> None:
    """Registries look names up under mmseg, as a Runner arranges it."""
    from mmengine.registry import init_default_scope

    import seglab.mmseg_custom  # noqa: F401

    init_default_scope("mmseg")


@pytest.fixture
def stand_in() -> Iterator["ClearMLStandIn"]:
    """A stand-in for a ClearML server, on 127.0.0.1."""
    from clearml_stand_in import ClearMLStandIn

    with ClearMLStandIn() as server:
        yield server


@pytest.fixture
def clearml_environment(stand_in: "ClearMLStandIn", tmp_path: Path) -> dict[str, str]:
    """An environment whose ClearML settings name the stand-in, and nothing of the developer's."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML", "TRAINS"))}
    return {**kept, **stand_in.environment(home), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def foreign_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An offline session that a script of somebody else's left. Do not change it; copy it."""
    folder = tmp_path_factory.mktemp("foreign")
    home = {"HOME": str(folder), "CLEARML_CONFIG_FILE": str(folder / "clearml.conf")}
    settings = {"CLEARML_OFFLINE_MODE": "1", "CLEARML_CACHE_DIR": str(folder)}
    (folder / "clearml.conf").write_text(
        "sdk.development { vcs_repo_detect_async: false, report_use_subprocess: false }"
    )
    script = ROOT / "tests" / "foreign_session.py"
    subprocess.run(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, **home, **settings},
        cwd=folder,
        check=True,
        timeout=120,
        capture_output=True,
    )
    (path,) = (folder / "offline").glob("*.zip")
    return path
