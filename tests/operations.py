"""What a computation asks of torch, operation by operation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

#: Operations that refuse to run on CUDA once deterministic ones are asked for: the list in
#: `torch.use_deterministic_algorithms`, by the names they have inside torch.
#: `upsample_bilinear2d_backward` is not among them: `torch.nn.functional.interpolate` puts
#: another operation in its place then.
REFUSED_ON_CUDA = {
    *(f"{name}_backward" for name in ("_adaptive_avg_pool2d", "_adaptive_avg_pool3d")),
    *(f"{name}_backward" for name in ("adaptive_max_pool2d", "adaptive_max_pool3d")),
    *(f"{name}_backward" for name in ("avg_pool3d", "fractional_max_pool2d")),
    *(f"{name}_backward" for name in ("fractional_max_pool3d", "_upsample_bilinear2d_aa")),
    *(f"{name}_backward" for name in ("upsample_linear1d", "upsample_bicubic2d")),
    *(f"{name}_backward" for name in ("_upsample_bicubic2d_aa", "upsample_trilinear3d")),
    *(f"reflection_pad{dims}d_backward" for dims in (1, 2, 3)),
    *(f"grid_sampler_{dims}d_backward" for dims in (2, 3)),
    *("max_unpool2d", "max_unpool3d", "nll_loss2d_forward", "nll_loss2d_backward"),
    *("_ctc_loss_backward", "_embedding_bag", "put_", "histc", "bincount", "median", "cumsum"),
}


class OperationNames(TorchDispatchMode):
    """Records the name of every tensor operation, those of the backward pass included."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.seen.add(func.overloadpacket.__name__)
        run: Callable[..., Any] = func
        return run(*args, **(kwargs or {}))
