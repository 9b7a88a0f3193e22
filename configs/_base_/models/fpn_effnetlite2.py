"""Semantic FPN on timm's EfficientNet-Lite2, whose ImageNet weights come as a package.

NHWC memory order makes depthwise convolutions faster on a CPU.
"""

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        # What these ImageNet weights were trained with.
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(256, 256),
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type="TimmBackbone",
        model_name="tf_efficientnet_lite2",
        channels_last=True,
        init_cfg=dict(type="Pretrained", checkpoint="efficientnet_lite2"),
    ),
    neck=dict(type="FPN", in_channels=[24, 48, 120, 352], out_channels=128, num_outs=4),
    decode_head=dict(
        type="FPNHead",
        in_channels=[128, 128, 128, 128],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=64,
        dropout_ratio=0.1,
        num_classes=3,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="ComboLoss", ce_weight=0.5, dice_weight=0.5),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
