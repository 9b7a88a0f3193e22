"""Optimisation, hooks and the runner registered with mmengine."""

from seglab.mmseg_custom.engine.checkpointing import SafeCheckpointHook
from seglab.mmseg_custom.engine.hooks import (
    CatchUpValidationHook,
    HistoryEarlyStoppingHook,
    HistoryHook,
    ProgressHook,
)
from seglab.mmseg_custom.engine.loops import ExactEpochTrainLoop, ExactIterTrainLoop
from seglab.mmseg_custom.engine.optim import MixedPrecisionOptimWrapper
from seglab.mmseg_custom.engine.runner import SeglabRunner
from seglab.mmseg_custom.engine.schedulers import WarmupDecayLR
from seglab.mmseg_custom.engine.tracking_backend import SeglabClearMLBackend

__all__ = [
    "CatchUpValidationHook",
    "ExactEpochTrainLoop",
    "ExactIterTrainLoop",
    "HistoryEarlyStoppingHook",
    "HistoryHook",
    "MixedPrecisionOptimWrapper",
    "ProgressHook",
    "SafeCheckpointHook",
    "SeglabClearMLBackend",
    "SeglabRunner",
    "WarmupDecayLR",
]
