"""DeepLabV3+ (depthwise-separable ASPP head) on ResNet-50 v1c, as in mmseg, for three classes.

BN in place of mmseg's SyncBN: these runs use one device.
"""

_base_ = ["mmseg::_base_/models/deeplabv3plus_r50-d8.py"]

norm_cfg = dict(type="BN", requires_grad=True)
combo_loss = dict(type="ComboLoss", ce_weight=0.5, dice_weight=0.5)
model = dict(
    data_preprocessor=dict(size=(256, 256), test_cfg=dict(size_divisor=32)),
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(
        num_classes=3, norm_cfg=norm_cfg, loss_decode=dict(_delete_=True, **combo_loss)
    ),
    # mmseg weighs the auxiliary head's loss 0.4.
    auxiliary_head=dict(
        num_classes=3,
        norm_cfg=norm_cfg,
        loss_decode=dict(_delete_=True, type="ComboLoss", ce_weight=0.2, dice_weight=0.2),
    ),
)
