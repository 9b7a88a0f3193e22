"""Where segmentation_models_pytorch publishes its encoders' weights.

smp would download them itself while it builds a model, without a time limit. Here the trainer
finds and verifies them as it does all weights; a model is built with random ones.
"""

from __future__ import annotations

import difflib

from seglab.utils.errors import UserError
from seglab.utils.weights import SMP_PREFIX, PretrainedWeights, known_weights

_HUB = "https://huggingface.co"
_TIMM_PREFIX = "tu-"


def smp_weights(name: str) -> PretrainedWeights:
    """The published weights of an encoder.

    Those of smp are on the Hugging Face hub, one revision fixed by the installed smp; the file's
    checksum is not published with it. Those behind `tu-` are timm's.

    Args:
        name: `ENCODER`, which means its first set (`imagenet` where there is one), or
            `ENCODER/SET`.

    Raises:
        UserError: There is no such encoder, or it has no such set.
    """
    encoder, _, wanted = name.partition("/")
    if encoder.startswith(_TIMM_PREFIX):
        return _timm_weights(encoder.removeprefix(_TIMM_PREFIX))
    import segmentation_models_pytorch as smp

    encoders = smp.encoders.encoders
    if encoder not in encoders:
        near = difflib.get_close_matches(encoder, encoders, n=3, cutoff=0.4)
        raise UserError(
            f"pretrained weights not found: smp has no encoder {encoder!r}",
            f"take one of {', '.join(near or sorted(encoders)[:12])}",
        )
    sets = encoders[encoder]["pretrained_settings"]
    chosen = wanted or ("imagenet" if "imagenet" in sets else next(iter(sets), ""))
    if chosen not in sets:
        raise UserError(
            f"pretrained weights not found: smp's encoder {encoder!r} has no set {chosen!r}",
            f"take one of {', '.join(f'{SMP_PREFIX}{encoder}/{item}' for item in sets)}",
        )
    repository, revision = sets[chosen]["repo_id"], sets[chosen]["revision"]
    return PretrainedWeights(
        name=f"{SMP_PREFIX}{encoder}/{chosen}",
        # On the hub all of them are called model.safetensors.
        filename=f"smp-{encoder}.{chosen}-{revision[:8]}.safetensors",
        sha256="",
        megabytes=0,
        url=f"{_HUB}/{repository}/resolve/{revision}/model.safetensors",
    )


def _timm_weights(model: str) -> PretrainedWeights:
    """Timm's weights of a model; those of a registry package where there is one."""
    import timm

    packaged = known_weights(model.removeprefix("tf_"))
    if packaged is not None:
        return packaged
    settings = timm.models.get_pretrained_cfg(model, allow_unregistered=True)
    if settings is None or not settings.hf_hub_id:
        raise UserError(
            f"pretrained weights not found: timm publishes none for {model!r}",
            "see timm.list_models(pretrained=True), or start with --from-scratch",
        )
    tag = f".{settings.tag}" if settings.tag else ""
    return PretrainedWeights(
        name=f"{SMP_PREFIX}{_TIMM_PREFIX}{model}",
        filename=f"timm-{settings.architecture}{tag}.safetensors",
        sha256="",
        megabytes=0,
        url=f"{_HUB}/{settings.hf_hub_id}/resolve/main/model.safetensors",
    )
