"""Lab-CNN: the lab's own network, from random weights."""

_base_ = [
    "_base_/models/simple_cnn.py",
    "_base_/datasets/oxford_pet.py",
    "_base_/schedules/adamw_constant_20e.py",
    "_base_/default_runtime.py",
]

hypothesis = dict(
    id="Lab-CNN",
    parent="Lab-R34",
    question="How far do two convolutions and two transposed ones come, written by hand?",
    change="a two-layer encoder and decoder from random weights in place of the pretrained U-Net",
    expects={"mIoU": "-"},
    stage="own",
)
