"""Training end to end on a tiny network: files, resuming, repeatability."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from seglab.mmseg_custom.engine import run_setup
from seglab.mmseg_custom.engine.history import read_history
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
    process_rank,
    select_device,
)
from seglab.mmseg_custom.engine.training import (
    TrainResult,
    train,
)
from seglab.mmseg_custom.evaluation import ConfusionMetric
from seglab.utils.checkpoint_utils import load_checkpoint_file, weights_of
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.resume_files import write_checked


def run(config_path: Path, overrides: Sequence[str] = (), **options: object) -> TrainResult:
    config = load_config(config_path, overrides)
    choices = TrainOptions(device="cpu", **options)
    work_dir = choose_work_dir(config, choices)
    apply_options(config, choices, work_dir)
    return train(config, choices, work_dir)


def weights(path: Path | None) -> dict[str, torch.Tensor]:
    assert path is not None
    return weights_of(load_checkpoint_file(path))


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_leaves_everything_behind(tiny_config: Path, tmp_path: Path) -> None:
    result = run(tiny_config, work_dir=tmp_path / "run", seed=3, command=["seglab", "train"])
    history = read_history(result.work_dir)
    assert [record["epoch"] for record in history] == [1, 2]
    assert result.epochs == 2
    for key in (
        "lr",
        "loss",
        "decode.loss_ce",
        "decode.loss_dice",
        "val/mDice",
        "val/Dice/background",
    ):
        assert key in history[0]
    # The best checkpoint is the first epoch of the highest unrounded mDice.
    best = max(history, key=lambda record: record["val/mDice"])
    assert result.best == best
    assert result.best_checkpoint is not None
    assert result.best_checkpoint.name == f"best_val_mDice_epoch_{best['epoch']}.safetensors"
    record = json.loads((result.work_dir / "run.json").read_text())
    assert record["status"] == "finished" and record["seed"] == 3 and record["from_scratch"]
    assert record["environment"]["packages"]["torch"] == torch.__version__
    assert record["best"]["val/mDice"] == best["val/mDice"]
    # The stored config is complete: it loads by itself and says the same.
    stored = load_config(result.work_dir / "config.py")
    assert stored.randomness.seed == 3
    assert stored.model.backbone.model_name == "test_efficientnet"
    assert json.loads((result.work_dir / "config.json").read_text())["randomness"]["seed"] == 3


def test_the_best_checkpoint_is_chosen_by_unrounded_values(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = iter([50.001, 50.0042, 50.0041])

    def compute_metrics(self: ConfusionMetric, results: object) -> dict[str, float]:
        return {"mDice": next(scripted)}

    monkeypatch.setattr(ConfusionMetric, "compute_metrics", compute_metrics)
    result = run(tiny_config, ["train_cfg.max_epochs=3"], work_dir=tmp_path / "run")
    stem = "best_val_mDice_epoch_2"  # nothing of the first epoch's is left
    names = [f"{stem}.json", f"{stem}.safetensors", f"{stem}.safetensors.sha256"]
    assert sorted(path.name for path in result.work_dir.glob("best_*")) == names
    assert result.best["epoch"] == 2 and result.best["val/mDice"] == 50.0042


def test_an_interrupted_checkpoint_leaves_the_old_one(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped_in_the_second_epoch(content: Any, stream: Any) -> None:
        if content["meta"]["epoch"] == 2:
            raise KeyboardInterrupt
        torch_save(content, stream)

    torch_save = torch.save
    monkeypatch.setattr(torch, "save", stopped_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_config, work_dir=tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").rglob("*.pth")] == ["epoch_1.pth"]
    load_checkpoint_file(tmp_path / "run" / "epoch_1.pth")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"


def test_the_loss_of_the_log_is_the_sum_of_its_parts(tiny_config: Path, tmp_path: Path) -> None:
    record = read_history(run(tiny_config, work_dir=tmp_path / "run").work_dir)[0]
    expected = 0.5 * record["decode.loss_ce"] + 0.5 * record["decode.loss_dice"]
    assert record["loss"] == pytest.approx(expected, rel=1e-5)


def test_same_seed_same_weights_other_seed_others(tiny_config: Path, tmp_path: Path) -> None:
    first = run(tiny_config, work_dir=tmp_path / "a", seed=1)
    again = run(tiny_config, work_dir=tmp_path / "b", seed=1)
    other = run(tiny_config, work_dir=tmp_path / "c", seed=2)
    last = [weights(result.work_dir / "epoch_2.pth") for result in (first, again, other)]
    assert equal(last[0], last[1])
    assert not equal(last[0], last[2])


def test_resuming_goes_on_where_it_stopped(tiny_config: Path, tmp_path: Path) -> None:
    run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    result = run(tiny_config, work_dir=tmp_path / "run", resume=True)
    assert [record["epoch"] for record in read_history(result.work_dir)] == [1, 2]
    state = load_checkpoint_file(result.work_dir / "epoch_2.pth")
    assert state["meta"]["epoch"] == 2 and state["meta"]["iter"] == 6
    # Its second epoch goes on from the first one's weights: near a straight run's, far from anew.
    straight = read_history(run(tiny_config, work_dir=tmp_path / "straight").work_dir)
    resumed = read_history(result.work_dir)[1]["loss"]
    assert abs(resumed - straight[1]["loss"]) < 0.4 * abs(straight[0]["loss"] - straight[1]["loss"])


def test_history_beyond_the_point_of_resuming_is_cut(tiny_config: Path, tmp_path: Path) -> None:
    run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    path = tmp_path / "run" / "history.jsonl"
    stale = {"epoch": 2, "iter": 6, "loss": 0.0, "val/mDice": 99.0}
    path.write_text(path.read_text() + json.dumps(stale) + "\n")
    stop = ["custom_hooks.2.patience=1", "custom_hooks.2.min_delta=0"]
    result = run(tiny_config, stop, work_dir=tmp_path / "run", resume=True)
    assert [record["epoch"] for record in read_history(result.work_dir)] == [1, 2]
    assert result.best["val/mDice"] < 99


def test_seconds_are_those_of_all_sessions(tiny_config: Path, tmp_path: Path) -> None:
    run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    run(tiny_config, work_dir=tmp_path / "run", resume=True)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    each = [session["seconds"] for session in record["sessions"]]
    assert len(each) == 2 and min(each) > 0
    assert record["seconds"] == pytest.approx(sum(each))


def test_a_stored_config_starts_a_new_run_anew(tiny_config: Path, tmp_path: Path) -> None:
    run(tiny_config, work_dir=tmp_path / "run")
    run(tiny_config, work_dir=tmp_path / "run", resume=True)
    first = read_history(tmp_path / "run")[0]
    again = run(tmp_path / "run" / "config.py", work_dir=tmp_path / "again")
    assert read_history(again.work_dir)[0]["loss"] == first["loss"]
    assert json.loads((again.work_dir / "run.json").read_text())["hypothesis"] == "tiny"


def test_mmsegs_own_runtime_is_completed(tiny_config: Path, tmp_path: Path) -> None:
    path = tmp_path / "stock.py"
    text = tiny_config.read_text()
    ours = next(line for line in text.splitlines() if "default_runtime" in line)
    path.write_text(text.replace(ours, '    "mmseg::_base_/default_runtime.py",'))
    result = run(path, work_dir=tmp_path / "run")
    assert result.epochs == 2 and result.best_checkpoint is not None
    assert json.loads((result.work_dir / "run.json").read_text())["seed"] == 0


@pytest.mark.parametrize(
    "override",
    ["optim_wrapper.optimizer.type=Nope", "train_cfg.type=Nope", "val_evaluator.type=Nope"],
)
def test_parts_that_do_not_build_leave_the_folder_free(
    tiny_config: Path, tmp_path: Path, override: str
) -> None:
    with pytest.raises(UserError, match="does not build"):
        run(tiny_config, [override], work_dir=tmp_path / "run")
    run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")


def test_a_run_that_is_made_longer_decays_to_its_new_end(tiny_config: Path, tmp_path: Path) -> None:
    straight = run(tiny_config, ["train_cfg.max_epochs=6"], work_dir=tmp_path / "straight")
    run(tiny_config, ["train_cfg.max_epochs=2"], work_dir=tmp_path / "run")
    run(tiny_config, ["train_cfg.max_epochs=6"], work_dir=tmp_path / "run", resume=True)
    rates, expected = (
        [record["lr"] for record in read_history(folder)]
        for folder in (tmp_path / "run", straight.work_dir)
    )
    assert rates[2:] == pytest.approx(expected[2:])


def test_a_refused_resume_leaves_the_run_as_it_was(tiny_config: Path, tmp_path: Path) -> None:
    result = run(tiny_config, work_dir=tmp_path / "run")
    names = ("config.py", "config.json", "run.json", "history.jsonl")
    before = [(result.work_dir / name).read_bytes() for name in names]
    other = ["model.backbone.model_name=test_resnet", "train_cfg.max_epochs=4"]
    with pytest.raises(UserError, match="does not belong to this model"):
        run(tiny_config, other, work_dir=tmp_path / "run", resume=True)
    assert before == [(result.work_dir / name).read_bytes() for name in names]


def test_a_resumed_run_keeps_its_start_and_its_seed(tiny_config: Path, tmp_path: Path) -> None:
    short = ["train_cfg.max_epochs=1", "+pretrained_backbone=mit_b2"]
    run(tiny_config, short, work_dir=tmp_path / "run", seed=4, from_scratch=True)
    # Neither --from-scratch nor --seed again, and the weights named are not on this machine.
    longer = ["train_cfg.max_epochs=2", "+pretrained_backbone=mit_b2"]
    run(tiny_config, longer, work_dir=tmp_path / "run", resume=True)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["seed"] == 4 and record["from_scratch"] and record["status"] == "finished"
    assert [session["status"] for session in record["sessions"]] == ["finished", "finished"]
    with pytest.raises(UserError, match="began with seed 4"):
        run(tiny_config, longer, work_dir=tmp_path / "run", resume=True, seed=5)


def test_a_moved_run_resumes(tiny_config: Path, tmp_path: Path) -> None:
    run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    assert run(tiny_config, work_dir=tmp_path / "moved", resume=True).epochs == 2
    assert not (tmp_path / "run").exists()


def test_an_epoch_stopped_before_its_validation_is_validated(
    tiny_config: Path, tmp_path: Path
) -> None:
    result = run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    # As if it had been stopped between the checkpoint of the epoch and its validation.
    (record,) = read_history(result.work_dir)
    bare = {key: value for key, value in record.items() if not key.startswith("val/")}
    (result.work_dir / "history.jsonl").write_text(json.dumps(bare) + "\n")
    run(tiny_config, work_dir=tmp_path / "run", resume=True)
    history = read_history(result.work_dir)
    assert [record["epoch"] for record in history] == [1, 2]
    assert history[0]["val/mDice"] == pytest.approx(record["val/mDice"])


def test_a_stop_between_checkpoint_and_pointer_is_found(tiny_config: Path, tmp_path: Path) -> None:
    run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    (tmp_path / "run" / "last_checkpoint").write_text("")
    assert run(tiny_config, work_dir=tmp_path / "run", resume=True).epochs == 2
    for path in (tmp_path / "run").glob("epoch_*.pth"):
        path.unlink()
    with pytest.raises(UserError, match="nothing to resume"):
        run(tiny_config, work_dir=tmp_path / "run", resume=True)


def test_averaged_weights_survive_a_resume(tiny_config: Path, tmp_path: Path) -> None:
    averaged = "custom_hooks=[{'type': 'HistoryHook'}, {'type': 'EMAHook', 'momentum': 0.5}]"
    run(tiny_config, [averaged, "train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    result = run(tiny_config, [averaged], work_dir=tmp_path / "run", resume=True)
    content = load_checkpoint_file(result.work_dir / "epoch_2.pth")
    trained = {
        key.removeprefix("module."): value
        for key, value in content["ema_state_dict"].items()
        if key != "steps"
    }
    assert int(content["ema_state_dict"]["steps"]) == 6  # of both sessions
    assert trained.keys() == content["state_dict"].keys()
    assert not equal(content["state_dict"], trained)


def test_early_stopping_remembers_over_a_resume(tiny_config: Path, tmp_path: Path) -> None:
    stop = ["custom_hooks.2.patience=2", "custom_hooks.2.min_delta=100"]
    run(tiny_config, [*stop, "train_cfg.max_epochs=2"], work_dir=tmp_path / "run")
    longer = [*stop, "train_cfg.max_epochs=9"]
    assert run(tiny_config, longer, work_dir=tmp_path / "run", resume=True).epochs == 3


def test_a_loss_that_is_not_finite_stops(tiny_config: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss became .* in epoch 1"):
        run(tiny_config, ["optim_wrapper.optimizer.lr=1e30"], work_dir=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_runs_measured_in_iterations(tiny_config: Path, tmp_path: Path) -> None:
    path = tmp_path / "by_iteration.py"
    path.write_text(
        f"_base_ = [{str(tiny_config)!r}]\n"
        "train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=6, val_interval=3)\n"
        "param_scheduler = [dict(type='WarmupDecayLR', by_epoch=False)]\n"
        "train_dataloader = dict(sampler=dict(type='InfiniteSampler'))\n"
        "default_hooks = dict(checkpoint=dict(by_epoch=False, interval=3),\n"
        "                     logger=dict(log_metric_by_epoch=False))\n"
        "log_processor = dict(by_epoch=False)\n"
    )
    result = run(path, work_dir=tmp_path / "run")
    history = read_history(result.work_dir)
    assert [record["iter"] for record in history] == [3, 6]
    assert all("val/mDice" in record and "loss" in record for record in history)
    assert result.best_checkpoint is not None
    assert result.best_checkpoint.name.startswith("best_val_mDice_iter_")


def test_a_model_that_does_not_build_is_a_mistake_of_the_config(
    tiny_config: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="does not build: KeyError: .*NoSuchBackbone"):
        run(tiny_config, ["model.backbone.type=NoSuchBackbone"], work_dir=tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


def test_config_text_in_a_checkpoint_is_not_executed(tiny_config: Path, tmp_path: Path) -> None:
    run(tiny_config, ["train_cfg.max_epochs=1"], work_dir=tmp_path / "run")
    path = tmp_path / "run" / "epoch_1.pth"
    victim = tmp_path / "created_by_config"
    checkpoint = load_checkpoint_file(path)
    checkpoint["meta"]["config"] = f"open({str(victim)!r}, 'w')"
    write_checked(path, checkpoint)
    run(tiny_config, work_dir=tmp_path / "run", resume=True)
    assert not victim.exists()


def test_early_stopping_stops(tiny_config: Path, tmp_path: Path) -> None:
    result = run(
        tiny_config,
        [
            "train_cfg.max_epochs=9",
            "custom_hooks.2.patience=2",
            "custom_hooks.2.min_delta=100",
        ],
        work_dir=tmp_path / "run",
    )
    assert result.epochs == 3


def test_a_work_dir_with_files_is_refused(tiny_config: Path, tmp_path: Path) -> None:
    config = load_config(tiny_config)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "x").touch()
    with pytest.raises(UserError, match="never overwrites"):
        choose_work_dir(config, TrainOptions(work_dir=tmp_path / "used"))
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["x"]
    run_folder = tmp_path / "runs" / "20260101_000000"
    run_folder.mkdir(parents=True)
    (run_folder / "run.json").touch()
    with pytest.raises(UserError, match="never overwrites"):
        choose_work_dir(config, TrainOptions(work_dir=tmp_path / "runs"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        choose_work_dir(config, TrainOptions(work_dir=tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be written"):
        choose_work_dir(config, TrainOptions(work_dir=tmp_path / "file" / "inside"))
    with pytest.raises(UserError, match="cannot be written"):
        choose_work_dir(config, TrainOptions(work_dir=Path("/proc/seglab")))


def test_nothing_to_resume(tiny_config: Path, tmp_path: Path) -> None:
    config = load_config(tiny_config)
    with pytest.raises(UserError, match="nothing to resume"):
        choose_work_dir(config, TrainOptions(work_dir=tmp_path / "new", resume=True))
    with pytest.raises(UserError, match="no run with a finished epoch"):
        choose_work_dir(config, TrainOptions(resume=True))


def test_resume_finds_the_newest_run_that_kept_a_state(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_setup, "PROJECT_ROOT", tmp_path)
    for age, stamp in enumerate(("20260103_000000", "20260101_000000", "20260102_000000")):
        folder = tmp_path / "experiments" / "tiny" / stamp
        folder.mkdir(parents=True)
        # Killed in its first epoch, before `last_checkpoint` was written.
        name = "epoch_0_step_2.pth" if age else "weights.pth"
        write_checked(folder / name, {"optimizer": {}})
        os.utime(folder / name, (1000.0 - age, 1000.0 - age))
    chosen = choose_work_dir(load_config(tiny_config), TrainOptions(resume=True))
    assert chosen.name == "20260101_000000"


def test_pretrained_weights_reach_the_backbone(tiny_config: Path, tmp_path: Path) -> None:
    first = run(tiny_config, work_dir=tmp_path / "a")
    path = first.work_dir / "epoch_2.pth"
    config = load_config(tiny_config, ["optim_wrapper.optimizer.lr=0.0", "train_cfg.max_epochs=1"])
    options = TrainOptions(work_dir=tmp_path / "b", pretrained=str(path), device="cpu", seed=9)
    work_dir = choose_work_dir(config, options)
    apply_options(config, options, work_dir)
    result = train(config, options, work_dir)
    # A rate of zero leaves the weights as they were loaded; running statistics move.
    before, after = weights(path), weights(result.work_dir / "epoch_1.pth")
    key = "backbone.timm_model.conv_stem.weight"
    assert torch.equal(before[key], after[key])
    assert not json.loads((result.work_dir / "run.json").read_text())["from_scratch"]


def test_ranks_are_those_of_our_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert process_rank("none") == 0 and process_rank("slurm") == 3
    monkeypatch.setenv("RANK", "1")
    assert process_rank("pytorch") == 1


def test_select_device() -> None:
    assert select_device("cpu") == "cpu"
    if not torch.cuda.is_available():
        assert select_device("auto") == "cpu"
        with pytest.raises(UserError, match="no CUDA device"):
            select_device("cuda")
