"""Oxford-IIIT Pet, binary by default: background / animal, the border ignored.

The data root is, in this order: `--data-root`, the environment variable SEGLAB_OXFORD_PET,
`data/oxford_pet` in the current folder or the project (`seglab prepare-oxford-pet` fills it). Its
layout is the official one. Train and val are a fixed part of the official trainval, stratified by
breed; test is the official one. Another mode goes with its own classes, in all three loaders:
`dataset=dict(mode="species", metainfo=species_metainfo)`; `border="background"` is what the lab
trained and scored with.
"""

data_root = "{{$SEGLAB_OXFORD_PET:data/oxford_pet}}"
image_size = (256, 256)
# Okabe-Ito colours: told apart by colour-blind readers as well.
metainfo = dict(classes=("background", "animal"), palette=[[0, 0, 0], [230, 159, 0]])
species_metainfo = dict(
    classes=("background", "cat", "dog"), palette=[[0, 0, 0], [230, 159, 0], [86, 180, 233]]
)
trimap_metainfo = dict(
    classes=("background", "animal", "border"), palette=[[0, 0, 0], [230, 159, 0], [0, 158, 115]]
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

# The photographs are of all sizes; each is brought to one size, as the lab did.
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=image_size, keep_ratio=False),
    dict(type="PackSegInputs", meta_keys=meta_keys),
]
# The improved hypotheses': what comes into an image from outside it is ignored.
improved_train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=image_size, keep_ratio=False),
    dict(
        type="Albumentations",
        transforms=[
            dict(type="HorizontalFlip", p=0.5),
            dict(type="Rotate", limit=15, p=0.5),
            dict(type="Affine", scale=(0.9, 1.1), translate_percent=(-0.1, 0.1), p=0.5),
            dict(type="RandomBrightnessContrast", p=0.5),
        ],
    ),
    dict(type="PackSegInputs", meta_keys=meta_keys),
]
# The label is loaded after the resizing: a prediction is scored on the untouched trimap, in the
# photograph's own size.
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=image_size, keep_ratio=False),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs", meta_keys=meta_keys),
]

# Loading is cheap beside a training step: on a CPU, workers would only take cores from it.
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    # Dropping a short last batch keeps every step's batch statistics alike.
    drop_last=True,
    dataset=dict(
        type="OxfordPetDataset",
        data_root=data_root,
        split="train",
        mode="binary",
        border="ignore",
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="OxfordPetDataset",
        data_root=data_root,
        split="val",
        mode="binary",
        border="ignore",
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="OxfordPetDataset",
        data_root=data_root,
        split="test",
        mode="binary",
        border="ignore",
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type="ConfusionMetric", prefix="val")
test_evaluator = dict(type="ConfusionMetric", prefix="test")
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
