"""Any timm model as an mmseg backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from seglab.mmseg_custom.models.timm_names import name_for_features
from seglab.utils.errors import UserError


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """A timm model's feature pyramid.

    Args:
        model_name: A name of `timm.list_models()`.
        out_indices: Which feature levels to return, finest first.
        channels_last: Keep activations and weights in NHWC memory order: faster for
            depthwise-convolution encoders on CPU, slower for ResNet.
        init_cfg: Pretrained weights, as in mmseg; the trainer loads them.
        **kwargs: Passed to `timm.create_model`.

    Raises:
        UserError: timm has no such model.
    """

    def __init__(
        self,
        model_name: str,
        out_indices: Sequence[int] = (1, 2, 3, 4),
        channels_last: bool = False,
        init_cfg: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.model_name = model_name
        self.channels_last = channels_last
        try:
            self.timm_model = timm.create_model(
                model_name,
                features_only=True,
                out_indices=tuple(out_indices),
                pretrained=False,
                **kwargs,
            )
        except RuntimeError as error:
            raise UserError(
                f"timm cannot build {model_name!r}: {error}",
                "see timm.list_models() for the names",
            ) from error
        #: Channels of each returned level, for the config of the neck or head.
        self.out_channels: list[int] = self.timm_model.feature_info.channels()
        if channels_last:
            self.timm_model.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of the chosen levels.

        Args:
            x: (N, 3, H, W) float, normalised images.

        Returns:
            One (N, C_i, H_i, W_i) float tensor per level, finest first.
        """
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        return tuple(self.timm_model(x))

    def convert_pretrained(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give a classification model's weights the names this backbone uses.

        Args:
            state: State dict of a classifier of the same architecture.

        Returns:
            The state dict under this backbone's names; see `name_for_features`.
        """
        named = name_for_features(self.model_name, state, self.timm_model.state_dict())
        return {f"timm_model.{name}": tensor for name, tensor in named.items()}
