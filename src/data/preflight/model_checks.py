"""Checks of the model's config: class counts, class weights, activations, BatchNorm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seglab.data.preflight.faults import Finding, make_finding
from seglab.data.preflight.folders import type_name
from seglab.data.preflight.plan import TrainPlan
from seglab.data.preflight.split_folder import SplitFolder

_WEIGHT_KEYS = ("class_weight", "dice_class_weight")

# Models that put BatchNorm in place without a norm_cfg saying so.
_BN_MODELS = (
    "smpsegmentor",
    "resnet",
    "resnest",
    "hrnet",
    "unet",
    "mobilenet",
    "efficientnet",
    "regnet",
)

# Heads with a branch pooled to 1x1 pixel: there BatchNorm raises on a batch of one image
# ("Expected more than 1 value per channel when training").
_POOLING_HEADS = ("ASPP", "PSP", "UPer", "APC", "DMHead")
# smp's architectures with BatchNorm in such a branch; its PSPNet has none there.
_POOLING_ARCHITECTURES = ("deeplabv3", "deeplabv3plus", "pan", "upernet")

# Heads of ours, whose threshold is 0.5 where none is given.
_OWN_THRESHOLD = ("SMPHead", "SimpleDecoder")


def iter_heads(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the config path and the config of each decode and auxiliary head."""
    for key in ("decode_head", "auxiliary_head"):
        yield from _enumerate(f"model.{key}", model.get(key))


def check_class_count(model: Mapping[str, Any], folders: Sequence[SplitFolder]) -> list[Finding]:
    """Each head predicts as many classes as each data set has."""
    splits: dict[tuple[str, ...], dict[str, None]] = {}
    for folder in folders:
        splits.setdefault(folder.classes, {})[folder.split] = None
    return [
        make_finding(
            "class-count",
            head=name,
            num_classes=head["num_classes"],
            splits=", ".join(names),
            count=len(classes),
            classes=", ".join(classes),
        )
        for classes, names in splits.items()
        for name, head in iter_heads(model)
        if classes and head.get("num_classes") not in (None, len(classes))
    ]


def check_class_weights(model: Mapping[str, Any], class_names: Sequence[str]) -> list[Finding]:
    """Class weights have one value for each class their loss weighs.

    Args:
        model: The model's config.
        class_names: The training data's classes, for the suggested fix; may be empty.
    """
    findings = []
    for name, loss, channels in _iter_losses(model):
        expected = _weight_length(loss, channels)
        known = len(class_names) == expected
        names = class_names if known else [f"class {index}" for index in range(expected)]
        for key in _WEIGHT_KEYS:
            weights = loss.get(key)
            # A string is the name of a file, which the loss itself reads.
            if weights is None or isinstance(weights, str) or len(weights) == expected:
                continue
            values: dict[str, Any] = {
                "length": len(weights),
                "expected": expected,
                "classes": ", ".join(names),
            }
            findings.append(make_finding("class-weight-length", loss=name, key=key, **values))
    return findings


def check_activations(model: Mapping[str, Any]) -> list[Finding]:
    """Losses apply the activation that the head predicts with.

    A head with one output channel predicts by sigmoid and threshold, one with several by
    softmax (mmseg's `BaseDecodeHead` and `BaseSegmentor.postprocess_result`).
    """
    findings = []
    for name, loss, channels in _iter_losses(model):
        activation = _activation(loss)
        prediction = "sigmoid" if channels == 1 else "softmax"
        if activation not in (None, prediction):
            findings.append(
                make_finding(
                    "activation-mismatch",
                    loss=name,
                    type=type_name(loss),
                    activation=activation,
                    channels=channels,
                    prediction=prediction,
                    remedy=_remedy(loss, prediction),
                )
            )
    return findings


def check_thresholds(model: Mapping[str, Any]) -> list[Finding]:
    """A decode head with one logit says above which probability a pixel is foreground."""
    head = model.get("decode_head")
    if not isinstance(head, Mapping) or head.get("out_channels") != 1:
        return []
    smp = type_name(model) == "SMPSegmentor"
    if smp or type_name(head) in _OWN_THRESHOLD or head.get("threshold") is not None:
        return []
    return [make_finding("default-threshold", head="model.decode_head")]


def check_batch_norm(model: Mapping[str, Any], plan: TrainPlan) -> list[Finding]:
    """No training batch of one image under BatchNorm, no SyncBN on one device."""
    findings = []
    norms = set(_norm_types(model))
    if "SyncBN" in norms and not plan.distributed:
        findings.append(make_finding("sync-bn"))
    if not norms or plan.last_batch != 1:
        return findings
    every = plan.batch_size == 1
    if every and not _pools(model):
        return [*findings, make_finding("batch-size-one")]
    remedy = (
        "raise train_dataloader.batch_size to 2 or more"
        if every or plan.images == 1
        else "set train_dataloader.drop_last=True, or choose another batch_size"
    )
    which = "every" if every else "the last"
    values: dict[str, Any] = {"images": plan.images, "batch_size": plan.batch_size}
    return [*findings, make_finding("batch-of-one", which=which, remedy=remedy, **values)]


def _pools(model: Mapping[str, Any]) -> bool:
    """Whether a branch of the model is pooled to one pixel."""
    heads = [type_name(head) for _, head in iter_heads(model)]
    named = any(part in head for head in heads for part in _POOLING_HEADS)
    return named or str(model.get("arch", "")).lower() in _POOLING_ARCHITECTURES


def _enumerate(name: str, spec: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(spec, Mapping):
        yield name, spec
    elif isinstance(spec, Sequence):
        for index, item in enumerate(spec):
            yield f"{name}[{index}]", item


def _iter_losses(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Yield config path, config and the head's number of output channels for each loss."""
    for name, head in iter_heads(model):
        channels = head.get("out_channels")
        channels = head.get("num_classes") if channels is None else channels
        if channels is None:
            continue
        # mmseg's heads use softmax cross-entropy when no loss is named.
        losses = head.get("loss_decode", {"type": "CrossEntropyLoss"})
        for path, loss in _enumerate(f"{name}.loss_decode", losses):
            yield path, loss, channels


def _weight_length(loss: Mapping[str, Any], channels: int) -> int:
    # mmseg's sigmoid cross-entropy broadcasts its weights as they are and takes one for a
    # one-channel head; ComboLoss weighs background and foreground.
    return 2 if channels == 1 and type_name(loss) != "CrossEntropyLoss" else channels


def _activation(loss: Mapping[str, Any]) -> str | None:
    """The activation a loss applies to logits; None for losses that follow the head."""
    name = type_name(loss)
    if name == "CrossEntropyLoss":
        binary = loss.get("use_sigmoid", False) or loss.get("use_mask", False)
        return "sigmoid" if binary else "softmax"
    if name == "DiceLoss":
        if not loss.get("activate", True):
            return "no activation"
        return "sigmoid" if loss.get("use_sigmoid", True) else "softmax"
    if name == "LovaszLoss":
        return "sigmoid" if loss.get("loss_type") == "binary" else "softmax"
    if name in ("TverskyLoss", "OhemCrossEntropy", "HuasdorffDisstanceLoss"):
        return "softmax"
    return None


def _remedy(loss: Mapping[str, Any], prediction: str) -> str:
    name = type_name(loss)
    wants_sigmoid = prediction == "sigmoid"
    if name == "DiceLoss" and not loss.get("activate", True):
        return f"set activate=True and use_sigmoid={wants_sigmoid}"
    if name in ("CrossEntropyLoss", "DiceLoss"):
        return f"set use_sigmoid={wants_sigmoid}"
    if name == "LovaszLoss":
        return f"set loss_type='{'binary' if wants_sigmoid else 'multi_class'}'"
    return "set out_channels to num_classes"


def _norm_types(spec: Any) -> Iterator[str]:
    """The kinds of BatchNorm in a model config that compute batch statistics in training."""
    if isinstance(spec, Mapping):
        if spec.get("norm_eval", False):
            return
        norm = spec.get("norm_cfg")
        if isinstance(norm, Mapping) and "BN" in type_name(norm):
            yield type_name(norm)
        elif norm is None and _brings_batch_norm(spec):
            yield "BN"
        for value in spec.values():
            yield from _norm_types(value)
    elif isinstance(spec, list | tuple):
        for value in spec:
            yield from _norm_types(value)


def _brings_batch_norm(spec: Mapping[str, Any]) -> bool:
    text = f"{type_name(spec)} {spec.get('model_name', '')}".lower()
    return any(part in text for part in _BN_MODELS)
