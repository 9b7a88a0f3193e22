"""smp's U-Net on ResNet-34, one logit for two classes, as the lab's first model.

`mean` and `std` are ImageNet's, which smp's ResNet and MiT encoders were trained with.
"""

model = dict(
    type="SMPSegmentor",
    arch="Unet",
    encoder_name="resnet34",
    pretrained="smp:resnet34",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(256, 256),
        test_cfg=dict(size_divisor=32),
    ),
    decode_head=dict(
        type="SMPHead",
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        # Binary cross-entropy alone.
        loss_decode=dict(type="ComboLoss", ce_weight=1.0, dice_weight=0.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
