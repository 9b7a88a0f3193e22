"""The smallest network that segments, written out: two layers down, two layers up.

    image (3, H, W)
      -> 3x3 convolution, ReLU, 2x2 max pooling    (64, H/2, W/2)
      -> 3x3 convolution, ReLU, 2x2 max pooling    (128, H/4, W/4)
      -> 2x2 transposed convolution, ReLU          (64, H/2, W/2)
      -> 2x2 transposed convolution                (1, H, W) logits

No normalisation, no skip connections; each logit sees 10x10 pixels of the image. It ends
in logits: the sigmoid belongs to the loss and to the prediction, each of which applies it once.
"""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from seglab.mmseg_custom.models.logit_head import LogitHead


@MODELS.register_module()
class SimpleEncoder(BaseModule):
    """Two convolutions, each followed by a max pooling that halves the sides.

    Args:
        width: Channels after the first convolution; the second doubles them.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features of a batch.

        Args:
            x: (N, 3, H, W) float, normalised images.

        Returns:
            One (N, 2 * width, H // 4, W // 4) float tensor.
        """
        return (self.layers(x),)


@MODELS.register_module()
class SimpleDecoder(LogitHead):
    """Two transposed convolutions, each of which doubles the sides.

    Args:
        num_classes: Number of classes C.
        in_channels: The encoder's channels, 2 * width; halved by the first layer.
        **kwargs: As for `LogitHead`: `out_channels`, `threshold`, `loss_decode`, ...
    """

    def __init__(self, num_classes: int, in_channels: int = 128, **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes, **kwargs)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(in_channels // 2, self.out_channels, kernel_size=2, stride=2),
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Logits of a batch.

        Args:
            inputs: What the encoder returns.

        Returns:
            (N, out_channels, H, W) float, where the image's sides are multiples of 4.
        """
        logits: Tensor = self.layers(inputs[-1])
        return logits
