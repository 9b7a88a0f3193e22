"""Exp2 = Exp1's data on SegFormer-B2."""

_base_ = [
    "_base_/models/segformer_mit_b2.py",
    "_base_/datasets/pets_coco.py",
    "_base_/schedules/adamw_80e.py",
    "_base_/default_runtime.py",
]

hypothesis = dict(
    id="Exp2",
    parent="Exp1",
    question="Does a transformer with global context tell cat from dog better than DeepLabV3+?",
    change="MixVisionTransformer-B2 with SegformerHead; lr 6e-5 with SegFormer's rules per "
    "parameter (no decay on norms and position blocks, ten times the rate on the head)",
    expects={"mDice": "+"},
)

train_dataloader = dict(dataset=dict(pipeline=_base_.strong_train_pipeline))
optim_wrapper = dict(
    optimizer=dict(lr=6e-5, weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys={
            "pos_block": dict(decay_mult=0.0),
            "norm": dict(decay_mult=0.0),
            "head": dict(lr_mult=10.0),
        }
    ),
)
