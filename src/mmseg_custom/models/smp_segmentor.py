"""Any network of segmentation_models_pytorch as an mmseg segmentor."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import segmentation_models_pytorch as smp
import torch
from mmengine.model import BaseModule
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor, nn

from seglab.mmseg_custom.models.logit_head import LogitHead
from seglab.mmseg_custom.models.pretrained import load_backbone
from seglab.mmseg_custom.models.timm_names import name_for_features
from seglab.utils.errors import UserError

_ARCHITECTURES: dict[str, type[nn.Module]] = smp.MODEL_ARCHITECTURES_MAPPING
#: smp's prefix of encoders that are timm's.
_TIMM_PREFIX = "tu-"
#: Arguments of smp's models that follow from the rest of the config.
_DECIDED = {"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params"}


def build_smp(
    arch: str, encoder_name: str, classes: int, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """Build smp's own model with random weights.

    Args:
        arch: A name of smp's architectures, such as `Unet`; capitals do not matter.
        encoder_name: A name of smp's encoders, `tu-NAME` for one of timm's.
        classes: Number of logits.
        options: Further arguments of the architecture, such as `decoder_channels`.

    Raises:
        UserError: smp has no such architecture or encoder, or does not take the options.
    """
    options = dict(options or {})
    names = {cls.__name__.lower(): cls.__name__ for cls in _ARCHITECTURES.values()}
    if arch.lower() not in names:
        raise _unknown("architecture", arch, sorted(names.values()))
    if not encoder_name.startswith(_TIMM_PREFIX) and encoder_name not in smp.encoders.encoders:
        raise _unknown("encoder", encoder_name, smp.encoders.get_encoder_names())
    _check_options(arch, encoder_name, options)
    try:
        network: nn.Module = smp.create_model(
            arch, encoder_name, encoder_weights=None, classes=classes, **options
        )
    except Exception as error:  # smp and timm raise many types
        raise UserError(
            f"smp cannot build {arch} on {encoder_name}: {error}",
            "see timm.list_models() for the names behind 'tu-', and smp's documentation for "
            "which encoders an architecture takes",
        ) from error
    return network


def _check_options(arch: str, encoder_name: str, options: Mapping[str, Any]) -> None:
    """Refuse what smp would ignore, and what the segmentor decides."""
    known = set(inspect.signature(_ARCHITECTURES[arch.lower()]).parameters) - {"kwargs"}
    decided = _DECIDED & options.keys()
    if decided:
        raise UserError(
            f"model.arch_options holds {', '.join(sorted(decided))}, which the segmentor decides",
            "name weights in model.pretrained and classes in model.decode_head; losses take "
            "logits, so there is no activation",
        )
    unknown = options.keys() - known
    # What is left goes to the encoder; those of smp itself drop it silently.
    if unknown and not encoder_name.startswith(_TIMM_PREFIX):
        raise UserError(
            f"model.arch_options: {arch} takes no {', '.join(sorted(unknown))}",
            f"it takes {', '.join(sorted(known - _DECIDED))}",
        )


def _unknown(what: str, name: str, known: Sequence[str]) -> UserError:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    shown = near if near else known[:12]
    timm_names = ", or 'tu-NAME' for one of timm's" if what == "encoder" else ""
    return UserError(f"smp has no {what} {name!r}", f"take one of {', '.join(shown)}{timm_names}")


class SMPEncoder(BaseModule):
    """The encoder of an smp model as an mmseg backbone.

    Args:
        encoder: smp's encoder.
        name: Its name.
        channels_last: Keep activations and weights in NHWC memory order, which is faster for
            depthwise convolutions on a CPU.
    """

    def __init__(self, encoder: nn.Module, name: str, channels_last: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.name = name
        self.channels_last = channels_last

    def init_weights(self) -> None:
        """Nothing: smp's modules were initialised as they were built."""

    def forward(self, x: Tensor) -> Any:
        """What smp's decoder takes.

        Args:
            x: (N, 3, H, W) float, normalised images.

        Returns:
            One (N, C_i, H_i, W_i) float tensor per level, the image itself first; from a vision
            transformer a pair of such a list and its prefix tokens.
        """
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        return self.encoder(x)

    def convert_pretrained(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give published weights the names of this backbone.

        Args:
            state: State dict of smp's encoder, of a whole smp model (in a module that calls it
                `model` as well), or, for timm's encoders, of a classifier.
        """
        inner = {
            key.partition("encoder.")[2]: value
            for key, value in state.items()
            if key.startswith(("encoder.", "model.encoder."))
        }
        state = inner or state
        of_smp = bool(inner or state.keys() & self.encoder.state_dict().keys())
        if self.name.startswith(_TIMM_PREFIX) and not of_smp:
            timm_model = self.encoder.get_submodule("model")
            named = name_for_features(
                self.name.removeprefix(_TIMM_PREFIX), state, timm_model.state_dict()
            )
            state = {f"model.{key}": value for key, value in named.items()}
        return {f"encoder.{key}": value for key, value in state.items()}


@MODELS.register_module()
class SMPHead(LogitHead):
    """Decoder and segmentation head of an smp model, in mmseg's head contract.

    Args:
        network: smp's model, whose encoder is the backbone; `SMPSegmentor` gives it.
        num_classes: Number of classes C.
        **kwargs: As for `LogitHead`: `out_channels`, `threshold`, `loss_decode`, ...
    """

    def __init__(self, network: nn.Module, num_classes: int, **kwargs: Any) -> None:
        encoder: Any = network.get_submodule("encoder")
        super().__init__(
            in_channels=int(encoder.out_channels[-1]), num_classes=num_classes, **kwargs
        )
        self.decoder = network.get_submodule("decoder")
        self.segmentation_head = network.get_submodule("segmentation_head")
        # Vision transformers hand their prefix tokens to the decoder beside the features.
        self._several = len(inspect.signature(self.decoder.forward).parameters) > 1

    def init_weights(self) -> None:
        """Nothing: smp's modules were initialised as they were built."""

    def forward(self, inputs: Any) -> Tensor:
        """Logits of a batch.

        Args:
            inputs: What `SMPEncoder` returns.

        Returns:
            (N, out_channels, H, W) float.
        """
        decoded = self.decoder(*inputs) if self._several else self.decoder(inputs)
        logits: Tensor = self.segmentation_head(decoded)
        return logits


@MODELS.register_module()
class SMPSegmentor(EncoderDecoder):
    """Any architecture and encoder that smp has, as mmseg's encoder, decoder and head.

    The encoder is `backbone`, the rest `decode_head`, so that losses, metrics, hooks, learning
    rates per part and pretrained weights work as for every other model.

    Example::

        model = dict(
            type="SMPSegmentor",
            arch="Unet",
            encoder_name="resnet34",
            pretrained="smp:resnet34",
            decode_head=dict(num_classes=2, out_channels=1, loss_decode=dict(type="ComboLoss")),
        )

    Args:
        arch: A name of smp's architectures, such as `Unet`.
        encoder_name: A name of smp's encoders, `tu-NAME` for one of timm's.
        decode_head: Arguments of `SMPHead`; the number of logits follows from it.
        arch_options: Further arguments of smp's architecture, such as `decoder_channels`.
        channels_last: Keep activations and weights in NHWC memory order.
        pretrained: Weights of the encoder, as `seglab.utils.weights.find_weights` takes them.
        **kwargs: As for mmseg's `EncoderDecoder`: `data_preprocessor`, `auxiliary_head`,
            `train_cfg`, `test_cfg`, `init_cfg`.

    Raises:
        UserError: smp has no such architecture or encoder, or the weights cannot be had.
    """

    def __init__(
        self,
        arch: str,
        encoder_name: str,
        decode_head: Mapping[str, Any],
        arch_options: Mapping[str, Any] | None = None,
        channels_last: bool = False,
        pretrained: str | None = None,
        **kwargs: Any,
    ) -> None:
        head = {"type": "SMPHead", **decode_head}
        logits = head.get("out_channels")
        logits = head["num_classes"] if logits is None else logits
        network = build_smp(arch, encoder_name, logits, arch_options)
        encoder = network.get_submodule("encoder")
        super().__init__(
            backbone=dict(
                type=SMPEncoder, encoder=encoder, name=encoder_name, channels_last=channels_last
            ),
            decode_head=dict(head, network=network),
            **kwargs,
        )
        if channels_last:
            self.to(memory_format=torch.channels_last)
        if pretrained:  # the trainer takes it out of the config and loads it itself
            load_backbone(self.backbone, pretrained)
