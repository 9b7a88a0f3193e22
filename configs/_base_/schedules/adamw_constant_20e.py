"""AdamW for 20 epochs at one learning rate; the improved hypotheses let it fall on a cosine."""

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=3e-4, betas=(0.9, 0.999), weight_decay=0.01),
)
param_scheduler = []
cosine_schedule = [
    dict(
        type="WarmupDecayLR",
        warmup_ratio=0.05,
        decay="cosine",
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=20, val_interval=1)
