"""Lite-F = Lite with H1's augmentation."""

_base_ = ["lite_fpn_effnetlite2_256x256.py"]

hypothesis = dict(
    id="Lite-F",
    parent="Lite",
    question="What is the strong augmentation worth on 198 images?",
    change="horizontal flip only, without random resize, crop and colour distortion",
    expects={"mDice": "-"},
)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
