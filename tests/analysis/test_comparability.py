"""Which runs belong together, which must not be compared, and what a reader is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seglab.analysis.comparability import (
    comparison_notes,
    differences_in_data,
    group_runs,
    require_same_classes,
)
from seglab.analysis.run_folder import Run, load_run
from seglab.utils.config_diff import effective_difference
from seglab.utils.errors import UserError
from seglab.utils.image_results import published_metrics

MakeRun = Callable[..., Path]


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Callable[..., Run]:
    """Makes and reads a run."""

    def make(name: str, *args: Any, **kwargs: Any) -> Run:
        return load_run(make_run(tmp_path / name, *args, **kwargs), "val")

    return make


def edited(run: Run, name: str, change: Callable[[Any], Any]) -> Run:
    """The run read again after one of its JSON files was changed."""
    path = run.folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return load_run(run.folder, "val")


def test_runs_of_the_same_data_are_comparable(run: Callable[..., Run]) -> None:
    assert differences_in_data([run("a", "H1"), run("b", "H2", skill=0.5)]) == []


def test_other_images_are_listed_ten_at_most(run: Callable[..., Run]) -> None:
    few, many = run("a", "H1", images=4), run("b", "H2", images=24)
    (line,) = differences_in_data([few, many])
    assert line.startswith("H2 (b) and H1 (a): 20 images only in H2: batch_0/006.jpg, ")
    assert line.endswith("and 10 more") and line.count(".jpg") == 10
    (line,) = differences_in_data([many, few])
    assert "20 images only in H2" in line


def test_changed_files_are_told_apart(run: Callable[..., Run]) -> None:
    first, second = run("a", "H1"), run("b", "H2")

    def relabel(content: dict[str, Any]) -> None:
        content["data"]["files"]["batch_0/003.jpg"]["label"] = "0" * 64

    lines = differences_in_data([first, edited(second, "test_val/provenance.json", relabel)])
    assert lines == ["H2 (b) and H1 (a): 1 label files that differ: batch_0/003.jpg"]
    lines = differences_in_data([first, run("c", "H3", data_seed=1)])
    assert [line.split(": ")[1] for line in lines] == [
        "24 image files that differ", "24 label files that differ"
    ]  # fmt: skip


def test_another_ignored_label_is_a_difference(run: Callable[..., Run]) -> None:
    second = edited(
        run("b", "H2"), "test_val/test_metrics.json", lambda content: content.update(ignore_index=0)
    )
    (line,) = differences_in_data([run("a", "H1"), second])
    assert "ignore different labels: 0 and 255" in line


def test_other_classes_are_refused(run: Callable[..., Run]) -> None:
    config = {"train_dataloader": None, "val_dataloader": None, "test_dataloader": None}
    other = run("b", "H2", classes=("background", "dog", "cat"), config=config)
    with pytest.raises(UserError, match="H2: background, dog, cat"):
        require_same_classes([run("a", "H1"), other])


def test_runs_of_one_id_need_seeds(run: Callable[..., Run]) -> None:
    runs = [run("s1", "H1", seed=1), run("h2", "H2"), run("s0", "H1", seed=0)]
    with pytest.raises(UserError) as caught:
        group_runs(runs, by_seed=False)
    assert "2 runs of H1" in caught.value.message and "--seeds" in caught.value.fix
    groups = group_runs(runs, by_seed=True)
    assert {name: [run.seed for run in group] for name, group in groups.items()} == {
        "H1": [0, 1], "H2": [0]
    }  # fmt: skip
    assert list(groups) == ["H1", "H2"]
    with pytest.raises(UserError, match="no run"):
        group_runs([], by_seed=False)


def test_repetitions_must_differ_in_their_seed_alone(run: Callable[..., Run]) -> None:
    first = run("a", "H1", seed=0)
    with pytest.raises(UserError, match="same training seed"):
        group_runs([first, run("b", "H1", seed=0, skill=0.5)], by_seed=True)
    changed = run("c", "H1", seed=1, config={"optim_wrapper": {"type": "OptimWrapper"}})
    with pytest.raises(UserError, match=r"more than the seed: - optim_wrapper.optimizer"):
        group_runs([first, changed], by_seed=True)
    relabelled = edited(
        run("d", "H1", seed=2),
        "run.json",
        lambda record: record["data"]["train"].update(labels_sha256="f" * 64),
    )
    with pytest.raises(UserError, match="trained on different labels"):
        group_runs([first, relabelled], by_seed=True)


def test_runs_alike_need_one_note_only(run: Callable[..., Run]) -> None:
    notes = comparison_notes([run("a", "H1"), run("b", "H2")], by_seed=False)
    assert len(notes) == 1 and notes[0].startswith("One training run stands for H1, H2")


def test_repeated_hypotheses_need_no_note_on_seeds(run: Callable[..., Run]) -> None:
    runs = [run("a", "H1", seed=0), run("b", "H1", seed=1), run("c", "H2")]
    (note,) = comparison_notes(runs, by_seed=True)
    assert note.startswith("One training run stands for H2:")


def test_what_differs_in_training_is_noted(run: Callable[..., Run]) -> None:
    def change(record: dict[str, Any]) -> None:
        record["status"] = "interrupted"
        record["environment"]["packages"]["torch"] = "2.99"
        record["data"]["train"] = {"labels_sha256": "f" * 64}

    second = edited(
        run("b", "H2", seed=5, epochs=7, revision="f" * 40 + "+changes"), "run.json", change
    )
    notes = comparison_notes([run("a", "H1"), second], by_seed=False)
    assert notes[0] == "H2 (seed 5): its training is interrupted."
    text = "\n".join(notes)
    for part in (
        "seeds differ (H1: 0; H2 (seed 5): 5)",
        "Epochs trained differ (H1: 3; H2 (seed 5): 7)",
        "training labels differ (H1: ",
        "H2 (seed 5): ffffffff)",
        "training images differ",
        "H2 (seed 5): unknown)",
        "revisions differ (H1: 01234567; H2 (seed 5): ffffffff+changes)",
        "torch differ (H1: 2.13.0+cpu; H2 (seed 5): 2.99)",
    ):
        assert part in text


def test_a_record_without_such_facts_is_no_error(run: Callable[..., Run]) -> None:
    bare = edited(run("b", "H2"), "run.json", lambda record: record.clear())
    bare = edited(bare, "run.json", lambda record: record.update(data=[1], environment="?"))
    assert "of unknown status" in comparison_notes([run("a", "H1"), bare], by_seed=False)[0]


def test_means_over_different_classes_are_noted(run: Callable[..., Run]) -> None:
    """A class that is in no truth counts in mDice as soon as one pixel of it is predicted."""
    first, second = run("a", "H1"), run("b", "H2")
    for each, spilled in ((first, 0), (second, 9)):
        each.results.matrices[:, 2, :] = each.results.matrices[:, :, 2] = 0
        each.results.matrices[0, 0, 2] = spilled
        each.metrics["metrics"] = published_metrics(each.results)
    (note,) = [note for note in comparison_notes([first, second], False) if "mDice" in note]
    assert note.startswith("mDice and mIoU are means over different numbers of classes")
    assert note.endswith("(H1: 2; H2: 3).")


def test_runs_of_the_factory_differ_in_their_seed_alone(make_run: MakeRun, tmp_path: Path) -> None:
    configs = [
        json.loads((make_run(tmp_path / str(seed), "H1", seed) / "config.json").read_text())
        for seed in (0, 1)
    ]
    assert effective_difference(*configs) == []
