"""Reading what runs left: whole folders are read as they are, everything else is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglab.analysis.run_folder import load_run, read_runs
from seglab.utils.errors import UserError
from seglab.utils.image_results import load_results, save_results

MakeRun = Callable[..., Path]


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file by hand."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_run_is_read_as_it_was_written(make_run: MakeRun, tmp_path: Path) -> None:
    stated = {"id": "H2", "parent": "H1", "expects": {"mDice": "+"}}
    folder = make_run(tmp_path / "run", stated, seed=3, images=7)
    run = load_run(folder, "val")
    assert (run.id, run.seed, run.label) == ("H2", 3, "H2 (seed 3)")
    assert run.hypothesis.parent == "H1" and run.hypothesis.expects == {"mDice": "+"}
    assert run.results.matrices.shape == (7, 3, 3) and run.classes == ("background", "cat", "dog")
    assert len(run.history) == 3 and run.record["status"] == "finished"
    assert run.test_folder == folder / "test_val"
    assert set(run.file_hashes) == set(run.results.sample_ids)
    # An independent reference for one figure.
    total = np.asarray(run.results.matrices).sum(axis=0).astype(float)
    dice = [200 * total[i, i] / (total[i].sum() + total[:, i].sum()) for i in range(3)]
    assert run.figures["mDice"] == pytest.approx(sum(dice) / 3, abs=1e-9)


def test_seed_0_and_no_seed_need_no_mention(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1", seed=0)
    assert load_run(folder, "val").label == "H1"
    edit(folder / "run.json", lambda record: record.pop("seed"))
    edit(folder / "config.json", lambda config: config.pop("randomness"))
    assert load_run(folder, "val").seed is None


def test_a_figure_without_value_is_nan(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1", images=1)  # a cat alone: there is no dog to find
    figures = load_run(folder, "val").figures
    assert math.isnan(figures["Acc/dog"]) and figures["classes/mAcc"] == 2


def test_a_run_without_hypothesis_goes_by_its_config(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    edit(folder / "config.json", lambda config: config.pop("hypothesis"))
    run = load_run(folder, "val")
    assert (run.id, run.hypothesis.parent) == ("h1", None)
    edit(folder / "config.json", lambda config: config.pop("hypothesis_name"))
    edit(folder / "run.json", lambda record: record.pop("hypothesis"))
    assert load_run(folder, "val").id == "run"


def test_the_test_named_after_the_split_is_taken(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    (folder / "test_val_epoch_7").mkdir()
    assert load_run(folder, "val").test_folder.name == "test_val"


def fault(folder: Path, split: str = "val") -> str:
    with pytest.raises(UserError) as caught:
        load_run(folder, split)
    assert str(folder) in str(caught.value) and caught.value.fix
    return str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    assert "run folder not found" in fault(tmp_path / "none")


def test_a_split_that_was_not_tested_names_the_command(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a run", "H1", split="test")
    (folder / "best_val_mDice_epoch_3.safetensors").write_bytes(b"")
    message = fault(folder)
    assert "no test results for val (there are: test_test)" in message
    assert (
        f"seglab test --config '{folder}/config.json' --checkpoint "
        f"'{folder}/best_val_mDice_epoch_3.safetensors' --split val" in message
    )


def test_results_of_an_earlier_seglab(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    (folder / "test_val" / "image_results.npz").unlink()
    (folder / "test_val" / "provenance.json").unlink()
    message = fault(folder)
    assert "no image_results.npz and no provenance.json" in message and "seglab test" in message


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "run.json",
        "history.jsonl",
        "test_val/test_metrics.json",
        "test_val/provenance.json",
        "test_val/image_results.npz",
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.97])  # an empty history is none: no epoch ended
def test_a_truncated_file_is_named(
    name: str, share: float, make_run: MakeRun, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run", "H1")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    if name == "history.jsonl" and share == 0.0:
        assert load_run(folder, "val").history == []
    else:
        assert str(folder / name) in fault(folder)


@pytest.mark.parametrize("name", ["config.json", "run.json", "history.jsonl"])
def test_a_missing_or_foreign_file_is_named(name: str, make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    (folder / name).write_text("[1, 2]\n")
    assert name in fault(folder)
    (folder / name).write_bytes(b"\xff\xfe\x00")
    assert name in fault(folder)
    (folder / name).unlink()
    assert name in fault(folder)


def test_a_broken_hypothesis_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    edit(folder / "config.json", lambda config: config.update(hypothesis={"id": 3}))
    assert "id must be a word" in fault(folder)


def test_matrices_of_other_classes_than_the_config(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1", classes=("background", "animal"))
    message = fault(folder)
    assert "matrices of 2 classes (background, animal)" in message
    assert "declares 3 (background, cat, dog)" in message


def test_matrices_and_figures_of_other_classes(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    path = folder / "test_val" / "test_metrics.json"
    edit(path, lambda content: content.update(classes=["background", "dog", "cat"]))
    assert "name different classes" in fault(folder)


@pytest.mark.parametrize("change", [0.01, -0.0001])
def test_figures_changed_by_hand_are_found(
    change: float, make_run: MakeRun, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run", "H1")
    path = folder / "test_val" / "test_metrics.json"

    def raise_dice(content: dict[str, Any]) -> None:
        content["metrics"]["Dice/cat"] += change

    edit(path, raise_dice)
    message = fault(folder)
    assert "1 figures do not follow" in message and "Dice/cat" in message


def test_a_figure_that_is_missing_or_too_many_is_found(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    path = folder / "test_val" / "test_metrics.json"

    def rename(content: dict[str, Any]) -> None:
        content["metrics"]["mFantasy"] = content["metrics"].pop("ECE")

    edit(path, rename)
    message = fault(folder)
    assert "2 figures" in message and "absent" in message and "mFantasy" in message


def test_matrices_replaced_by_others_are_found(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1", skill=0.6)
    other = make_run(tmp_path / "other", "H1", skill=0.9)
    save_results(
        folder / "test_val" / "image_results.npz",
        load_results(other / "test_val" / "image_results.npz"),
    )
    assert "do not follow" in fault(folder)


def test_other_images_in_the_record_than_in_the_matrices(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    path = folder / "test_val" / "provenance.json"
    edit(path, lambda content: content["data"]["files"].popitem())
    assert "provenance.json 23" in fault(folder)


def test_a_test_of_another_split_in_this_folder(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1", split="test")
    (folder / "test_test").rename(folder / "test_val")
    assert "results of the test split" in fault(folder)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("test_metrics.json", {"schema": 1}),
        ("test_metrics.json", {"images": "many"}),
        ("provenance.json", {"data": None}),
        ("provenance.json", {"checkpoint_sha256": "abc"}),
    ],
)
def test_a_record_of_another_shape_is_named(
    name: str, change: dict[str, Any], make_run: MakeRun, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run", "H1")
    edit(folder / "test_val" / name, lambda content: content.update(change))
    message = fault(folder)
    assert name in message and next(iter(change)) in message


def test_what_was_no_number_is_left_out_of_the_history(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    with (folder / "history.jsonl").open("a") as stream:
        stream.write('{"epoch": 4, "val/Precision/dog": null}\n')
    assert load_run(folder, "val").history[-1] == {"epoch": 4}


def test_nothing_that_is_read_is_executed(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "H1")
    (folder / "config.py").write_text("raise SystemExit('executed')")
    path = folder / "test_val" / "image_results.npz"
    np.savez(path, matrices=np.array([print], dtype=object))
    assert str(path) in fault(folder)


def test_all_faults_of_all_runs_come_at_once(make_run: MakeRun, tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "a", "H1"), make_run(tmp_path / "b", "H2")
    (first / "config.json").write_text("{")
    (first / "run.json").unlink()
    (second / "test_val" / "image_results.npz").write_bytes(b"PK")
    faults: list[UserError] = []
    runs = read_runs([first, second, tmp_path / "none"], "val", faults)
    assert runs == [] and len(faults) == 4
    with pytest.raises(UserError) as caught:
        load_run(first, "val")
    assert "2 faults" in str(caught.value) and str(caught.value).count("fix:") == 3
