"""The visualisation backend through which mmengine's figures and images are tracked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.visualization.vis_backend import BaseVisBackend
from mmseg.registry import VISBACKENDS

from seglab.utils.clearml_utils import DEFAULT_PROJECT, split_key
from seglab.utils.tracking.journal import Journal
from seglab.utils.tracking.scalars import epoch_scalars, logged_scalars
from seglab.utils.tracking.tracker import never_fails


@VISBACKENDS.register_module()
class SeglabClearMLBackend(BaseVisBackend):
    """Records what a run reports; ClearML's SDK reads it in a process of its own.

    mmengine's `ClearMLVisBackend` calls the SDK inside the training: without credentials it raises
    from the Runner's constructor, and a server that stops to answer holds the training up. This
    one appends to a journal, which a child process turns into the SDK's real `Task`
    (`seglab.utils.tracking`).

    `train` and `test` give the folder. Without one (mmseg's own tools, `--tracking off`) nothing
    is recorded.

    Args:
        save_dir: Where mmengine keeps its own logs; not used.
        project: The ClearML project.
        folder: The tracking folder, `RUN/tracking`; made with the first record.
    """

    def __init__(
        self,
        save_dir: str | None = None,
        project: str = DEFAULT_PROJECT,
        folder: str | None = None,
    ) -> None:
        super().__init__(save_dir)
        self.project = project
        self._folder = Path(folder) if folder else None
        self._journal: Journal | None = None

    def _init_env(self) -> None:
        """Nothing to prepare: the journal is opened with the first record."""

    @property
    def experiment(self) -> Journal | None:
        """The journal, to which tables and other entries can be added; None without a folder."""
        if self._journal is None and self._folder is not None:
            self._journal = Journal(self._folder)
        return self._journal

    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Do nothing: the resolved config is recorded in sections when the run begins."""

    @never_fails
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:  # noqa: ARG002
        """Record an image.

        Args:
            name: `TITLE/SERIES`, or one word for both.
            image: (H, W, 3) uint8 RGB.
            step: Iteration or epoch.
            **kwargs: Not used.
        """
        if self.experiment is not None:
            title, series = split_key(name)
            self.experiment.add_image(title, series, step, image)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:  # noqa: ARG002
        """Record a figure.

        Args:
            name: As mmengine logs it: `loss`, `lr`, `val/mDice`, `val/Dice/dog`.
            value: A number, or a tensor or array of one.
            step: Iteration or epoch.
            **kwargs: Not used.
        """
        self.add_scalars({name: value}, step)

    @never_fails
    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,  # noqa: ARG002 - mmengine's signature
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Record several figures of one step; what is not a number is left out.

        Args:
            scalar_dict: Name -> value, as in `add_scalar`.
            step: Iteration or epoch.
            file_path: Not used.
            **kwargs: Not used.
        """
        if self.experiment is None:
            return
        self.experiment.add(*logged_scalars(scalar_dict, step, time.time()))

    @never_fails
    def add_epoch(self, record: Mapping[str, Any], epoch: int) -> None:
        """Record the means of an epoch's training.

        Args:
            record: Of `history.jsonl`.
            epoch: Its number, from 1.
        """
        if self.experiment is not None:
            self.experiment.add(*epoch_scalars(record, epoch, time.time()))

    def close(self) -> None:
        """Close the journal's file; a later record opens it again."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def track_epoch(visualizer: Any, record: Mapping[str, Any], epoch: int) -> None:
    """Give the record of an epoch to a visualizer's tracking, if it has any.

    Args:
        visualizer: mmengine's; its own methods know of single steps and validations only.
        record: Of `history.jsonl`.
        epoch: Its number, from 1.
    """
    for backend in visualizer._vis_backends.values():
        if isinstance(backend, SeglabClearMLBackend):
            backend.add_epoch(record, epoch)
