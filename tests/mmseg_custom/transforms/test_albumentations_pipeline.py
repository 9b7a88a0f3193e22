"""albumentations in mmseg's pipeline: image and mask alike, and by mmengine's seed."""

import albumentations
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.dataset import worker_init_fn
from mmengine.runner import set_random_seed
from mmseg.registry import TRANSFORMS

from seglab.mmseg_custom.transforms import Albumentations
from seglab.utils.errors import UserError

LAB = [
    dict(type="HorizontalFlip", p=0.5),
    dict(type="Rotate", limit=15, p=0.5),
    dict(type="Affine", scale=(0.9, 1.1), translate_percent=(-0.1, 0.1), p=0.5),
    dict(type="RandomBrightnessContrast", p=0.5),
]


def sample(size: int = 64) -> dict:
    """A square in red (mmseg's order: last) with its mask."""
    image = np.zeros((size, size, 3), dtype=np.uint8)
    mask = np.zeros((size, size), dtype=np.uint8)
    mask[8:40, 8:28] = 1
    image[mask == 1] = (10, 60, 200)
    return dict(img=image, img_shape=(size, size), gt_seg_map=mask, seg_fields=["gt_seg_map"])


def run(transforms: list[dict], seed: int = 0, count: int = 1, **kwargs) -> list[dict]:
    set_random_seed(seed)
    step = Albumentations(transforms, **kwargs)
    return [step(sample()) for _ in range(count)]


def test_it_is_registered_and_takes_the_labs_pipeline() -> None:
    assert isinstance(TRANSFORMS.build(dict(type="Albumentations", transforms=LAB)), Albumentations)
    assert isinstance(Compose([Albumentations(LAB)])(sample())["img"], np.ndarray)


def test_a_flip_is_numpys_flip_and_colours_keep_their_order() -> None:
    (done,) = run([dict(type="HorizontalFlip", p=1.0)])
    assert np.array_equal(done["img"], sample()["img"][:, ::-1])
    assert np.array_equal(done["gt_seg_map"], sample()["gt_seg_map"][:, ::-1])
    assert done["img"].flags.c_contiguous and done["gt_seg_map"].dtype == np.uint8
    # Only red reaches the third channel of RGB order; in mmseg's BGR that is the last as well.
    shift = dict(type="RGBShift", r_shift_limit=(20, 20), g_shift_limit=0, b_shift_limit=0, p=1.0)
    (done,) = run([shift])
    assert done["img"][10, 10].tolist() == [10, 60, 220]


def test_image_and_mask_move_together() -> None:
    for done in run(LAB[:3], count=30):
        labelled = done["gt_seg_map"] != 255
        bright = done["img"][..., 2] > 100
        agree = (bright == (done["gt_seg_map"] == 1))[labelled].mean()
        assert agree > 0.97  # the image is interpolated along the square's edge, the mask is not


def test_what_comes_from_outside_is_ignored_not_background() -> None:
    rotate = dict(type="Rotate", limit=(15, 15), p=1.0)
    (done,) = run([rotate])
    assert set(np.unique(done["gt_seg_map"])) == {0, 1, 255}
    assert done["gt_seg_map"][0, 0] == 255
    (done,) = run([rotate], seg_pad_val=7)
    assert done["gt_seg_map"][0, 0] == 7
    (done,) = run([dict(rotate, fill_mask=0)])
    assert set(np.unique(done["gt_seg_map"])) == {0, 1}


def test_the_seed_decides_and_another_seed_differs() -> None:
    first, again, other = (run(LAB, seed, count=8) for seed in (1, 1, 2))
    same = [np.array_equal(a["img"], b["img"]) for a, b in zip(first, again, strict=True)]
    assert all(same)
    assert not all(np.array_equal(a["img"], b["img"]) for a, b in zip(first, other, strict=True))
    # And samples differ among themselves.
    assert len({done["img"].tobytes() for done in first}) > 4


def test_workers_draw_differently_and_repeatably() -> None:
    def of_worker(rank: int) -> bytes:
        worker_init_fn(rank, num_workers=2, rank=0, seed=3)
        return b"".join(Albumentations(LAB)(sample())["img"].tobytes() for _ in range(4))

    assert of_worker(0) == of_worker(0) != of_worker(1)


def test_transforms_are_drawn_independently() -> None:
    """With one seed for each transform a flip would come exactly when a shift comes."""
    set_random_seed(0)
    shift = dict(type="RGBShift", r_shift_limit=(20, 20), g_shift_limit=0, b_shift_limit=0, p=0.5)
    step = Albumentations([dict(type="HorizontalFlip", p=0.5), shift])
    both = np.zeros((2, 2), dtype=int)
    for _ in range(400):
        done = step(sample())
        flipped = done["gt_seg_map"][10, 10] == 0
        both[int(flipped), int(done["img"].max() > 205)] += 1
    assert both.min() > 60  # 100 expected in each

    seeded = albumentations.Compose(step.compose.transforms)
    together = set()
    for seed in range(100):
        seeded.set_random_seed(seed)
        done = seeded(image=sample()["img"], mask=sample()["gt_seg_map"])
        together.add((done["mask"][10, 10] == 0, int(done["image"][..., 0].max()) > 10))
    assert len(together) == 2  # what set_random_seed does


def test_a_change_of_size_is_told_and_prediction_needs_no_mask() -> None:
    (done,) = run([dict(type="CenterCrop", height=32, width=48, p=1.0)])
    assert done["img_shape"] == (32, 48) == done["gt_seg_map"].shape
    step = Albumentations([dict(type="HorizontalFlip", p=1.0)])
    assert step(dict(img=sample()["img"]))["img"].shape == (64, 64, 3)


def test_transforms_inside_others() -> None:
    nested = dict(
        type="OneOf",
        transforms=[dict(type="Rotate", limit=(90, 90), p=1.0), dict(type="HorizontalFlip", p=1.0)],
        p=1.0,
    )
    corners = {tuple(np.argwhere(d["gt_seg_map"] == 1).min(0)) for d in run([nested], count=20)}
    assert len(corners) == 2


def test_every_fault_is_named_at_once() -> None:
    wrong = [
        dict(type="Rotat", limit=15),
        dict(type="Rotate", limits=15),
        dict(type="HorizontalFlip", p=3.0),
        dict(type="OneOf", transforms=[dict(type="Affine", scal=1)], p=1.0),
        dict(limit=3),
        dict(type="BaseCompose"),
        "HorizontalFlip",
    ]
    with pytest.raises(UserError) as caught:
        Albumentations(wrong)
    text = str(caught.value)
    assert "'Rotat'" in text and "transforms[1] (Rotate)" in text and "limits" in text
    assert "transforms[2] (HorizontalFlip)" in text and "less than or equal to 1" in text
    assert "transforms[6]: 'HorizontalFlip' is no dict(type=..., ...)" in text
    assert "transforms[3].transforms[0] (Affine)" in text and "transforms[4]" in text
