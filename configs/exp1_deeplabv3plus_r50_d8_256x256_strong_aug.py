"""Exp1 = H1 + stronger augmentation."""

_base_ = ["h1_deeplabv3plus_r50_d8_256x256.py"]

hypothesis = dict(
    id="Exp1",
    parent="H1",
    question="Does a few hundred images' worth of variety limit H1?",
    change="random resize 0.5 to 2, crop 256 (no class above 75 % of it), colour distortion",
    expects={"mDice": "+"},
)

train_dataloader = dict(dataset=dict(pipeline=_base_.strong_train_pipeline))
