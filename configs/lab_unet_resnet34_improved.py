"""Lab-R34+ = Lab-R34 + what the lab improved."""

_base_ = ["lab_unet_resnet34.py"]

hypothesis = dict(
    id="Lab-R34+",
    parent="Lab-R34",
    question="Do augmentation, Dice in the loss and a falling learning rate help Lab-R34?",
    change="flip, rotation up to 15 degrees, affine, brightness and contrast; 0.5 BCE + 0.5 Dice; "
    "cosine schedule",
    expects={"mIoU": "+"},
    stage="improved",
)
train_dataloader = dict(dataset=dict(pipeline=_base_.improved_train_pipeline))
model = dict(decode_head=dict(loss_decode=dict(ce_weight=0.5, dice_weight=0.5)))
param_scheduler = _base_.cosine_schedule
