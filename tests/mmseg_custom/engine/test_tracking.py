"""Whatever visualizer and logger a config brings, a run gets our backend once, or none."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from seglab.mmseg_custom.engine.run_setup import TrainOptions
from seglab.mmseg_custom.engine.tracking import add_backend, track_test, tracking_project
from seglab.mmseg_custom.engine.training import _for_runner
from seglab.utils.tracking.mode import OFF, Mode
from seglab.utils.tracking.tracker import Tracker

LOCAL = dict(type="LocalVisBackend")
ON = Mode("offline", "a test")


class ClearMLVisBackend:
    """As a config in mmengine's new style names a backend: by its class."""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([LOCAL, dict(type="SeglabClearMLBackend", project="mine")], [LOCAL]),
        ([dict(type="ClearMLVisBackend"), LOCAL], [LOCAL]),
        ([dict(type="mmengine.ClearMLVisBackend"), LOCAL], [LOCAL]),
        ([dict(type=ClearMLVisBackend), LOCAL], [LOCAL]),
        (LOCAL, [LOCAL]),
        ((LOCAL,), [LOCAL]),
        ([], []),
        (None, []),
    ],
)
def test_ours_takes_the_place_of_mmengines(given: Any, kept: list, tmp_path: Path) -> None:
    def config() -> Config:
        visualizer = dict(type="SegLocalVisualizer", name="v", vis_backends=given)
        return Config(dict(visualizer=visualizer, experiment_name="e"))

    tracked = config()
    add_backend(tracked, Tracker(tmp_path, ON))
    *others, ours = tracked.visualizer.vis_backends
    assert others == kept and ours.type == "SeglabClearMLBackend"
    assert ours.folder == str(tmp_path / "tracking")
    assert ours.project == tracking_project(config())
    for tracker in (None, Tracker(tmp_path, OFF)):
        untracked = config()
        add_backend(untracked, tracker)
        assert list(untracked.visualizer.vis_backends) == kept


def test_a_config_without_a_visualizer_gets_one(tmp_path: Path) -> None:
    config = Config(dict(experiment_name="e", visualizer=None))
    add_backend(config, Tracker(tmp_path, ON))
    (ours,) = config.visualizer.vis_backends
    assert ours.project == "practicum_segmentation" and config.visualizer.name == "e"


@pytest.mark.parametrize(
    ("loop", "by_epoch"),
    [
        (dict(type="EpochBasedTrainLoop", max_epochs=2), True),
        (dict(by_epoch=True, max_epochs=2), True),
        (dict(type="IterBasedTrainLoop", max_iters=8), False),
        (dict(type="mmengine.IterBasedTrainLoop", max_iters=8), False),
        (dict(by_epoch=False, max_iters=8), False),
    ],
)
@pytest.mark.parametrize("logger", [None, dict(type="LoggerHook", log_metric_by_epoch=True)])
def test_validations_are_counted_as_the_run_is(
    loop: dict, by_epoch: bool, logger: dict | None, tmp_path: Path
) -> None:
    hooks = dict(checkpoint=dict(type="CheckpointHook", save_best="mDice"))
    if logger is not None:
        hooks["logger"] = logger
    content = dict(train_cfg=loop, default_hooks=hooks, custom_hooks=[], val_evaluator=None)
    config = Config(dict(content, launcher="none"))
    own = _for_runner(config, TrainOptions(), tmp_path, "cpu")
    assert own.default_hooks.logger.log_metric_by_epoch is by_epoch
    assert config.default_hooks.get("logger") == logger  # the stored config stays as it is


def test_a_logger_of_somebody_else_or_none_stays_as_it_is(tmp_path: Path) -> None:
    for logger in (None, dict(type="MyLogger")):
        hooks = dict(checkpoint=dict(type="CheckpointHook", save_best="mDice"), logger=logger)
        content = dict(default_hooks=hooks, custom_hooks=[], launcher="none", val_evaluator=None)
        own = _for_runner(Config(content), TrainOptions(), tmp_path, "cpu")
        assert own.default_hooks.logger == logger


def test_a_test_in_a_runs_own_folder_leaves_the_trainings_tracking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").touch()
    (tmp_path / "tracking").mkdir()
    (tmp_path / "tracking" / "journal.jsonl").write_text("the training's")
    track_test(tmp_path, Config(), ON)
    assert (tmp_path / "tracking" / "journal.jsonl").read_text() == "the training's"
    assert "the training's own" in capsys.readouterr().out
