"""Cats and dogs from COCO photographs, 256x256: background / cat / dog.

The data root is, in this order: `--data-root`, the environment variable SEGLAB_PETS_COCO,
`data/pets_coco` in the current folder or the project. Its layout is `img/{train,val,test}` and
`labels/{train,val,test}`. To train on other masks of the same images, say so in one place:
`train_dataloader = dict(dataset=dict(mask_dir="labels_sam2"))`.
"""

data_root = "{{$SEGLAB_PETS_COCO:data/pets_coco}}"
image_size = (256, 256)
# Okabe-Ito colours: told apart by colour-blind readers as well.
metainfo = dict(
    classes=("background", "cat", "dog"),
    palette=[[0, 0, 0], [230, 159, 0], [86, 180, 233]],
)
meta_keys = (
    "sample_id",
    "img_path",
    "seg_map_path",
    "ori_shape",
    "img_shape",
    "pad_shape",
    "scale_factor",
    "flip",
    "flip_direction",
    "reduce_zero_label",
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs", meta_keys=meta_keys),
]
# Exp1's: scale, crop (no class above 75 % of it), flip and colour.
strong_train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=image_size, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=image_size, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(
        type="PhotoMetricDistortion",
        brightness_delta=32,
        contrast_range=(0.8, 1.2),
        saturation_range=(0.8, 1.2),
        hue_delta=18,
    ),
    dict(type="PackSegInputs", meta_keys=meta_keys),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs", meta_keys=meta_keys),
]

# Loading is cheap beside a training step: on a CPU, workers would only take cores from it.
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    # 198 images leave a last batch of 6; dropping it keeps every step's batch statistics alike.
    drop_last=True,
    dataset=dict(
        type="MaskFolderDataset",
        data_root=data_root,
        split="train",
        mask_dir="labels",
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="MaskFolderDataset",
        data_root=data_root,
        split="val",
        mask_dir="labels",
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="MaskFolderDataset",
        data_root=data_root,
        split="test",
        mask_dir="labels",
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type="ConfusionMetric", prefix="val")
test_evaluator = dict(type="ConfusionMetric", prefix="test")
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
