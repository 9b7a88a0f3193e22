"""SegFormer-B2: MixVisionTransformer B2 and the all-MLP head, as in mmseg, for three classes."""

_base_ = ["mmseg::_base_/models/segformer_mit-b0.py"]

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    data_preprocessor=dict(size=(256, 256), test_cfg=dict(size_divisor=32)),
    backbone=dict(
        embed_dims=64,
        num_layers=[3, 4, 6, 3],
        init_cfg=dict(type="Pretrained", checkpoint="mit_b2"),
    ),
    decode_head=dict(
        in_channels=[64, 128, 320, 512],
        num_classes=3,
        norm_cfg=norm_cfg,
        loss_decode=dict(_delete_=True, type="ComboLoss", ce_weight=0.5, dice_weight=0.5),
    ),
)
