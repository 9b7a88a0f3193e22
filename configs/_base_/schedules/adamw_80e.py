"""AdamW for 80 epochs in mixed precision; warm-up and decay are shares of the real length."""

optim_wrapper = dict(
    type="MixedPrecisionOptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.01),
)
param_scheduler = [
    dict(
        type="WarmupDecayLR",
        warmup_ratio=0.05,
        decay="poly",
        power=0.9,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=80, val_interval=1)
