"""Lite, the offline default: what a laptop without a GPU trains for real."""

_base_ = [
    "_base_/models/fpn_effnetlite2.py",
    "_base_/datasets/pets_coco.py",
    "_base_/schedules/adamw_80e.py",
    "_base_/default_runtime.py",
]

hypothesis = dict(
    id="Lite",
    parent="Exp1",
    question="How far does a small encoder come whose ImageNet weights need no download?",
    change="semantic FPN on EfficientNet-Lite2 in place of DeepLabV3+ R50, and averaged weights, "
    "because a small network on few, badly labelled images jumps from epoch to epoch",
    expects={"mDice": "-"},
)

train_dataloader = dict(dataset=dict(pipeline=_base_.strong_train_pipeline))
# Depthwise convolutions train slower in bfloat16 on a CPU: float32 here.
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(lr=5e-4, weight_decay=0.01), clip_grad=dict(max_norm=5.0)
)
train_cfg = dict(max_epochs=20)
# The average reaches back about two epochs (1 / momentum = 50 steps of 8 images).
custom_hooks = [
    *_base_.custom_hooks,
    dict(type="EMAHook", momentum=0.02, update_buffers=True),
]
