"""Lab-R34, the lab's baseline: a U-Net on ResNet-34."""

_base_ = [
    "_base_/models/smp_unet.py",
    "_base_/datasets/oxford_pet.py",
    "_base_/schedules/adamw_constant_20e.py",
    "_base_/default_runtime.py",
]

hypothesis = dict(
    id="Lab-R34",
    parent=None,
    question="How far does a U-Net on a pretrained ResNet-34 come as it is?",
    change="none: smp's U-Net, binary cross-entropy, no augmentation, AdamW at one learning rate",
    expects={},
    stage="baseline",
)
