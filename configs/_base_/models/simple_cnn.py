"""The hand-written network: two layers down, two up, one logit for two classes."""

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(256, 256),
        test_cfg=dict(size_divisor=4),
    ),
    backbone=dict(type="SimpleEncoder", width=64),
    decode_head=dict(
        type="SimpleDecoder",
        in_channels=128,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        # Binary cross-entropy alone.
        loss_decode=dict(type="ComboLoss", ce_weight=1.0, dice_weight=0.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
