"""Lab-B4 = Lab-B0 on a large transformer."""

_base_ = ["lab_unet_mit_b0.py"]

hypothesis = dict(
    id="Lab-B4",
    parent="Lab-B0",
    question="What is a transformer of eighteen times the size worth?",
    change="encoder MiT-B4",
    expects={"mIoU": "+"},
    stage="baseline",
)
model = dict(encoder_name="mit_b4", pretrained="smp:mit_b4")
