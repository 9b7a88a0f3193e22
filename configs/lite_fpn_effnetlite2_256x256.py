"""Lite, the offline default: what a laptop without a GPU trains for real.

Question: how far does a small encoder come whose ImageNet weights need no download?
Change: semantic FPN on EfficientNet-Lite2 in place of DeepLabV3+ R50; a tenth of the compute.
Expected effect: a few points of mDice below H1, in minutes on two CPU cores.
"""

_base_ = [
    "_base_/models/fpn_effnetlite2.py",
    "_base_/datasets/pets_coco.py",
    "_base_/schedules/adamw_80e.py",
    "_base_/default_runtime.py",
]

# Depthwise convolutions train many times slower in bfloat16 on a CPU: float32 here.
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(lr=1e-3, weight_decay=0.01), clip_grad=dict(max_norm=5.0)
)
train_cfg = dict(max_epochs=20)
