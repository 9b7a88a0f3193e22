"""Lab-B0 = Lab-R34 on a small transformer."""

_base_ = ["lab_unet_resnet34.py"]

hypothesis = dict(
    id="Lab-B0",
    parent="Lab-R34",
    question="Does an encoder with global context serve a U-Net better than ResNet-34?",
    change="encoder MiT-B0, a sixth of ResNet-34's parameters",
    expects={"mIoU": "+"},
    stage="baseline",
)
model = dict(encoder_name="mit_b0", pretrained="smp:mit_b0")
