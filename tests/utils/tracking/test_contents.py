"""Files of a run as journal entries: the committed reference run, and a real tiny training."""

import json
import os
import pickle
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import zip_bomb
from PIL import Image as PILImage

from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file
from seglab.utils.tracking import result_contents
from seglab.utils.tracking.contents import (
    history_entries,
    journal_of_run,
    journal_of_test,
    run_entries,
    start_entry,
    test_results,
    training_results,
)
from seglab.utils.tracking.journal import (
    Artifact,
    Configuration,
    ConfusionMatrix,
    End,
    Image,
    Journal,
    Parameters,
    Scalar,
    Script,
    SingleValue,
    Start,
    Table,
    Text,
    is_finished,
    read_journal,
)

test_results.__test__ = False  # a function of ours, not of pytest's


@pytest.fixture
def light(project_root: Path, tmp_path: Path) -> Path:
    """A copy of an exported run: no checkpoints, no logs, no photographs."""
    return Path(
        shutil.copytree(project_root / "experiments" / "reference" / "lite", tmp_path / "r")
    )


@pytest.fixture(scope="module")
def trained(tiny_config_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, resumed for a third, that recorded itself live."""
    from seglab.mmseg_custom.engine import run_setup, training
    from seglab.utils.config_utils import load_config
    from seglab.utils.tracking.mode import Mode
    from seglab.utils.tracking.tracker import Tracker

    root = tmp_path_factory.mktemp("trained")
    (root / "tiny.py").write_text(tiny_config_text)
    for epochs in (2, 3):
        overrides = [f"train_cfg.max_epochs={epochs}", "default_hooks.logger.interval=2"]
        config = load_config(root / "tiny.py", overrides)
        options = run_setup.TrainOptions(
            work_dir=root / "run", device="cpu", resume=epochs > 2, command=["seglab", "train"]
        )
        work_dir = run_setup.choose_work_dir(config, options)
        run_setup.apply_options(config, options, work_dir)
        training.train(config, options, work_dir, Tracker(work_dir, Mode("offline", "a test")))
    return root / "run"


def points(entries: list[Any]) -> dict[tuple[str, str, int], Scalar]:
    found = [entry for entry in entries if isinstance(entry, Scalar)]
    assert len(found) == len({(e.title, e.series, e.step) for e in found})
    return {(entry.title, entry.series, entry.step): entry for entry in found}


def of(kind: type, entries: list[Any]) -> list[Any]:
    return [entry for entry in entries if isinstance(entry, kind)]


def section(name: str, entries: list[Any]) -> dict[str, Any]:
    (found,) = [entry.values for entry in of(Parameters, entries) if entry.section == name]
    return found


def change(path: Path, edit: Callable[[dict], Any]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_what_is_tracked_live_is_what_the_files_say_later(trained: Path) -> None:
    later = points(history_entries(trained))
    live = {
        (entry.title, entry.series, entry.step): entry
        for entry in of(Scalar, read_journal(trained / "tracking"))
    }
    assert later.keys() == live.keys()
    assert {key: point.value for key, point in later.items()} == {
        key: point.value for key, point in live.items()
    }
    # The second step of three an epoch: `interval=2` is counted inside it.
    assert sorted(step for *name, step in later if name == ["loss", "loss"]) == [2, 5, 8]
    # mmengine's log gives times to the second; the live ones are exact.
    assert max(abs(later[key].time - live[key].time) for key in live) < 10.0
    times = [point.time for point in history_entries(trained)]
    assert times == sorted(times)


def test_the_history_of_an_exported_run_is_told_whole(light: Path) -> None:
    found = points(history_entries(light))
    record = json.loads((light / "run.json").read_text())
    expected = 0
    for line in (light / "history.jsonl").read_text().splitlines():
        epoch = json.loads(line)
        for key, value in epoch.items():
            if key in {"epoch", "iter"} or value is None:
                continue
            expected += 1
            title, _, series = key.rpartition("/")
            if not title:
                title = "epoch/loss" if "loss" in key else f"epoch/{key}"
                series = key
            assert found[title, series, epoch["epoch"]].value == value
    assert len(found) == expected > 500
    # One session: its seconds are spread over the epochs.
    span = max(p.time for p in found.values()) - min(p.time for p in found.values())
    assert 0.9 * record["seconds"] < span < record["seconds"]


def test_a_finished_journal_of_a_run_that_nobody_tracked(light: Path) -> None:
    record = json.loads((light / "run.json").read_text())
    best = record["best"]
    journal_of_run(light, light / "tracking")
    entries = read_journal(light / "tracking")
    assert is_finished(entries) and entries[-1] == End("finished", time=entries[-1].time)
    start = entries[0]
    assert isinstance(start, Start)
    assert (start.project, start.task_type) == ("practicum_segmentation", "training")
    began = record["sessions"][0]["began"][:10].replace("-", "")
    assert start.name.startswith(f"Lite {began}_")
    assert {"seglab", "Lite", "parent:Exp1", "seed:0", "lite_fpn_effnetlite2_256x256"} == set(
        start.tags
    )
    assert "How far does a small encoder come" in start.comment
    times = [entry.time for entry in entries]
    assert times == sorted(times) and times[0] < times[-1]
    assert points(entries) == points(history_entries(light))
    (values,) = [{v.name: v.value for v in of(SingleValue, entries)}]
    assert values == {
        "best val/mDice": best["val/mDice"],
        "best epoch": best["epoch"],
        "epochs": 20.0,
        "minutes": pytest.approx(record["seconds"] / 60),
    }
    (table,) = of(Table, entries)
    assert table.columns == ("class", "Dice", "IoU", "Acc", "Precision", "Recall")
    assert [row[0] for row in table.rows] == ["background", "cat", "dog", "mean"]
    assert table.rows[2][1] == best["val/Dice/dog"] and table.rows[3][1] == best["val/mDice"]
    assert [image.file for image in of(Image, entries)] == ["training_curves.png"]
    assert all((light / entry.file).is_file() for entry in of((Image, Artifact), entries))
    names = [artifact.name for artifact in of(Artifact, entries)]
    assert names == ["run.json", "config.py", "config.json", "history.jsonl"]
    assert sorted(path.name for path in light.glob(".tracking*")) == []


def test_parameters_are_in_sections_and_nothing_that_counts_is_lost(light: Path) -> None:
    entries = run_entries(light, here=False)
    config = json.loads((light / "config.json").read_text())
    assert section("Model", entries)["decode_head"]["type"] == "FPNHead"
    assert "loss_decode" not in section("Model", entries)["decode_head"]
    loss = {"type": "ComboLoss", "ce_weight": 0.5, "dice_weight": 0.5}
    assert section("Loss", entries) == {"decode_head.loss_decode": loss}
    assert section("Optimizer", entries)["optim_wrapper"]["optimizer"]["lr"] == 0.0005
    schedule = section("Schedule", entries)
    assert schedule["train_cfg"]["max_epochs"] == 20
    assert schedule["param_scheduler"]["1 WarmupDecayLR"]["decay"] == "poly"
    assert section("Data", entries)["train"]["batch_size"] == 8
    transforms = list(section("Augmentation", entries)["train"])
    assert transforms[:2] == ["1 LoadImageFromFile", "2 LoadAnnotations"]
    assert len(transforms) == len(config["train_dataloader"]["dataset"]["pipeline"])
    assert section("Hypothesis", entries)["expects"] == {"mDice": "-"}
    assert section("Runtime", entries)["default_hooks"] == config["default_hooks"]
    run = section("Run", entries)
    assert (run["seed"], run["device"], run["parameters"]) == (0, "cpu", 5425027)
    assert run["command"].startswith("src/tools/train.py --config configs/lite")
    record = json.loads((light / "run.json").read_text())
    assert section("Data hashes", entries) == record["data"]
    # The run was made elsewhere: nothing of this machine is recorded with it.
    assert section("Environment", entries) == record["environment"]
    (script,) = of(Script, entries)
    assert script.commit == record["environment"]["git_revision"] and script.diff == ""
    (text,) = of(Configuration, entries)
    assert text.text == (light / "config.py").read_text()
    from seglab.utils.config_keys import EFFECTIVE_KEYS

    told = json.dumps([entry.values for entry in of(Parameters, entries)])
    for key in EFFECTIVE_KEYS & config.keys() - {"model", "hypothesis"}:
        assert f'"{key.removesuffix("_dataloader")}"' in told, key


def test_losses_are_found_wherever_a_model_has_them(light: Path) -> None:
    def edit(config: dict) -> None:
        head = {"type": "FCNHead", "loss_decode": [{"type": "A"}, {"type": "B"}]}
        config["model"]["auxiliary_head"] = [head, {"type": "X", "loss_decode": {"type": "C"}}]

    change(light / "config.json", edit)
    entries = run_entries(light, here=False)
    losses = section("Loss", entries)
    assert losses["auxiliary_head.0.loss_decode"] == {"1 A": {"type": "A"}, "2 B": {"type": "B"}}
    assert losses["auxiliary_head.1.loss_decode"] == {"type": "C"}
    assert section("Model", entries)["auxiliary_head"] == {
        "1 FCNHead": {"type": "FCNHead"},
        "2 X": {"type": "X"},
    }


def test_a_run_of_this_process_has_its_environment_by_an_allow_list(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_DATABASE_PASSWORD", "topsecret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    entries = run_entries(trained)
    assert section("Environment", entries)["variables"]["OMP_NUM_THREADS"] == "1"
    assert "topsecret" not in repr(entries)
    (script,) = of(Script, entries)
    assert script.entry_point == "src/tools/train.py"


def test_credentials_are_nowhere(light: Path) -> None:
    command = ["train", "--cfg-options", "load_from=https://me:topsecret@example.org/a.pth"]
    change(light / "run.json", lambda record: record["sessions"][-1].update(command=command))
    address = "https://me:topsecret@example.org/a.pth"
    change(light / "config.json", lambda config: config.update(load_from=address))
    config = light / "config.py"
    config.write_text(config.read_text().replace("load_from = None", f"load_from = {address!r}"))
    provenance = light / "test_val" / "provenance.json"
    change(provenance, lambda content: content.update(command=["x", "--token", "topsecret"]))
    journal_of_run(light, light / "tracking")
    journal_of_test(light / "test_val", light / "test_val" / "tracking")
    for folder in (light, light / "test_val"):
        entries = read_journal(folder / "tracking")
        assert "topsecret" not in (folder / "tracking" / "journal.jsonl").read_text()
        for artifact in of(Artifact, entries):
            assert b"topsecret" not in (folder / artifact.file).read_bytes()
    said = [text.text for text in of(Text, read_journal(light / "tracking"))]
    assert said == [
        f"{name} is not uploaded: it holds what looks like a credential"
        for name in ("run.json", "config.py", "config.json")
    ]


def test_the_results_of_a_training_are_its_checkpoint_and_its_log(trained: Path) -> None:
    PILImage.new("RGB", (4, 4)).save(trained / "training_curves.png")
    entries = training_results(trained)
    artifacts = {artifact.name: artifact for artifact in of(Artifact, entries)}
    record = json.loads((trained / "run.json").read_text())
    best = record["best"]
    checkpoint = artifacts["best checkpoint"]
    assert checkpoint.file == f"best_val_mDice_epoch_{best['epoch']}.safetensors"
    assert artifacts[f"best_val_mDice_epoch_{best['epoch']}.json"].file == (
        f"best_val_mDice_epoch_{best['epoch']}.json"
    )
    assert checkpoint.metadata == {
        "epoch": str(best["epoch"]),
        "val/mDice": str(best["val/mDice"]),
        "sha256": sha256_file(trained / checkpoint.file),
    }
    logs = sorted(trained.glob("*/*.log"))
    assert len(logs) == 2  # of both sessions
    assert {log.name for log in logs} < artifacts.keys()
    assert [(image.file, image.step) for image in of(Image, entries)] == [
        ("training_curves.png", 3)
    ]


def test_a_run_measured_in_iterations(light: Path) -> None:
    change(light / "config.json", lambda c: c["train_cfg"].update(type="IterBasedTrainLoop"))
    found = points(history_entries(light))
    lines = (light / "history.jsonl").read_text().splitlines()
    assert found["val", "mDice", 288].value == json.loads(lines[11])["val/mDice"]  # 12 epochs
    assert ("val", "mDice", 12) not in found
    # mmengine's logger, set to count epochs, calls every validation the 0th.
    logs = light / "20261122_211549" / "vis_data"
    logs.mkdir(parents=True)
    text = '{"val/mDice": 88.0, "step": 0}\n{"val/mDice": 88.0, "time": 0.5, "step": 288}\n'
    (logs / "20261122_211549.json").write_text(text)
    with_log = points(history_entries(light))
    assert with_log.keys() - found.keys() == {("val", "time", 288)}
    assert with_log["val", "mDice", 288].value == found["val", "mDice", 288].value


def test_weights_whose_facts_hold_a_credential_go_without_them(
    trained: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    (facts,) = run.glob("best_*.json")
    change(facts, lambda content: content.update(source="https://me:topsecret@example.org/a"))
    entries = training_results(run)
    names = {a.name for a in of(Artifact, entries)}
    assert "best checkpoint" in names and facts.name not in names
    assert any(facts.name in text.text for text in of(Text, entries))


def test_a_checkpoint_that_holds_a_credential_stays_here(trained: Path, tmp_path: Path) -> None:
    """Those of earlier versions hold the whole config."""
    import torch

    run = shutil.copytree(trained, tmp_path / "run")
    (weights,) = run.glob("best_*.safetensors")
    checkpoint = weights.rename(weights.with_suffix(".pth"))
    for text, uploaded in (("https://me:topsecret@example.org/pets", False), ("pets", True)):
        torch.save({"meta": {"cfg": f"data_root = {text!r}"}, "state_dict": {}}, checkpoint)
        entries = training_results(run)
        assert ("best checkpoint" in {a.name for a in of(Artifact, entries)}) == uploaded
        said = any(checkpoint.name in each.text for each in of(Text, entries))
        assert said != uploaded


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("run.json", "data", "no dict"),
        ("run.json", "seconds", 10**400),
        ("run.json", "epochs", 10**400),
        ("config.json", "model", [1]),
        ("config.json", "hypothesis", []),
    ],
)
def test_a_value_of_the_wrong_kind_stops_nothing(
    name: str, key: str, value: Any, light: Path
) -> None:
    change(light / name, lambda content: content.update({key: value}))
    journal_of_run(light, light / "tracking")
    assert is_finished(read_journal(light / "tracking"))


def test_an_odd_line_of_the_history_stops_nothing(light: Path) -> None:
    whole = points(history_entries(light))
    with (light / "history.jsonl").open("a") as stream:
        stream.write('{"epoch": [13], "iter": {}, "val/mDice": 1.0}\n')
    assert points(history_entries(light)).keys() == whole.keys()


def test_the_journal_of_a_test(light: Path) -> None:
    folder = light / "test_val"
    journal_of_test(folder, folder / "tracking")
    entries = read_journal(folder / "tracking")
    metrics = json.loads((folder / "test_metrics.json").read_text())
    start = entries[0]
    assert start.task_type == "testing" and start.name.endswith(" test val")
    assert {"split:val", "optimistic", "Lite"} <= set(start.tags)
    found = points(entries)
    assert len(found) == sum(value is not None for value in metrics["metrics"].values())
    assert found["val", "mDice", 0].value == metrics["metrics"]["mDice"]
    assert found["val/HD95", "dog", 0].value == metrics["metrics"]["HD95/dog"]
    assert found["val/image_mean/Dice", "cat", 0].value == metrics["metrics"]["image_mean/Dice/cat"]
    values = {value.name: value.value for value in of(SingleValue, entries)}
    assert values["mHD95"] == metrics["metrics"]["mHD95"] and values["ECE/objects"] > 0
    tables = {(table.title, table.series): table for table in of(Table, entries)}
    classes = tables["per class", "val"]
    assert classes.columns == (
        "class", "Dice", "IoU", "Acc", "Precision", "Recall", "BoundaryIoU", "NSD", "HD95",
    )  # fmt: skip
    assert classes.rows[0][-1] is None  # the background has no surface
    assert classes.rows[2][-1] == metrics["metrics"]["HD95/dog"]
    sizes = tables["breakdown", "val object_size"]
    assert [dict(zip(sizes.columns, row, strict=True)) for row in sizes.rows] == metrics[
        "breakdown"
    ]["object_size"]
    bins = tables["calibration", "val all"]
    assert len(bins.rows) == 15 and bins.rows[-1][:2] == (pytest.approx(14 / 15), 1.0)
    assert bins.rows[-1][4] == metrics["calibration"]["all"][-1]["pixels"]
    assert [(image.title, image.series) for image in of(Image, entries)] == [
        ("charts", "confusion matrix"), ("charts", "reliability"), ("charts", "distribution"),
    ]  # fmt: skip
    (note,) = of(Text, entries)
    assert "optimistic" in note.text
    assert [artifact.name for artifact in of(Artifact, entries)] == [
        "test_metrics.json", "per_image.csv", "image_results.npz", "provenance.json",
    ]  # fmt: skip
    assert section("Test", entries)["optimistic"] is True
    assert "files" not in section("Data hashes", entries)  # 120 hashes are in the artifact


def test_the_labs_scores_are_sent_where_they_are(light: Path) -> None:
    (light / "test_val" / "lab_scores.json").write_text("{}")
    artifacts = of(Artifact, test_results(light / "test_val"))
    assert [artifact.name for artifact in artifacts][-1] == "lab_scores.json"


def test_the_confusion_matrix_is_in_percent_of_the_truth(light: Path) -> None:
    (confusion,) = of(ConfusionMatrix, test_results(light / "test_val"))
    with np.load(light / "test_val" / "image_results.npz") as stored:
        counts = stored["matrices"].sum(axis=0)
    assert confusion.classes == ("background", "cat", "dog")
    for truth, row in enumerate(confusion.matrix):
        assert sum(row) == pytest.approx(100.0)
        assert row[truth] == pytest.approx(100.0 * counts[truth, truth] / counts[truth].sum())


def test_panels_and_overview_have_titles_of_their_own(light: Path) -> None:
    folder = light / "test_val"
    names = ["val_best_01_cat_007_mDice_97.30.png", "val_worst_02_dog_mDice_1.00.png"]
    names += ["val_overview.png", "val_gone.png"]
    for name in names[:-1]:
        PILImage.new("RGB", (4, 4)).save(folder / name)
    change(folder / "test_metrics.json", lambda content: content.update(pictures=names))
    found = [(e.title, e.series, e.file) for e in of(Image, test_results(folder))]
    assert found == [
        ("best images", "01_cat_007_mDice_97.30", names[0]),
        ("worst images", "02_dog_mDice_1.00", names[1]),
        ("overview", "overview", names[2]),
    ]


def test_a_test_on_another_split_is_not_optimistic(light: Path) -> None:
    folder = light / "test_val"
    change(folder / "test_metrics.json", lambda content: content.update(selected_on=None))
    journal_of_test(folder, folder / "tracking")
    entries = read_journal(folder / "tracking")
    assert of(Text, entries) == [] and "optimistic" not in entries[0].tags


def test_a_test_without_a_run_beside_it_says_what_it_knows(light: Path, tmp_path: Path) -> None:
    folder = Path(shutil.move(light / "test_val", tmp_path / "elsewhere" / "mine"))
    journal_of_test(folder, folder / "tracking")
    start = read_journal(folder / "tracking")[0]
    assert isinstance(start, Start)
    assert (start.name, "seed:0" in start.tags) == ("mine mine test val", True)


def test_the_name_of_a_task_can_be_given(light: Path) -> None:
    start = start_entry(light, "today", split="test", project="mine", tags=["x", "Lite"], time=5.0)
    assert (start.name, start.project, start.time) == ("Lite today test test", "mine", 5.0)
    assert start.tags.count("Lite") == 1 and start.tags[-1] == "x"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{"),
        ("run.json", None),
        ("config.json", "[]"),
        ("config.json", '{"hypothesis": {"id": 7}}'),
        ("history.jsonl", None),
        ("history.jsonl", '{"epoch": 1}\n{"epo'),
    ],
)
def test_a_damaged_run_leaves_no_journal(name: str, content: str | None, light: Path) -> None:
    (light / name).unlink()
    if content is not None:
        (light / name).write_text(content)
    with pytest.raises(UserError, match=name):
        journal_of_run(light, light / "tracking")
    assert not (light / "tracking").exists()


def test_all_faults_are_named_at_once(light: Path) -> None:
    for name in ("run.json", "config.json", "history.jsonl"):
        (light / name).write_text("{")
    with pytest.raises(UserError, match=r"3 faults(?s:.*)run.json(?s:.*)config.json") as caught:
        journal_of_run(light, light / "tracking")
    assert "history.jsonl, line 1" in str(caught.value)
    for name in ("test_metrics.json", "image_results.npz"):
        (light / "test_val" / name).write_text("{")
    with pytest.raises(UserError) as caught:
        test_results(light / "test_val")
    assert "test_metrics.json" in str(caught.value) and "image_results.npz" in str(caught.value)


def test_what_is_no_run_or_has_no_metrics_is_refused(light: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found"):
        journal_of_run(tmp_path / "absent", tmp_path / "absent" / "tracking")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is no run"):
        journal_of_run(tmp_path / "empty", tmp_path / "empty" / "tracking")
    assert list((tmp_path / "empty").iterdir()) == []
    (light / "history.jsonl").write_text("")
    with pytest.raises(UserError, match="no epoch was finished"):
        journal_of_run(light, light / "tracking")
    with pytest.raises(UserError, match="no results of a test"):
        journal_of_test(light, light / "tracking")
    assert not (light / "tracking").exists()


def test_a_tracked_run_keeps_its_journal(light: Path) -> None:
    journal = Journal(light / "tracking")
    journal.add(Text("mine"))
    journal.close()
    with pytest.raises(UserError, match="was tracked"):
        journal_of_run(light, light / "tracking")
    assert [entry.text for entry in read_journal(light / "tracking")] == ["mine"]


def test_a_run_that_goes_on_is_refused_and_a_killed_one_was_interrupted(light: Path) -> None:
    change(light / "run.json", lambda record: record.update(status="running"))
    with pytest.raises(UserError, match="still goes on"):
        journal_of_run(light, light / "tracking")
    for path in light.iterdir():
        os.utime(path, (time.time() - 86400,) * 2)
    journal_of_run(light, light / "tracking")
    assert read_journal(light / "tracking")[-1].status == "interrupted"


def test_odd_values_in_a_record_are_left_out(light: Path) -> None:
    odd = {"best": "?", "seconds": None, "epochs": "many", "sessions": "x", "environment": 3}
    change(light / "run.json", lambda record: record.update(odd))
    journal_of_run(light, light / "tracking")
    entries = read_journal(light / "tracking")
    assert of(SingleValue, entries) == [] and of(Table, entries) == []


def test_the_table_of_the_best_epoch_follows_the_evaluators_prefix(light: Path) -> None:
    (as_val,) = of(Table, training_results(light))

    def rename(content: dict) -> None:
        content["best"] = {k.replace("val/", "dev/"): v for k, v in content["best"].items()}
        content["monitor"] = "dev/mDice"

    change(light / "run.json", rename)
    change(light / "config.json", lambda c: c.update(val_evaluator=[{"prefix": "dev"}]))
    (as_dev,) = of(Table, training_results(light))
    assert as_dev.rows == as_val.rows and as_dev.columns == as_val.columns


def test_texts_are_looked_for_in_no_zip_bomb(tmp_path: Path) -> None:
    fair, bomb = tmp_path / "fair.pth", tmp_path / "bomb.pth"
    with zipfile.ZipFile(fair, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"config": "a text"}))
    assert "a text" in list(result_contents._checkpoint_texts(fair))
    zip_bomb(bomb, "x/data.pkl", megabytes=100)
    assert list(result_contents._checkpoint_texts(bomb)) == []
    assert list(result_contents._lists_of_words("[" * 100_000)) == []
