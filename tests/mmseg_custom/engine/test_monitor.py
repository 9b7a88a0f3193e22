"""The best checkpoint by any published figure: names, rules, files, hooks that follow."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from mmengine.config import Config

from seglab.mmseg_custom.engine.history import read_history
from seglab.mmseg_custom.engine.hooks import HistoryEarlyStoppingHook
from seglab.mmseg_custom.engine.monitor import (
    Monitor,
    best_checkpoint,
    best_epoch,
    best_monitor,
    complete_hooks,
    follow_monitor,
)
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
)
from seglab.mmseg_custom.engine.training import (
    TrainResult,
    train,
)
from seglab.mmseg_custom.evaluation import ConfusionMetric
from seglab.tools import train as train_tool
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError

SAVE_BEST = "default_hooks.checkpoint.save_best"


def run(config_path: Path, overrides: Sequence[str] = (), **options: object) -> TrainResult:
    config = load_config(config_path, overrides)
    choices = TrainOptions(device="cpu", **options)
    work_dir = choose_work_dir(config, choices)
    apply_options(config, choices, work_dir)
    return train(config, choices, work_dir)


def completed(path: Path, *overrides: str) -> Config:
    config = load_config(path, overrides)
    complete_hooks(config)
    return config


def hooks(config: Config) -> dict[str, dict[str, object]]:
    return {hook["type"]: hook for hook in config.custom_hooks}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the validations give these figures, one dict for each."""

    def set_script(*figures: dict[str, float]) -> None:
        remaining: Iterator[dict[str, float]] = iter(figures)

        def compute_metrics(self: ConfusionMetric, results: object) -> dict[str, float]:
            return next(remaining)

        monkeypatch.setattr(ConfusionMetric, "compute_metrics", compute_metrics)

    return set_script


@pytest.mark.parametrize(
    ("given", "key", "rule"),
    [
        ("mDice", "val/mDice", "greater"),
        ("val/mDice", "val/mDice", "greater"),
        ("auto", "val/mDice", "greater"),
        ("Dice/dog", "val/Dice/dog", "greater"),
        ("image_mean/mDice", "val/image_mean/mDice", "greater"),
        ("mBoundaryIoU", "val/mBoundaryIoU", "greater"),
        ("NSD/cat", "val/NSD/cat", "greater"),
        ("HD95/dog", "val/HD95/dog", "less"),
        ("val/mHD95", "val/mHD95", "less"),
        ("ECE", "val/ECE", "less"),
    ],
)
def test_any_figure_with_or_without_prefix(
    tiny_config: Path, given: str, key: str, rule: str
) -> None:
    config = completed(tiny_config, f"{SAVE_BEST}={given}")
    assert best_monitor(config) == Monitor(key, rule)
    assert config.default_hooks.checkpoint.save_best == key
    assert config.default_hooks.checkpoint.rule == rule
    follow_monitor(config)
    assert {hook["monitor"] for hook in config.custom_hooks if "monitor" in hook} == {key}
    assert hooks(config)["ProgressHook"]["rule"] == rule
    assert hooks(config)["HistoryEarlyStoppingHook"]["rule"] == rule
    assert "rule" not in hooks(config)["CatchUpValidationHook"]
    contours = any(part in key for part in ("Boundary", "HD95", "NSD"))
    assert config.val_evaluator.get("boundary", False) == contours
    assert config.val_evaluator.get("calibration", False) == ("ECE" in key)


def test_the_runtime_names_it_once(project_root: Path) -> None:
    text = (project_root / "configs" / "_base_" / "default_runtime.py").read_text()
    assert text.count("mDice") == 1


def test_a_rule_that_contradicts_the_figure_is_set_right(tiny_config: Path) -> None:
    # As an older stored config has it, given another figure on the command line.
    config = completed(tiny_config, f"{SAVE_BEST}=ECE", "+default_hooks.checkpoint.rule=greater")
    assert config.default_hooks.checkpoint.rule == "less"


def test_several_best_checkpoints(tiny_config: Path) -> None:
    config = completed(tiny_config, f"{SAVE_BEST}=['Dice/dog', 'val/ECE']")
    assert config.default_hooks.checkpoint.save_best == ["val/Dice/dog", "val/ECE"]
    assert config.default_hooks.checkpoint.rule == ["greater", "less"]
    assert best_monitor(config).key == "val/Dice/dog"
    follow_monitor(config)
    assert config.val_evaluator.calibration and "boundary" not in config.val_evaluator


def test_a_hook_with_a_monitor_of_its_own_keeps_it(tiny_config: Path) -> None:
    early_stopping = "+custom_hooks.2.monitor=HD95/cat"
    config = completed(tiny_config, f"{SAVE_BEST}=Dice/dog", early_stopping)
    assert hooks(config)["HistoryEarlyStoppingHook"]["monitor"] == "val/HD95/cat"
    follow_monitor(config)
    assert hooks(config)["HistoryEarlyStoppingHook"]["monitor"] == "val/HD95/cat"
    assert hooks(config)["HistoryEarlyStoppingHook"]["rule"] == "less"
    assert hooks(config)["ProgressHook"]["monitor"] == "val/Dice/dog"
    assert config.val_evaluator.boundary  # which only that hook needs


def test_unknown_figures_are_all_named_before_any_compute(
    tiny_config: Path, tmp_path: Path
) -> None:
    overrides = [f"{SAVE_BEST}=Dice/Dog", "+custom_hooks.1.monitor=mDise"]
    with pytest.raises(UserError) as caught:
        run(tiny_config, overrides, work_dir=tmp_path / "run")
    message = str(caught.value)
    assert "save_best is 'Dice/Dog'; did you mean Dice/dog" in message
    assert "custom_hooks.1.monitor is 'mDise'; did you mean mDice" in message
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("key", ["classes/mDice", "images/mDice", "HD95/background", "", "3"])
def test_what_says_neither_good_nor_bad_chooses_nothing(tiny_config: Path, key: str) -> None:
    with pytest.raises(UserError, match="a metric that does not exist"):
        completed(tiny_config, f"{SAVE_BEST}={key}")


def test_mmsegs_metric_is_replaced(tiny_config: Path) -> None:
    config = load_config(tiny_config)
    config.val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"], ignore_index=7)
    complete_hooks(config)
    assert config.val_evaluator == dict(type="ConfusionMetric", prefix="val", ignore_index=7)
    foreign = dict(type="CityscapesMetric", output_dir="x")
    config.val_evaluator = [foreign, dict(type="IoUMetric")]
    complete_hooks(config)
    assert [each["type"] for each in config.val_evaluator] == [
        "CityscapesMetric",
        "ConfusionMetric",
    ]
    # Other people's metrics name their figures themselves.
    config.val_evaluator = foreign
    config.default_hooks.checkpoint.save_best = "averageScore"
    complete_hooks(config)
    assert best_monitor(config).key == "averageScore"


def test_an_evaluator_without_prefix(tiny_config: Path) -> None:
    config = completed(tiny_config, "val_evaluator.prefix=none", f"{SAVE_BEST}=val/ECE")
    assert best_monitor(config) == Monitor("ECE", "less")


def test_a_stored_config_names_it_once_and_can_be_given_another(
    tiny_config: Path, tmp_path: Path
) -> None:
    first = run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "a")
    assert first.best_checkpoint == tmp_path / "a" / "best_val_mDice_epoch_1.safetensors"
    stored = (tmp_path / "a" / "config.py").read_text()
    assert stored.count("mDice") == 1
    second = run(tmp_path / "a" / "config.py", [f"{SAVE_BEST}=ECE"], work_dir=tmp_path / "b")
    assert second.monitor == Monitor("val/ECE", "less")
    assert second.best_checkpoint == tmp_path / "b" / "best_val_ECE_epoch_1.safetensors"


def test_configs_stored_by_older_versions_go_on(tiny_config: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.py"
    old.write_text(
        f"_base_ = [{str(tiny_config)!r}]\n"
        "default_hooks = dict(checkpoint=dict(save_best='val/mDice', rule='greater'))\n"
        "custom_hooks = [\n"
        "    dict(type='HistoryHook'),\n"
        "    dict(type='ProgressHook', monitor='val/mDice'),\n"
        "    dict(type='HistoryEarlyStoppingHook', monitor='val/mDice', rule='greater',\n"
        "         patience=15, min_delta=0.01),\n"
        "    dict(type='CatchUpValidationHook', monitor='val/mDice'),\n"
        "]\n"
    )
    result = run(old, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    assert result.best_checkpoint == tmp_path / "run" / "best_val_mDice_epoch_1.safetensors"


@pytest.mark.parametrize("key", ["Dice/dog", "image_mean/mDice", "mBoundaryIoU", "ECE"])
def test_training_keeps_the_best_by_real_figures(
    tiny_config: Path, tmp_path: Path, key: str
) -> None:
    result = run(tiny_config, [f"{SAVE_BEST}={key}"], work_dir=tmp_path / "run")
    history = read_history(result.work_dir)
    values = [record[f"val/{key}"] for record in history]
    assert len(values) == 2
    best = min(values) if key == "ECE" else max(values)
    epoch = history[values.index(best)]["epoch"]
    name = f"best_val_{key.replace('/', '_')}_epoch_{epoch}.safetensors"
    assert [path.name for path in result.work_dir.glob("best_*.safetensors")] == [name]
    assert result.best_checkpoint == result.work_dir / name
    record = json.loads((result.work_dir / "run.json").read_text())
    assert record["best"]["epoch"] == epoch and record["monitor"] == f"val/{key}"


def test_lower_is_better_to_the_last_digit(
    tiny_config: Path,
    tmp_path: Path,
    script: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    script(*({"HD95/dog": value} for value in (9.0, 5.0001, 5.0, 7.0)))
    overrides = [f"{SAVE_BEST}=HD95/dog", "train_cfg.max_epochs=4"]
    result = run(tiny_config, overrides, work_dir=tmp_path / "run")
    assert [path.name for path in result.work_dir.glob("best_*.safetensors")] == [
        "best_val_HD95_dog_epoch_3.safetensors"
    ]
    assert result.best["epoch"] == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert "val/HD95/dog   7.00" in lines[3] and "best 5.00 in epoch 3" in lines[3]


def test_a_figure_without_a_value_yet(
    tiny_config: Path,
    tmp_path: Path,
    script: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    nan = math.nan
    script(*({"HD95/dog": value} for value in (nan, 8.0, nan, 6.0)))
    overrides = [f"{SAVE_BEST}=HD95/dog", "train_cfg.max_epochs=4"]
    result = run(tiny_config, overrides, work_dir=tmp_path / "run")
    assert result.epochs == 4  # mmengine would have stopped at the first NaN
    assert result.best_checkpoint == tmp_path / "run" / "best_val_HD95_dog_epoch_4.safetensors"
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert "best none yet" in lines[0] and "best 8.00 in epoch 2" in lines[2]


def test_early_stopping_counts_validations_without_a_value() -> None:
    hook = HistoryEarlyStoppingHook(monitor="x", rule="less", patience=2, min_delta=0.0)
    values = [5.0, math.nan, None, 1.0]
    stops = [hook._check_stop_condition(value)[0] for value in values]
    assert stops == [False, False, True, False] and hook.best_score == 1.0


def test_a_resumed_run_validates_its_last_epoch_once(
    tiny_config: Path, tmp_path: Path, script: Callable[..., None]
) -> None:
    """The state it resumes from is from before that validation."""
    again = {"HD95/dog": math.nan}
    script(again, again, {"HD95/dog": 3.0})  # a fourth would fail
    overrides = [f"{SAVE_BEST}=HD95/dog"]
    first = [*overrides, "train_cfg.max_epochs=1"]
    assert run(tiny_config, first, work_dir=tmp_path / "run").best == {}
    result = run(tiny_config, overrides, work_dir=tmp_path / "run", resume=True)
    assert result.best["epoch"] == 2


def test_a_resumed_run_keeps_its_rule(tiny_config: Path, tmp_path: Path) -> None:
    run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    with pytest.raises(
        UserError, match=r"chooses its best checkpoint by val/mDice, not by val/ECE"
    ):
        run(tiny_config, [f"{SAVE_BEST}=ECE"], work_dir=tmp_path / "run", resume=True)


def test_the_tool_sums_up_by_that_figure(
    tiny_config: Path,
    tmp_path: Path,
    script: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    script({"ECE": 4.0, "mDice": 10.0}, {"ECE": 6.0, "mDice": 20.0})
    arguments = ["--config", str(tiny_config), "--work-dir", str(tmp_path / "run")]
    arguments += ["--from-scratch", "--device", "cpu", "--cfg-options", f"{SAVE_BEST}=ECE"]
    assert train_tool.main(arguments) == 0
    out = capsys.readouterr().out
    assert "val, best epoch 1: val/ECE 4.00" in out
    assert "best_val_ECE_epoch_1.safetensors" in out
    assert (tmp_path / "run" / "training_curves.png").is_file()


def test_best_epoch_is_the_first_of_equals() -> None:
    history = [
        {"epoch": 1, "m": 0.5},
        {"epoch": 2, "m": 0.70000001},
        {"epoch": 3, "m": 0.5},
        {"epoch": 4, "m": 0.70000001},
        {"epoch": 5},
        {"epoch": 6, "m": None},
    ]
    assert best_epoch(history, Monitor("m"))["epoch"] == 2
    assert best_epoch(history, Monitor("m", "less"))["epoch"] == 1
    assert best_epoch(history, Monitor("other")) == {}
    assert best_epoch([], Monitor("m")) == {}


def test_the_file_of_the_best_checkpoint(tmp_path: Path) -> None:
    for name in (
        "best_val_Dice_dog_epoch_9.pth",  # left behind by a run that was moved
        "best_val_Dice_dog_epoch_10.pth",
        "best_val_Dice_dog_small_epoch_11.pth",
        "best_val_Dice_a[b]_iter_300.pth",
        "epoch_12.pth",
    ):
        (tmp_path / name).touch()
    found = best_checkpoint(tmp_path, Monitor("val/Dice/dog"))
    assert found == tmp_path / "best_val_Dice_dog_epoch_10.pth"
    assert best_checkpoint(tmp_path, Monitor("val/Dice/a[b]")) is not None
    assert best_checkpoint(tmp_path, Monitor("val/mDice")) is None
