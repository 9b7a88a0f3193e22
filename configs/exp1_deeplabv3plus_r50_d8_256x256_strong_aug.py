"""Exp1 = H1 + stronger augmentation.

Question: does a few hundred images' worth of variety limit H1?
Change: random resize 0.5 to 2, crop 256 (no class above 75 % of it), colour distortion.
Expected effect: less overfitting, mDice up.
"""

_base_ = ["h1_deeplabv3plus_r50_d8_256x256.py"]

train_dataloader = dict(dataset=dict(pipeline=_base_.strong_train_pipeline))
