"""A disk that is full costs a run its logs for a while, not the run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.visualization import LocalVisBackend, Visualizer
from tqdm import tqdm


class FullDisk:
    """Tells once that logs cannot be written, and has mmengine go on without them.

    Its log file would print a traceback for each line, its file of figures would end the run.
    """

    def __init__(self) -> None:
        self._told = False

    def guard_log(self, logger: logging.Logger) -> None:
        """Guard the log files of a logger."""
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                setattr(handler, "handleError", self._handler_of(handler))  # noqa: B010 - mypy

    def guard_figures(self, visualizer: Visualizer) -> None:
        """Guard the files of figures that a visualizer writes."""
        for backend in visualizer._vis_backends.values():
            if isinstance(backend, LocalVisBackend):
                backend._dump = self._guarded(backend._dump)

    def _tell(self, place: str, error: OSError) -> None:
        if not self._told:
            self._told = True
            tqdm.write(f"warning: training goes on: cannot write {place}: {error.strerror}")

    def _guarded(self, write: Callable[..., None]) -> Callable[..., None]:
        def guarded(values: dict[str, Any], path: str, *more: Any) -> None:
            try:
                write(values, path, *more)
            except OSError as error:
                self._tell(path, error)

        return guarded

    def _handler_of(self, handler: logging.FileHandler) -> Callable[[logging.LogRecord], None]:
        default = handler.handleError

        def handle(record: logging.LogRecord) -> None:
            error = sys.exc_info()[1]
            if isinstance(error, OSError):
                self._tell(str(Path(handler.baseFilename)), error)
            else:
                default(record)

        return handle
