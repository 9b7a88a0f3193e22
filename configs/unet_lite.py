"""U-Lite: a U-Net that is pretrained and needs no download."""

_base_ = ["lab_unet_resnet34.py"]

hypothesis = dict(
    id="U-Lite",
    parent="Lab-R34",
    question="How far does a U-Net come on an encoder whose ImageNet weights come as a package?",
    change="encoder EfficientNet-Lite2, a narrower decoder, learning rate 1e-3",
    expects={"mIoU": "="},
    stage="baseline",
)
model = dict(
    encoder_name="tu-tf_efficientnet_lite2",
    pretrained="efficientnet_lite2",
    arch_options=dict(decoder_channels=(128, 64, 32, 32, 16)),
    channels_last=True,
    # What these ImageNet weights were trained with.
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
