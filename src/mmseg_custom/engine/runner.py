"""mmengine's Runner, made quiet, safe and atomic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from seglab.mmseg_custom.engine.console import quiet_console
from seglab.mmseg_custom.models.pretrained import load_backbone
from seglab.utils.checkpoint_utils import load_checkpoint_file, load_weights_into
from seglab.utils.io_utils import atomic_path


class SeglabRunner(Runner):
    """A Runner that never executes what it reads and never leaves half a file.

    Differences from mmengine's:

    - checkpoints are read with `weights_only=True` and no fallback; config text found in one is
      dropped before mmengine would execute it;
    - checkpoints are written to a temporary file and renamed;
    - weights must fit the model completely;
    - the backbone's pretrained weights are verified (`pretrained_backbone` of the config);
    - the log goes to the log file, the console gets warnings only: progress is shown by
      `ProgressHook`.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build mmengine's logger with a console that shows warnings only."""
        logger = super().build_logger(*args, **kwargs)
        quiet_console(logger)
        return logger

    def dump_config(self) -> None:
        """Leave the config to the trainer, which stores the resolved one as `config.py`."""

    @property
    def bare_model(self) -> nn.Module:
        """The model without DistributedDataParallel around it."""
        model = self.model.module if is_model_wrapper(self.model) else self.model
        assert isinstance(model, nn.Module)
        return model

    #: Called once nothing can refuse the run any more: built, and its checkpoint loaded.
    on_start: Callable[[], None] | None = None

    def build_parts(self) -> None:
        """Build what `train` would build later, so that a wrong config is told from a defect."""
        _ = self.train_loop, self.val_loop  # properties that build
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)  # type: ignore[has-type]

    def load_or_resume(self) -> None:
        """Load or resume the checkpoint, then tell that the run starts."""
        super().load_or_resume()
        if self.on_start is not None:
            self.on_start()

    def _init_model_weights(self) -> None:
        """Initialise the model, then load the backbone's pretrained weights."""
        super()._init_model_weights()
        source = self.cfg.get("pretrained_backbone")
        if source and not self._resume:  # a resumed run has them in its checkpoint
            path = load_backbone(self.bare_model.get_submodule("backbone"), source)
            self.logger.info(f"Backbone starts from {path}")

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable[..., Any] = "cpu",
        strict: bool = True,  # noqa: ARG002 - mmengine's signature; weights always fit whole
        revise_keys: list[tuple[str, str]] | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Load a checkpoint as data; see the class.

        Raises:
            UserError: The file is damaged, unsafe or of another model.
        """
        location = map_location if isinstance(map_location, str) else "cpu"
        checkpoint = load_checkpoint_file(filename, location)
        # `Runner.resume` would execute this text.
        checkpoint.get("meta", {}).pop("config", None)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        load_weights_into(self.bare_model, checkpoint, filename)
        self._has_loaded = True
        self.logger.info(f"Load checkpoint from {filename}")
        return checkpoint

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint beside its place and rename it: a kill leaves the old or the new."""
        with atomic_path(Path(out_dir) / filename) as temporary:
            super().save_checkpoint(str(temporary.parent), temporary.name, *args, **kwargs)
