"""The metric that chooses the best checkpoint: named once, followed by everything.

`default_hooks.checkpoint.save_best` names it: any published figure (`experiments/README.md`), with
or without the evaluator's prefix, such as `mDice`, `Dice/dog`, `image_mean/mDice` or `HD95/dog`.
Whether higher or lower is better follows from the metric. The progress line, early stopping and
the validation after a stop follow it too, unless their hook names a `monitor` of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from seglab.mmseg_custom.engine.checkpointing import SafeCheckpointHook
from seglab.mmseg_custom.evaluation import did_you_mean, published_keys
from seglab.utils.config_utils import class_names
from seglab.utils.errors import UserError, raise_faults
from seglab.utils.run_files import best_checkpoint_file
from seglab.utils.test_utils import higher_is_better

DEFAULT_MONITOR = "mDice"
#: What `train` promises, whatever runtime a config brings.
_PROMISED_HOOKS = ("HistoryHook", "ProgressHook", "CatchUpValidationHook", "StepGuardHook")
_EARLY_STOPPING = ("HistoryEarlyStoppingHook", "EarlyStoppingHook")
_WITH_RULE = ("ProgressHook", *_EARLY_STOPPING)
_FOLLOWERS = ("CatchUpValidationHook", *_WITH_RULE)
_OPTIONAL = ("boundary", "calibration")
_COUNTS = ("classes/", "images/")  # how many entered a mean: neither good nor bad


class Monitor(NamedTuple):
    """A metric as the validation logs it, and whether a 'greater' or 'less' value is better."""

    key: str
    rule: str = "greater"


def complete_hooks(config: Config) -> None:
    """Add what every run of seglab has where a config brings its own runtime, as mmseg's do.

    The history, the progress and a best checkpoint are what `train` promises; mmseg's `IoUMetric`,
    which rounds and returns no figure of a class, is replaced by ours. Metrics that the config
    names are spelled as the validation logs them, and the best checkpoint's rule is set.

    Raises:
        UserError: A metric that a hook names does not exist; lists all such.
    """
    hooks = dict(config.get("default_hooks") or {})
    hooks["checkpoint"] = _safe_checkpoints(hooks.get("checkpoint") or {})
    config.default_hooks = hooks
    custom = list(config.get("custom_hooks") or [])
    present = {hook.get("type") for hook in custom}
    custom += [dict(type=name) for name in _PROMISED_HOOKS if name not in present]
    config.custom_hooks = custom
    _replace_iou_metric(config)
    _spell_metrics(config)


def _safe_checkpoints(hook: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of our checkpoint hook, from those of mmengine's.

    Raises:
        UserError: Some have no counterpart.
    """
    settings = {"interval": 1, "save_best": DEFAULT_MONITOR, **hook, "type": "SafeCheckpointHook"}
    known = {"type", *inspect.signature(SafeCheckpointHook).parameters}
    unknown = [f"default_hooks.checkpoint.{key}" for key in settings if key not in known]
    raise_faults(
        "the config sets what seglab's checkpoints do not have",
        unknown,
        "remove these; seglab keeps " + ", ".join(sorted(known - {"type"})),
    )
    return settings


def best_monitor(config: Config) -> Monitor:
    """The metric the best checkpoint is chosen by; of several, the first.

    Args:
        config: A config completed by `complete_hooks`.
    """
    named = _as_list(config.default_hooks["checkpoint"].get("save_best"))
    key = str(named[0]) if named else _prefix(config) + DEFAULT_MONITOR
    return Monitor(key, _rule(config, key))


def follow_monitor(config: Config) -> None:
    """Tell the hooks which metric to follow, and have the validation compute what they follow.

    Args:
        config: A completed config; not the one that is stored, so that a stored config names the
            metric once and may be given another one.
    """
    monitor = best_monitor(config)
    for hook in config.custom_hooks:
        if hook.get("type") in _FOLLOWERS:
            hook.setdefault("monitor", monitor.key)
        if hook.get("type") in _WITH_RULE:
            hook["rule"] = _rule(config, hook["monitor"])
    followed = {hook["monitor"] for hook in config.custom_hooks if hook.get("monitor")}
    followed |= {str(key) for key in _as_list(config.default_hooks["checkpoint"].get("save_best"))}
    for evaluator in our_evaluators(config):
        needed = {key.removeprefix(_prefix(config)) for key in followed}
        needed -= set(published_keys(class_names(config), ()))
        for family in _OPTIONAL:
            if needed & set(published_keys(class_names(config), (family,))):
                evaluator[family] = True


def best_epoch(history: Sequence[Mapping[str, Any]], monitor: Monitor) -> dict[str, Any]:
    """The record of the first epoch whose metric is best; empty if none has it.

    Args:
        history: The run's records, see `read_history`.
        monitor: The metric that decides.
    """
    scored = [record for record in history if record.get(monitor.key) is not None]
    if not scored:
        return {}
    best = max if monitor.rule == "greater" else min
    return dict(best(scored, key=lambda record: record[monitor.key]))


def best_checkpoint(work_dir: Path, monitor: Monitor) -> Path | None:
    """The best checkpoint of a metric; None if there is none, see `best_checkpoint_file`."""
    return best_checkpoint_file(work_dir, monitor.key)


def our_evaluators(config: Config) -> list[Any]:
    """The nodes of `val_evaluator` that are `ConfusionMetric`."""
    evaluators = _as_list(config.get("val_evaluator"))
    return [each for each in evaluators if each.get("type") == "ConfusionMetric"]


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _prefix(config: Config) -> str:
    """What our metric puts before each key: 'val/' unless the config says otherwise."""
    prefix = next((each.get("prefix") for each in our_evaluators(config)), "val")
    return f"{prefix}/" if prefix else ""


def _rule(config: Config, key: str) -> str:
    return "greater" if higher_is_better(key.removeprefix(_prefix(config))) else "less"


def _replace_iou_metric(config: Config) -> None:
    """Put our metric where a config names mmseg's, whose figures it covers."""
    evaluators = _as_list(config.get("val_evaluator"))
    for index, evaluator in enumerate(evaluators):
        if evaluator.get("type") == "IoUMetric":
            ignore_index = evaluator.get("ignore_index", 255)
            ours = dict(type="ConfusionMetric", prefix="val", ignore_index=ignore_index)
            evaluators[index] = ours
    if evaluators:
        config.val_evaluator = evaluators if len(evaluators) > 1 else evaluators[0]


def _spell_metrics(config: Config) -> None:
    """Write the metrics that hooks name as the validation logs them, with the rule of each."""
    if not our_evaluators(config):
        return  # other people's metrics name their figures themselves
    prefix = _prefix(config)
    known = {
        key
        for key in published_keys(class_names(config))
        if not key.startswith((*_COUNTS, *(f"image_mean/{count}" for count in _COUNTS)))
    }
    faults = []

    def spell(key: Any, place: str) -> str:
        name = DEFAULT_MONITOR if key == "auto" else str(key).removeprefix(prefix)
        name = name.removeprefix("val/")
        if name not in known:
            faults.append(f"{place} is {key!r}{did_you_mean(name, known)}")
        return prefix + name

    checkpoint = config.default_hooks["checkpoint"]
    named = [
        spell(key, "default_hooks.checkpoint.save_best")
        for key in _as_list(checkpoint.get("save_best"))
    ]
    if named:
        checkpoint["save_best"] = named if len(named) > 1 else named[0]
        rules = [_rule(config, key) for key in named]
        checkpoint["rule"] = rules if len(rules) > 1 else rules[0]
    for index, hook in enumerate(config.custom_hooks):
        if hook.get("type") in _FOLLOWERS and hook.get("monitor"):
            hook["monitor"] = spell(hook["monitor"], f"custom_hooks.{index}.monitor")
    if faults:
        raise UserError(
            "the config names a metric that does not exist:\n    " + "\n    ".join(faults),
            "take a figure of test_metrics.json, such as mDice, Dice/NAME or image_mean/mDice",
        )
