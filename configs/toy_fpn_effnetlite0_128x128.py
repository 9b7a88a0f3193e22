"""Toy, what `make demo` trains: the lite network, smaller, on drawn animals."""

_base_ = [
    "_base_/models/fpn_effnetlite2.py",
    "_base_/datasets/toy.py",
    "_base_/schedules/adamw_80e.py",
    "_base_/default_runtime.py",
]

hypothesis = dict(
    id="Toy",
    parent=None,
    question="Does everything work on this machine, and what does a run look like?",
    change="EfficientNet-Lite0 at 128x128 on the toy data set, a few minutes at most on a CPU",
    expects={},
)

model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(
        model_name="tf_efficientnet_lite0",
        init_cfg=dict(type="Pretrained", checkpoint="efficientnet_lite0"),
    ),
    neck=dict(in_channels=[24, 40, 112, 320]),
)
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(lr=1e-3, weight_decay=0.01), clip_grad=dict(max_norm=5.0)
)
train_cfg = dict(max_epochs=10)
