"""Batches that do not fit into memory: one message, and a batch size that fits."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from seglab.mmseg_custom.datasets.samples import build_dataset
from seglab.mmseg_custom.engine.inference import build_model
from seglab.utils.errors import UserError

#: How torch and Python spell it: CUDA's allocator, the CPU's, Windows.
_SPELLINGS = ("out of memory", "can't allocate memory", "not enough memory")
_LESS = "use smaller images (crops), a smaller network or mixed precision"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _SPELLINGS)


def out_of_memory(config: Config) -> UserError:
    """The error that tells what was tried and what keeps the effective batch.

    Args:
        config: The config that was trained.
    """
    size, steps = batch_size(config), accumulated(config)
    message = f"out of memory with train_dataloader.batch_size={size}"
    if size == 1:
        return UserError(message, _LESS)
    smaller = _divisors(size)[1]
    new = "" if "accumulative_counts" in config.optim_wrapper else "+"
    return UserError(
        message,
        "add --auto-batch, which finds a size that fits, or: --cfg-options "
        f"train_dataloader.batch_size={smaller} "
        f"{new}optim_wrapper.accumulative_counts={steps * size // smaller} "
        f"(the same effective batch of {size * steps})",
    )


def out_of_memory_in_validation(config: Config) -> UserError:
    """The error of a validation that does not fit; training did.

    Args:
        config: The config that was trained.
    """
    size = int(config.val_dataloader.get("batch_size", 1))
    smaller = "go on with --resume --cfg-options val_dataloader.batch_size=1"
    return UserError(
        f"out of memory in the validation, with val_dataloader.batch_size={size}",
        smaller if size > 1 else "validate on smaller images, or in windows (test_cfg.mode=slide)",
    )


def batch_size(config: Config) -> int:
    """Images in a batch of training."""
    return int(config.train_dataloader.batch_size)


def accumulated(config: Config) -> int:
    """Batches whose gradients make one step of the optimizer."""
    return int(config.optim_wrapper.get("accumulative_counts", 1))


def fit_batch(config: Config, device: str) -> str:
    """Make the batch as large as fits, at most as large as the config asks for.

    One step of training is tried with each divisor of the batch size, the largest first; gradients
    are accumulated so that the effective batch stays the same. Batch normalisation still sees the
    smaller batch.

    Args:
        config: A resolved config; its batch size and accumulation are changed.
        device: 'cpu' or 'cuda'.

    Returns:
        What was found, in words.

    Raises:
        UserError: None does.
    """
    asked, steps = batch_size(config), accumulated(config)
    attempt = _attempt(config, device)
    sizes = _divisors(asked)
    alone = asked > 1 and _normalises(config)
    if alone:
        sizes.remove(1)  # batch normalisation cannot learn from one image
    for size in sizes:
        if _fits(attempt, size):
            config.train_dataloader.batch_size = size
            config.optim_wrapper.accumulative_counts = steps * asked // size
            if size == asked:
                return f"batches of {asked} fit"
            return (
                f"batches of {asked} do not fit; {size} do, with the gradients of "
                f"{steps * asked // size} batches for each step"
            )
    why = ", and batch normalisation cannot learn from one image" if alone else ""
    raise UserError(f"out of memory with train_dataloader.batch_size={sizes[-1]}{why}", _LESS)


def _attempt(config: Config, device: str) -> Callable[[int], None]:
    """A function that takes one step of training with so many images."""
    config = copy.deepcopy(config)
    samples = [build_dataset(config, config.train_dataloader.dataset)[0]]

    def step(size: int) -> None:
        model = build_model(config).to(device).train()
        optimizer = torch.optim.AdamW(model.parameters())  # the hungriest of the common ones
        data = model.data_preprocessor(pseudo_collate(samples * size), True)  # type: ignore[operator]
        total, _ = model.parse_losses(model(**data, mode="loss"))  # type: ignore[operator]
        total.backward()
        optimizer.step()

    return step


def _fits(step: Callable[[int], None], size: int) -> bool:
    try:
        step(size)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True


def _divisors(number: int) -> list[int]:
    """The divisors of a number, the largest first."""
    return [each for each in range(number, 0, -1) if number % each == 0]


def _normalises(config: Config) -> bool:
    """Whether the network normalises over the batch."""
    return "'BN'" in str(config.model.to_dict()) or config.model.type == "SMPSegmentor"
