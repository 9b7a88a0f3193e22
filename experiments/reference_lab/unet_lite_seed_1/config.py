cosine_schedule = [
    dict(
        by_epoch=True,
        convert_to_iter_based=True,
        decay='cosine',
        type='WarmupDecayLR',
        warmup_ratio=0.05),
]
custom_hooks = [
    dict(type='HistoryHook'),
    dict(type='ProgressHook'),
    dict(min_delta=0.01, patience=15, type='HistoryEarlyStoppingHook'),
    dict(type='CatchUpValidationHook'),
    dict(type='StepGuardHook'),
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
    change='encoder EfficientNet-Lite2, a narrower decoder, learning rate 1e-3',
    expects=dict(mIoU='='),
    id='U-Lite',
    parent='Lab-R34',
    question=
    'How far does a U-Net come on an encoder whose ImageNet weights come as a package?',
    stage='baseline')
hypothesis_name = 'unet_lite'
image_size = (
    256,
    256,
)
improved_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(keep_ratio=False, scale=(
        256,
        256,
    ), type='Resize'),
    dict(
        transforms=[
            dict(p=0.5, type='HorizontalFlip'),
            dict(limit=15, p=0.5, type='Rotate'),
            dict(
                p=0.5,
                scale=(
                    0.9,
                    1.1,
                ),
                translate_percent=(
                    -0.1,
                    0.1,
                ),
                type='Affine'),
            dict(p=0.5, type='RandomBrightnessContrast'),
        ],
        type='Albumentations'),
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
        'animal',
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
    ])
model = dict(
    arch='Unet',
    arch_options=dict(decoder_channels=(
        128,
        64,
        32,
        32,
        16,
    )),
    channels_last=True,
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
        loss_decode=dict(ce_weight=1.0, dice_weight=0.0, type='ComboLoss'),
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        type='SMPHead'),
    encoder_name='tu-tf_efficientnet_lite2',
    pretrained=None,
    test_cfg=dict(mode='whole'),
    train_cfg=dict(),
    type='SMPSegmentor')
optim_wrapper = dict(
    optimizer=dict(
        betas=(
            0.9,
            0.999,
        ), lr=0.001, type='AdamW', weight_decay=0.01),
    type='OptimWrapper')
param_scheduler = []
pretrained_backbone = 'efficientnet_lite2'
randomness = dict(deterministic=True, seed=1)
resume = False
species_metainfo = dict(
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
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=8,
    dataset=dict(
        border='ignore',
        data_root='DATA_ROOT',
        metainfo=dict(
            classes=(
                'background',
                'animal',
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
            ]),
        mode='binary',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(keep_ratio=False, scale=(
                256,
                256,
            ), type='Resize'),
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
        type='OxfordPetDataset'),
    num_workers=0,
    sampler=dict(shuffle=False, type='DefaultSampler'))
test_evaluator = dict(prefix='test', type='ConfusionMetric')
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(keep_ratio=False, scale=(
        256,
        256,
    ), type='Resize'),
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
        border='ignore',
        data_root='DATA_ROOT',
        metainfo=dict(
            classes=(
                'background',
                'animal',
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
            ]),
        mode='binary',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(keep_ratio=False, scale=(
                256,
                256,
            ), type='Resize'),
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
        type='OxfordPetDataset'),
    drop_last=True,
    num_workers=0,
    sampler=dict(shuffle=True, type='DefaultSampler'))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(keep_ratio=False, scale=(
        256,
        256,
    ), type='Resize'),
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
trimap_metainfo = dict(
    classes=(
        'background',
        'animal',
        'border',
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
            0,
            158,
            115,
        ],
    ])
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_size=8,
    dataset=dict(
        border='ignore',
        data_root='DATA_ROOT',
        metainfo=dict(
            classes=(
                'background',
                'animal',
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
            ]),
        mode='binary',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(keep_ratio=False, scale=(
                256,
                256,
            ), type='Resize'),
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
        type='OxfordPetDataset'),
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
