"""Runtime that every hypothesis shares: hooks, logging, reproducibility."""

default_scope = "mmseg"
custom_imports = dict(imports=["seglab.mmseg_custom"], allow_failed_imports=False)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
launcher = "none"
log_level = "INFO"
log_processor = dict(by_epoch=True)
vis_backends = [
    dict(type="LocalVisBackend"),
    # Records for ClearML; `--tracking` decides whether, and whether it is sent.
    dict(type="SeglabClearMLBackend", project="practicum_segmentation"),
]
visualizer = dict(type="SegLocalVisualizer", vis_backends=vis_backends, name="visualizer")

# One rule for "best", followed by all hooks: any unrounded figure of val, such as Dice/dog. The
# last checkpoint is for resuming.
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=10, log_metric_by_epoch=True),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="SafeCheckpointHook",
        interval=1,
        max_keep_ckpts=2,
        save_best="mDice",
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
custom_hooks = [
    dict(type="HistoryHook"),
    dict(type="ProgressHook"),
    dict(type="HistoryEarlyStoppingHook", patience=15, min_delta=0.01),
    dict(type="CatchUpValidationHook"),
    # What a loss that is not finite does: stop, or `on_nan="skip"`.
    dict(type="StepGuardHook"),
]

# Every sample has a seed of its own: the worker count changes nothing. None: deterministic on the
# CPU, and on a GPU, where it costs speed, by `--deterministic`.
randomness = dict(seed=0, deterministic=None)
load_from = None
resume = False
