"""H1, the baseline: DeepLabV3+ R50 as it comes."""

_base_ = [
    "_base_/models/deeplabv3plus_r50_d8.py",
    "_base_/datasets/pets_coco.py",
    "_base_/schedules/adamw_80e.py",
    "_base_/default_runtime.py",
]

hypothesis = dict(
    id="H1",
    parent=None,
    question="How far does a standard network come on these masks as they are?",
    change="none: DeepLabV3+ R50, ComboLoss (0.5 CE + 0.5 Dice), horizontal flip only, AdamW, "
    "mixed precision, 80 epochs, early stopping on val mDice",
    expects={},
)
