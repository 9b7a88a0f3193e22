"""mmengine's Runner, made quiet, safe and atomic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mmengine
from mmengine.dist import all_gather_object, get_rank
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.checkpoint import weights_to_cpu
from torch import Tensor, nn

from seglab.mmseg_custom.datasets.seeded import seeded_loader
from seglab.mmseg_custom.engine.checkpointing import SafeCheckpointHook
from seglab.mmseg_custom.engine.console import quiet_console
from seglab.mmseg_custom.engine.full_disk import FullDisk
from seglab.mmseg_custom.engine.loops import ExactEpochTrainLoop, exact_loop
from seglab.mmseg_custom.engine.resumed_settings import check_seed, check_steps
from seglab.mmseg_custom.engine.stopping import StopHook, StopRequest, shield_workers
from seglab.mmseg_custom.models.pretrained import load_backbone
from seglab.utils import random_state
from seglab.utils.checkpoint_utils import load_checkpoint_file, load_weights_into
from seglab.utils.resume_files import Place


class SeglabRunner(Runner):
    """A Runner that never executes what it reads and never leaves half a file.

    Differences from mmengine's:

    - checkpoints are read with `weights_only=True` and no fallback; config text found in one is
      dropped before mmengine would execute it;
    - a resumed run goes on as if it had not stopped: random numbers, data order and the place
      inside an epoch are part of its state (`SafeCheckpointHook` writes it);
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

    _random_states: Sequence[dict[str, Any]] = ()
    _gradients: Sequence[Mapping[str, Tensor]] = ()
    #: The history up to the point where the run was resumed; None if its state tells none.
    kept_history: list[dict[str, Any]] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        full_disk = FullDisk()
        full_disk.guard_log(self.logger)
        full_disk.guard_figures(self.visualizer)
        #: Whether the run was asked to stop.
        self.stop_request = StopRequest()
        self.register_hook(StopHook())

    def build_train_loop(self, loop: Any) -> Any:
        """Build a loop that can start at any step, over samples that carry their own seeds."""
        loader: Any = self._train_dataloader  # type: ignore[has-type]
        if isinstance(loader, dict):
            self._train_dataloader = seeded_loader(loader)
        if isinstance(loop, dict):
            loop = exact_loop(loop)
        return _shielded(super().build_train_loop(loop))

    def build_val_loop(self, loop: Any) -> Any:
        """Build a validation that draws none of training's random numbers."""
        loop = exact_loop(loop, True) if isinstance(loop, dict) else loop
        return _shielded(super().build_val_loop(loop))

    #: Called once nothing can refuse the run any more: built, and its checkpoint loaded.
    on_start: Callable[[], None] | None = None

    def build_parts(self) -> None:
        """Build what `train` would build later, so that a wrong config is told from a defect."""
        _ = self.train_loop, self.val_loop  # properties that build
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)  # type: ignore[has-type]

    def load_or_resume(self) -> None:
        """Load or resume the checkpoint, then tell that the run starts."""
        super().load_or_resume()
        gradients = _own(self._gradients) or {}
        for name, parameter in self.bare_model.named_parameters():
            if name in gradients:
                parameter.grad = gradients[name].to(parameter.device)
        if random := _own(self._random_states):
            random_state.restore(random)
        self._gradients = ()
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
        if self._resume:
            self._random_states = checkpoint.get("random", [])
            self._gradients = checkpoint.get("gradients", [])
            self.kept_history = checkpoint.get("history")
            meta = checkpoint.get("meta", {})
            check_seed(meta, self._randomness_cfg.get("seed"), filename)
            if isinstance(self.train_loop, ExactEpochTrainLoop):
                check_steps(meta, len(self.train_loop.dataloader), self.work_dir)
                self.train_loop.steps_done = meta.get("steps_done", 0)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        load_weights_into(self.bare_model, checkpoint, filename)
        self._has_loaded = True
        self.logger.info(f"Load checkpoint from {filename}")
        return checkpoint

    def resume_state(self, place: Place) -> dict[str, Any]:
        """Everything that training needs to go on from a place as if it had not stopped.

        Every process of a run has to call it: each has random numbers of its own.

        Args:
            place: How far the run has come.
        """
        steps = len(self.train_loop.dataloader) if place.by_epoch else 0
        schedulers = self.param_schedulers or []
        content: dict[str, Any] = {
            "meta": {
                "epoch": place.epochs,
                "iter": place.epochs * steps + place.steps,
                "steps_done": place.steps if place.by_epoch else 0,
                **({"steps_per_epoch": steps} if place.by_epoch else {}),
                "seed": self.seed,
                "dataset_meta": getattr(self.train_dataloader.dataset, "metainfo", {}),
                "mmengine_version": mmengine.__version__,
            },
            "state_dict": weights_to_cpu(self.bare_model.state_dict()),
            "message_hub": self.message_hub.state_dict(),
            "optimizer": self.optim_wrapper.state_dict(),
            "param_schedulers": [scheduler.state_dict() for scheduler in schedulers],
            "random": all_gather_object(random_state.capture()),
        }
        if not self.optim_wrapper.should_update():  # gradients are being accumulated
            gradients = {
                name: parameter.grad.cpu()
                for name, parameter in self.bare_model.named_parameters()
                if parameter.grad is not None
            }
            content["gradients"] = all_gather_object(gradients)
        self.call_hook("before_save_checkpoint", checkpoint=content)
        return content

    def keep_state(self, place: Place) -> bool:
        """Keep the state, wherever the run is; returns whether it is kept.

        Args:
            place: How far the run has come.
        """
        hooks = [hook for hook in self.hooks if isinstance(hook, SafeCheckpointHook)]
        return bool(hooks) and hooks[0].save_state(self, place)

    def deployed_weights(self) -> dict[str, Tensor]:
        """The weights that validation scores: the averaged ones where there are such."""
        content: dict[str, Any] = {"state_dict": weights_to_cpu(self.bare_model.state_dict())}
        self.call_hook("before_save_checkpoint", checkpoint=content)
        weights: dict[str, Tensor] = content["state_dict"]
        return weights


def _shielded(loop: Any) -> Any:
    """A loop whose loading processes leave signals to this one."""
    if loop is not None:
        shield_workers(loop.dataloader)
    return loop


def _own(states: Sequence[Any]) -> Any:
    """This process's part of what every process of a run had; None if nothing was kept."""
    return states[min(get_rank(), len(states) - 1)] if states else None
