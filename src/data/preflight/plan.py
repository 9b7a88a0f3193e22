"""How long the run is: the facts of loader and loop that the config checks share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from seglab.data.preflight.folders import type_name


@dataclass(frozen=True)
class TrainPlan:
    """The training loop as the config describes it.

    Attributes:
        images: Number of training images each process sees in an epoch, None if unknown.
        batch_size: Images in a full batch, for each process.
        drop_last: Whether a last incomplete batch is left out.
        infinite: Whether the sampler goes on for ever, so that every batch is full.
        by_epoch: Whether the loop counts epochs, otherwise iterations.
        length: `max_epochs` or `max_iters`, None if the config names neither.
        distributed: Whether several processes train together.
    """

    images: int | None
    batch_size: int
    drop_last: bool
    infinite: bool
    by_epoch: bool
    length: int | None
    distributed: bool

    @property
    def steps_per_epoch(self) -> int | None:
        """Batches in one pass over the images, None if their number is unknown."""
        if self.images is None:
            return None
        return (
            self.images // self.batch_size
            if self.drop_last
            else ceil(self.images / self.batch_size)
        )

    @property
    def last_batch(self) -> int | None:
        """Number of images in an epoch's last batch, None if unknown."""
        if self.images is None:
            return None
        if self.drop_last or self.infinite:
            return self.batch_size
        return self.images % self.batch_size or self.batch_size

    @property
    def iterations(self) -> int | None:
        """Optimizer steps in the whole run, None if unknown."""
        if not self.by_epoch or self.length is None:
            return self.length
        return None if self.steps_per_epoch is None else self.length * self.steps_per_epoch

    @property
    def epochs(self) -> float | None:
        """Passes over the images in the whole run, None if unknown."""
        if self.by_epoch or self.length is None:
            return self.length
        return self.length / self.steps_per_epoch if self.steps_per_epoch else None

    @property
    def unit(self) -> str:
        """What the loop counts."""
        return "epochs" if self.by_epoch else "iterations"


def read_plan(cfg: Any, images: int | None) -> TrainPlan:
    """Read the plan from a resolved config.

    Args:
        cfg: A resolved mmengine Config.
        images: Number of training images found, None if they could not be counted.
    """
    loader: Mapping[str, Any] = cfg.get("train_dataloader") or {}
    loop: Mapping[str, Any] = cfg.get("train_cfg") or {}
    distributed = cfg.get("launcher", "none") not in ("none", None)
    processes = int(os.environ.get("WORLD_SIZE", "1")) if distributed else 1
    by_epoch = "max_epochs" in loop
    return TrainPlan(
        images=None if images is None else ceil(images / processes),
        batch_size=int(loader.get("batch_size", 1)),
        drop_last=bool(loader.get("drop_last", False)),
        infinite="Infinite" in type_name(loader.get("sampler") or {}),
        by_epoch=by_epoch,
        length=loop.get("max_epochs") if by_epoch else loop.get("max_iters"),
        distributed=distributed,
    )
