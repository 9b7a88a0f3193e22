"""Checks of the run's length against its schedulers, its validation and its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import floor
from typing import Any

from seglab.data.preflight.faults import Finding, make_finding
from seglab.data.preflight.folders import type_name
from seglab.data.preflight.plan import TrainPlan

# Ends this close to the run's length are rounding (drop_last, a last short batch), no mistake.
_TOLERANCE = 0.05
# A schedule that ends before this share of the run leaves a tail worth mentioning.
_EARLY_SHARE = 0.9
# These follow the run's length, or the metrics, by themselves.
_SELF_TIMED = ("WarmupDecayLR", "ReduceOnPlateauLR")


def iter_schedulers(cfg: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a name for messages and the config of each parameter scheduler."""
    spec = cfg.get("param_scheduler") or []
    if isinstance(spec, Mapping) and "type" not in spec:  # one list for each optimizer
        lists = {f"param_scheduler.{key}": value for key, value in spec.items()}
    else:
        lists = {"param_scheduler": spec}
    for name, schedulers in lists.items():
        if isinstance(schedulers, Mapping):
            yield f"{name} ({type_name(schedulers)})", schedulers
        else:
            for index, scheduler in enumerate(schedulers):
                yield f"{name}[{index}] ({type_name(scheduler)})", scheduler


def check_loop(cfg: Any, plan: TrainPlan) -> list[Finding]:
    """There are training steps, and the validation falls inside the run."""
    findings = []
    if plan.steps_per_epoch == 0 and plan.images:
        findings.append(make_finding("no-steps", batch_size=plan.batch_size, images=plan.images))
    loop = cfg.get("train_cfg") or {}
    if plan.length is None or cfg.get("val_cfg") is None:
        return findings
    values: dict[str, Any] = {"length": plan.length, "unit": plan.unit}
    begin = loop.get("val_begin", 1)
    interval = loop.get("val_interval", 1 if plan.by_epoch else 1000)
    if begin > plan.length:
        findings.append(make_finding("never-validated", begin=begin, **values))
    elif interval > plan.length:
        findings.append(make_finding("validated-once", interval=interval, **values))
    return findings


def check_schedules(cfg: Any, plan: TrainPlan) -> list[Finding]:
    """Each scheduler starts and finishes inside the run."""
    findings = []
    shares: list[tuple[float, str, float, str]] = []
    for name, scheduler in iter_schedulers(cfg):
        if type_name(scheduler) in _SELF_TIMED:
            continue
        by_epoch = scheduler.get("by_epoch", True)
        if by_epoch and not plan.by_epoch and not scheduler.get("convert_to_iter_based", False):
            if plan.length is not None:
                findings.append(make_finding("schedule-never-steps", scheduler=name))
            continue
        length = plan.epochs if by_epoch else plan.iterations
        if not length:  # unknown, or no step at all, which check_loop reports
            continue
        unit = "epochs" if by_epoch else "iterations"
        begin, end = scheduler.get("begin", 0), _needed_end(scheduler)
        values: dict[str, Any] = {"scheduler": name, "length": _round(length), "unit": unit}
        if begin >= length:
            findings.append(make_finding("schedule-never-starts", begin=begin, **values))
        elif end is not None and end > length * (1 + _TOLERANCE):
            findings.append(make_finding("schedule-too-long", end=_round(end), **values))
        elif _decays(scheduler):
            shares.append((length if end is None else end, name, length, unit))
    return findings + _check_tail(shares)


def check_eta_min(cfg: Any) -> list[Finding]:
    """The learning rate that a schedule falls to is below the one it starts from."""
    wrapper = cfg.get("optim_wrapper") or {}
    rate = (wrapper.get("optimizer") or {}).get("lr")
    custom = (wrapper.get("paramwise_cfg") or {}).get("custom_keys") or {}
    findings = []
    for name, scheduler in iter_schedulers(cfg):
        if not type_name(scheduler).endswith("LR"):
            continue
        eta_min, ratio = scheduler.get("eta_min"), scheduler.get("eta_min_ratio")
        if ratio is not None and ratio >= 1:
            values = {"key": "eta_min_ratio", "eta_min": ratio, "suggestion": 0.01}
            findings.append(make_finding("eta-min", scheduler=name, limit=1, **values))
        if eta_min is None or rate is None:
            continue
        if eta_min >= rate:
            values = {"key": "eta_min", "eta_min": eta_min, "suggestion": f"{rate / 100:g}"}
            limit = f"the learning rate {rate:g}"
            findings.append(make_finding("eta-min", scheduler=name, limit=limit, **values))
            continue
        for key, options in custom.items():
            group_rate = rate * options.get("lr_mult", 1)
            if 0 < group_rate <= eta_min:  # 0 freezes the group on purpose
                findings.append(
                    make_finding(
                        "eta-min-group",
                        scheduler=name,
                        eta_min=eta_min,
                        key=key,
                        rate=f"{group_rate:g}",
                    )
                )
    return findings


def _needed_end(scheduler: Mapping[str, Any]) -> float | None:
    """When the scheduler has done its work; None if that is the end of the run by itself."""
    if scheduler.get("T_max") is not None:
        return float(scheduler.get("begin", 0) + scheduler["T_max"])
    milestones = scheduler.get("milestones")
    if milestones:
        return float(max(milestones))
    if scheduler.get("step_size") is not None:
        return float(scheduler.get("begin", 0) + scheduler["step_size"])
    end = scheduler.get("end")
    return None if end is None else float(end)


def _decays(scheduler: Mapping[str, Any]) -> bool:
    """Whether the learning rate falls until the scheduler's end, unlike in a warm-up."""
    name = type_name(scheduler)
    falling_line = name == "LinearLR" and scheduler.get("end_factor", 1.0) < 1
    return falling_line or name in ("PolyLR", "CosineAnnealingLR")


def _check_tail(shares: Sequence[tuple[float, str, float, str]]) -> list[Finding]:
    """Doubt when even the last decay ends well before the run does."""
    if not shares:
        return []
    end, name, length, unit = max(shares, key=lambda item: item[0] / item[2])
    if end >= _EARLY_SHARE * length:
        return []
    values: dict[str, Any] = {"end": _round(end), "length": _round(length), "unit": unit}
    return [make_finding("schedule-ends-early", scheduler=name, **values)]


def _round(value: float) -> int | float:
    return int(value) if value == floor(value) else round(value, 1)
