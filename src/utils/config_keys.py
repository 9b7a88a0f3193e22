"""The top-level keys of a config that take effect; every other one is a variable of the file."""

from __future__ import annotations

#: Read by the Runner, by mmengine's registry, or by seglab.
EFFECTIVE_KEYS = frozenset(
    {
        *("model", "work_dir", "train_dataloader", "val_dataloader", "test_dataloader"),
        *("train_cfg", "val_cfg", "test_cfg", "auto_scale_lr", "optim_wrapper", "param_scheduler"),
        *("val_evaluator", "test_evaluator", "default_hooks", "custom_hooks", "data_preprocessor"),
        *("load_from", "resume", "launcher", "env_cfg", "log_processor", "log_level", "visualizer"),
        *("default_scope", "randomness", "experiment_name", "custom_imports", "model_wrapper_cfg"),
        *("pretrained_backbone", "compile", "sync_bn", "find_unused_parameters", "hypothesis"),
    }
)
