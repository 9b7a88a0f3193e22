custom_hooks = [
    dict(type='HistoryHook'),
    dict(type='ProgressHook'),
    dict(min_delta=0.01, patience=15, type='HistoryEarlyStoppingHook'),
    dict(type='CatchUpValidationHook'),
    dict(type='StepGuardHook'),
    dict(momentum=0.02, type='EMAHook', update_buffers=True),
]
custom_imports = dict(
    allow_failed_imports=False, imports=[
        'seglab.mmseg_custom',
    ])
data_root = 'DATA_ROOT'
default_hooks = dict(
    checkpoint=dict(
        interval=1,
        max_keep_ckpts=2,
        rule='greater',
        save_best='val/mDice',
        type='SafeCheckpointHook'),
    logger=dict(interval=10, log_metric_by_epoch=True, type='LoggerHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    timer=dict(type='IterTimerHook'))
default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=False,
    dist_cfg=dict(backend='nccl'),
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
from_scratch = False
hypothesis = dict(
    change=
    'cross-entropy weighs the classes [0.0585, 1, 1]; Dice is left as it is',
    expects=dict({
        'Recall/cat': '+',
        'Recall/dog': '+',
        'mDice': '+'
    }),
    id='Lite-W',
    parent='Lite',
    question=
    "Does H2's weighing down of the background help the small network's animals?"
)
hypothesis_name = 'lite_fpn_effnetlite2_256x256_class_weights'
image_size = (
    256,
    256,
)
launcher = 'none'
load_from = None
log_level = 'INFO'
log_processor = dict(by_epoch=True)
meta_keys = (
    'sample_id',
    'img_path',
    'seg_map_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'reduce_zero_label',
)
metainfo = dict(
    classes=(
        'background',
        'cat',
        'dog',
    ),
    palette=[
        [
            0,
            0,
            0,
        ],
        [
            230,
            159,
            0,
        ],
        [
            86,
            180,
            233,
        ],
    ])
model = dict(
    backbone=dict(
        channels_last=True,
        init_cfg=None,
        model_name='tf_efficientnet_lite2',
        type='TimmBackbone'),
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=[
            127.5,
            127.5,
            127.5,
        ],
        pad_val=0,
        seg_pad_val=255,
        size=(
            256,
            256,
        ),
        std=[
            127.5,
            127.5,
            127.5,
        ],
        test_cfg=dict(size_divisor=32),
        type='SegDataPreProcessor'),
    decode_head=dict(
        align_corners=False,
        channels=64,
        dropout_ratio=0.1,
        feature_strides=[
            4,
            8,
            16,
            32,
        ],
        in_channels=[
            128,
            128,
            128,
            128,
        ],
        in_index=[
            0,
            1,
            2,
            3,
        ],
        loss_decode=dict(
            ce_weight=0.5,
            class_weight=[
                0.0585,
                1.0,
                1.0,
            ],
            dice_weight=0.5,
            type='ComboLoss'),
        norm_cfg=dict(requires_grad=True, type='BN'),
        num_classes=3,
        type='FPNHead'),
    neck=dict(
        in_channels=[
            24,
            48,
            120,
            352,
        ],
        num_outs=4,
        out_channels=128,
        type='FPN'),
    test_cfg=dict(mode='whole'),
    train_cfg=dict(),
    type='EncoderDecoder')
norm_cfg = dict(requires_grad=True, type='BN')
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    optimizer=dict(
        betas=(
            0.9,
            0.999,
        ), lr=0.0005, type='AdamW', weight_decay=0.01),
    type='OptimWrapper')
param_scheduler = [
    dict(
        by_epoch=True,
        convert_to_iter_based=True,
        decay='poly',
        power=0.9,
        type='WarmupDecayLR',
        warmup_ratio=0.05),
]
pretrained_backbone = 'efficientnet_lite2'
randomness = dict(deterministic=True, seed=0)
resume = False
strong_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        keep_ratio=True,
        ratio_range=(
            0.5,
            2.0,
        ),
        scale=(
            256,
            256,
        ),
        type='RandomResize'),
    dict(cat_max_ratio=0.75, crop_size=(
        256,
        256,
    ), type='RandomCrop'),
    dict(prob=0.5, type='RandomFlip'),
    dict(
        brightness_delta=32,
        contrast_range=(
            0.8,
            1.2,
        ),
        hue_delta=18,
        saturation_range=(
            0.8,
            1.2,
        ),
        type='PhotoMetricDistortion'),
    dict(
        meta_keys=(
            'sample_id',
            'img_path',
            'seg_map_path',
            'ori_shape',
            'img_shape',
            'pad_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'reduce_zero_label',
        ),
        type='PackSegInputs'),
]
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root='DATA_ROOT',
        mask_dir='labels',
        metainfo=dict(
            classes=(
                'background',
                'cat',
                'dog',
            ),
            palette=[
                [
                    0,
                    0,
                    0,
                ],
                [
                    230,
                    159,
                    0,
                ],
                [
                    86,
                    180,
                    233,
                ],
            ]),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(
                meta_keys=(
                    'sample_id',
                    'img_path',
                    'seg_map_path',
                    'ori_shape',
                    'img_shape',
                    'pad_shape',
                    'scale_factor',
                    'flip',
                    'flip_direction',
                    'reduce_zero_label',
                ),
                type='PackSegInputs'),
        ],
        split='test',
        type='MaskFolderDataset'),
    num_workers=0,
    sampler=dict(shuffle=False, type='DefaultSampler'))
test_evaluator = dict(prefix='test', type='ConfusionMetric')
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        meta_keys=(
            'sample_id',
            'img_path',
            'seg_map_path',
            'ori_shape',
            'img_shape',
            'pad_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'reduce_zero_label',
        ),
        type='PackSegInputs'),
]
train_cfg = dict(max_epochs=20, type='EpochBasedTrainLoop', val_interval=1)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root='DATA_ROOT',
        mask_dir='labels',
        metainfo=dict(
            classes=(
                'background',
                'cat',
                'dog',
            ),
            palette=[
                [
                    0,
                    0,
                    0,
                ],
                [
                    230,
                    159,
                    0,
                ],
                [
                    86,
                    180,
                    233,
                ],
            ]),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(
                keep_ratio=True,
                ratio_range=(
                    0.5,
                    2.0,
                ),
                scale=(
                    256,
                    256,
                ),
                type='RandomResize'),
            dict(
                cat_max_ratio=0.75, crop_size=(
                    256,
                    256,
                ), type='RandomCrop'),
            dict(prob=0.5, type='RandomFlip'),
            dict(
                brightness_delta=32,
                contrast_range=(
                    0.8,
                    1.2,
                ),
                hue_delta=18,
                saturation_range=(
                    0.8,
                    1.2,
                ),
                type='PhotoMetricDistortion'),
            dict(
                meta_keys=(
                    'sample_id',
                    'img_path',
                    'seg_map_path',
                    'ori_shape',
                    'img_shape',
                    'pad_shape',
                    'scale_factor',
                    'flip',
                    'flip_direction',
                    'reduce_zero_label',
                ),
                type='PackSegInputs'),
        ],
        split='train',
        type='MaskFolderDataset'),
    drop_last=True,
    num_workers=0,
    sampler=dict(shuffle=True, type='DefaultSampler'))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(prob=0.5, type='RandomFlip'),
    dict(
        meta_keys=(
            'sample_id',
            'img_path',
            'seg_map_path',
            'ori_shape',
            'img_shape',
            'pad_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'reduce_zero_label',
        ),
        type='PackSegInputs'),
]
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root='DATA_ROOT',
        mask_dir='labels',
        metainfo=dict(
            classes=(
                'background',
                'cat',
                'dog',
            ),
            palette=[
                [
                    0,
                    0,
                    0,
                ],
                [
                    230,
                    159,
                    0,
                ],
                [
                    86,
                    180,
                    233,
                ],
            ]),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(
                meta_keys=(
                    'sample_id',
                    'img_path',
                    'seg_map_path',
                    'ori_shape',
                    'img_shape',
                    'pad_shape',
                    'scale_factor',
                    'flip',
                    'flip_direction',
                    'reduce_zero_label',
                ),
                type='PackSegInputs'),
        ],
        split='val',
        type='MaskFolderDataset'),
    num_workers=0,
    sampler=dict(shuffle=False, type='DefaultSampler'))
val_evaluator = dict(prefix='val', type='ConfusionMetric')
vis_backends = [
    dict(type='LocalVisBackend'),
    dict(project='practicum_segmentation', type='SeglabClearMLBackend'),
]
visualizer = dict(
    name='visualizer',
    type='SegLocalVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(project='practicum_segmentation', type='SeglabClearMLBackend'),
    ])
