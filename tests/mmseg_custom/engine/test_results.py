"""What a test leaves behind: every file read back, every figure computed again."""

import csv
import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image
from sklearn.metrics import confusion_matrix, f1_score

from seglab.mmseg_custom.engine import result_pictures, testing
from seglab.mmseg_custom.engine.inference import label_map, load_model, predict_batch
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
)
from seglab.mmseg_custom.engine.testing import TestOptions as Options
from seglab.mmseg_custom.engine.testing import TestResult as Outcome
from seglab.mmseg_custom.engine.testing import test as run_test
from seglab.mmseg_custom.engine.training import (
    TrainResult,
    train,
)
from seglab.tools import test as test_tool
from seglab.utils.boundary import boundary_scores
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.image_results import load_results
from seglab.utils.schemas import validate

CLASSES = ("background", "cat", "dog")
FILES = {"test_metrics.json", "per_image.csv", "image_results.npz", "provenance.json"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_config_text: str) -> TrainResult:
    """A run of the tiny network whose figures are not all the same."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "tiny.py").write_text(tiny_config_text)
    init_default_scope("mmseg")
    config = load_config(folder / "tiny.py", ["train_cfg.max_epochs=4"])
    options = TrainOptions(work_dir=folder / "run", device="cpu", seed=5)
    work_dir = choose_work_dir(config, options)
    apply_options(config, options, work_dir)
    return train(config, options, work_dir)


@pytest.fixture(scope="module")
def tested(trained: TrainResult) -> Outcome:
    """That run's best checkpoint, tested on val."""
    config = load_config(trained.work_dir / "config.py")
    command = ["seglab", "test", "--split", "val"]
    options = Options(trained.best_checkpoint, "val", device="cpu", pictures=2, command=command)
    return run_test(config, options)


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty files in place of the general pictures: drawing them takes most of a test's time."""

    def touch(*args: object) -> Path:
        path = next(item for item in args if isinstance(item, Path))
        path.touch()
        return path

    for name in ("confusion_matrix", "reliability_diagram", "metric_distribution"):
        monkeypatch.setattr(result_pictures, f"plot_{name}", touch)


def read(outcome: Outcome, name: str) -> dict[str, object]:
    return json.loads((outcome.output_dir / name).read_text())


def test_every_file_is_there_and_nothing_else(trained: TrainResult, tested: Outcome) -> None:
    assert tested.output_dir == trained.work_dir / "test_val"
    content = read(tested, "test_metrics.json")
    pictures = {path.name for path in tested.pictures}
    assert {path.name for path in tested.output_dir.iterdir()} == FILES | pictures
    assert set(content["pictures"]) == pictures
    general = {"confusion_matrix", "reliability", "distribution", "overview"}
    assert pictures >= {f"val_{name}.png" for name in general}
    assert len([name for name in pictures if name.startswith(("val_best", "val_worst"))]) == 4


def test_the_files_are_as_their_schemas_say(tested: Outcome) -> None:
    for name in ("test_metrics", "provenance"):
        validate(name, read(tested, f"{name}.json"), name)


def test_facts_of_the_test(tested: Outcome) -> None:
    content = read(tested, "test_metrics.json")
    assert content["schema"] == 2 and content["split"] == "val" and content["images"] == 5
    assert tuple(content["classes"]) == CLASSES
    assert content["palette"] == [[0, 0, 0], [230, 159, 0], [86, 180, 233]]
    assert content["ignore_index"] == 255 and content["absent"] == "nan"
    assert content["boundary"] == {"dilation_ratio": 0.02, "tolerance_pixels": 2.0}


def test_figures_are_those_of_the_matrices(tested: Outcome, tiny_data: Path) -> None:
    figures = read(tested, "test_metrics.json")["metrics"]
    results = load_results(tested.output_dir / "image_results.npz")
    assert results.sample_ids == tuple(f"{index:03d}.jpg" for index in range(5))
    total = results.matrices.sum(axis=0).astype(float)
    dice = 200 * np.diag(total) / (total.sum(axis=0) + total.sum(axis=1))
    assert figures["mDice"] == pytest.approx(np.nanmean(dice))
    for name, value in zip(CLASSES, dice, strict=True):
        assert figures[f"Dice/{name}"] == pytest.approx(value)
    assert figures["aAcc"] == pytest.approx(100 * np.trace(total) / total.sum())
    each = []
    for matrix in results.matrices.astype(float):
        size = matrix.sum(axis=0) + matrix.sum(axis=1)
        each.append(np.mean(200 * np.diag(matrix)[size > 0] / size[size > 0]))
    assert figures["image_mean/mDice"] == pytest.approx(np.mean(each))
    assert figures["images/mDice"] == 5
    # Every pixel is in a matrix; the truth is that of the files.
    for sample_id, matrix in zip(results.sample_ids, results.matrices, strict=True):
        mask = np.asarray(Image.open(tiny_data / "labels" / "val" / f"{sample_id[:3]}.png"))
        np.testing.assert_array_equal(matrix.sum(axis=1), np.bincount(mask.ravel(), minlength=3))


def test_figures_are_those_of_the_predictions(
    trained: TrainResult, tested: Outcome, tiny_data: Path
) -> None:
    """Predict again; count with scikit-learn, bin the confidences in a loop."""
    config = load_config(trained.work_dir / "config.py")
    dataset = testing.Runner.build_dataloader(config.val_dataloader).dataset
    model = load_model(config, trained.best_checkpoint, "cpu")
    results = load_results(tested.output_dir / "image_results.npz")
    bins = np.zeros((2, 15, 3))
    truths, predictions = [], []
    for index in range(5):
        output = predict_batch(model, [dataset[index]])[0]
        truth = output.gt_sem_seg.data[0].numpy()
        prediction = label_map(output)
        expected = confusion_matrix(truth.ravel(), prediction.ravel(), labels=[0, 1, 2])
        # Single images are not predicted to the last bit as batches are.
        assert np.abs(results.matrices[index] - expected).sum() <= 8
        contours = boundary_scores(prediction, truth, 3)
        np.testing.assert_allclose(results.boundary.hd95[index], contours.hd95, atol=1.0)
        logits = output.seg_logits.data.double().numpy()
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=0)
        confidence, likeliest = probabilities.max(axis=0), probabilities.argmax(axis=0)
        for conf, best, true in zip(confidence.flat, likeliest.flat, truth.flat, strict=True):
            place = min(math.ceil(conf * 15) - 1, 14)
            for kind in (0, 1) if best or true else (0,):
                bins[kind, place] += (1, conf, best == true)
        truths.append(truth.ravel())
        predictions.append(prediction.ravel())
    f1 = f1_score(np.concatenate(truths), np.concatenate(predictions), average="macro")
    assert tested.metrics["mDice"] == pytest.approx(100 * f1, abs=0.1)
    content = read(tested, "test_metrics.json")
    for kind, key, name in ((0, "ECE", "all"), (1, "ECE/objects", "objects")):
        pixels, confidences, correct = bins[kind].T
        error = 100 * np.abs(confidences - correct).sum() / pixels.sum()
        assert content["metrics"][key] == pytest.approx(error, abs=0.1)
        stored = content["calibration"][name]
        assert len(stored) == 15
        assert sum(row["pixels"] for row in stored) == pixels.sum()
        filled = [row for row in stored if row["pixels"]]
        gaps = [row["pixels"] * abs(row["confidence"] - row["accuracy"]) for row in filled]
        assert content["metrics"][key] == pytest.approx(100 * sum(gaps) / pixels.sum())
        assert all(row["confidence"] is None for row in stored if not row["pixels"])


def test_the_spreadsheet_agrees(tested: Outcome) -> None:
    path = tested.output_dir / "per_image.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig", newline="")))
    results = load_results(tested.output_dir / "image_results.npz")
    assert [row["sample_id"] for row in rows] == list(results.sample_ids)
    dice = [float(row["mDice"]) for row in rows]
    assert np.mean(dice) == pytest.approx(tested.metrics["image_mean/mDice"])
    for row, matrix in zip(rows, results.matrices, strict=True):
        assert int(row["truth_pixels/cat"]) == matrix[1].sum()
        # These images hold one animal each: the other has no value where it was not predicted.
        assert (row["Dice/dog"] == "") == (matrix[2].sum() + matrix[:, 2].sum() == 0)


def test_the_breakdown_covers_every_object(tested: Outcome) -> None:
    breakdown = read(tested, "test_metrics.json")["breakdown"]
    assert sum(row["objects"] for row in breakdown["object_size"]) == 5
    assert sum(row["images"] for row in breakdown["classes_present"]) == 5
    results = load_results(tested.output_dir / "image_results.npz")
    total = results.matrices.sum(axis=0)
    kinds = [row for row in breakdown["error_budget"] if row["truth"] is None]
    assert sum(row["pixels"] for row in kinds) == total.sum() - np.trace(total)


def test_provenance(trained: TrainResult, tested: Outcome, tiny_data: Path) -> None:
    facts = read(tested, "provenance.json")
    stored = json.loads((trained.work_dir / "config.json").read_text())
    canonical = json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert facts["config_sha256"] == hashlib.sha256(canonical.encode()).hexdigest()
    content = trained.best_checkpoint.read_bytes()
    assert facts["checkpoint_sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["seed"] == 5 and facts["device"] == "cpu"
    assert facts["command"] == ["seglab", "test", "--split", "val"]
    data = facts["data"]
    assert data["data_root"] == str(tiny_data) and data["mask_dir"] == "labels"
    assert sorted(data["files"]) == [f"{index:03d}.jpg" for index in range(5)]
    for sample_id, hashes in data["files"].items():
        image = (tiny_data / "img" / "val" / sample_id).read_bytes()
        label = (tiny_data / "labels" / "val" / sample_id.replace("jpg", "png")).read_bytes()
        expected = {"image": image, "label": label}
        assert hashes == {k: hashlib.sha256(v).hexdigest() for k, v in expected.items()}
    # The run trained and was validated on these very files, and says so in the same way.
    val = json.loads((trained.work_dir / "run.json").read_text())["data"]["val"]
    assert (data["images"], data["labels"]) == (val["images_sha256"], val["labels_sha256"])


@pytest.mark.usefixtures("blank_pictures")
def test_figures_on_the_split_that_chose_are_called_optimistic(
    trained: TrainResult, tested: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tested.selected_on == "val"
    assert read(tested, "test_metrics.json")["selected_on"] == "val"
    config = str(trained.work_dir / "config.py")

    def printed(split: str, checkpoint: Path, *more: str) -> str:
        out = tmp_path / f"{split}_{checkpoint.stem}_{len(more)}"
        arguments = ["--config", config, "--checkpoint", str(checkpoint), "--split", split]
        arguments += ["--output-dir", str(out), "--pictures", "0", "--device", "cpu", *more]
        assert test_tool.main(arguments) == 0
        return capsys.readouterr().out

    best, last = trained.best_checkpoint, trained.work_dir / "epoch_4.pth"
    out = printed("val", best)
    assert "the checkpoint was chosen on val: its figures there are optimistic" in out
    assert "ECE" in out and "mHD95 (pixels)" in out
    assert "optimistic" not in printed("test", best)
    assert "optimistic" not in printed("val", last)
    # A config whose test set is its val set: the name does not make it independent.
    same = ["--skip-preflight", "--cfg-options", "test_dataloader.dataset.split=val"]
    assert "chosen on test: its figures there are optimistic" in printed("test", best, *same)


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.parametrize(("key", "lower"), [("Dice/dog", False), ("HD95/dog", True), ("ECE", True)])
def test_ranked_by_any_figure(trained: TrainResult, tmp_path: Path, key: str, lower: bool) -> None:
    config = load_config(trained.work_dir / "config.py")
    options = Options(
        trained.best_checkpoint, "val", tmp_path, device="cpu", pictures=1, rank_by=key
    )
    run_test(config, options)
    rows = list(csv.DictReader((tmp_path / "per_image.csv").open(encoding="utf-8-sig")))
    values = [float(row[key]) for row in rows if row[key]]
    name = key.replace("/", "_")
    (best,) = tmp_path.glob(f"val_best_01_*_{name}_*.png")
    (worst,) = tmp_path.glob(f"val_worst_01_*_{name}_*.png")
    ends = (min(values), max(values)) if lower else (max(values), min(values))
    assert best.stem.endswith(f"{ends[0]:.2f}") and worst.stem.endswith(f"{ends[1]:.2f}")


def test_an_unknown_figure_is_refused_at_once(trained: TrainResult, tmp_path: Path) -> None:
    options = Options(tmp_path / "no.pth", "val", tmp_path / "out", rank_by="Dice/Dog")
    with pytest.raises(UserError, match=r"--rank-by Dice/Dog .*did you mean Dice/dog"):
        run_test(load_config(trained.work_dir / "config.py"), options)


def test_the_command_lines_choices_arrive(
    trained: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    result = Outcome({}, (), tmp_path, [], None)
    monkeypatch.setattr(testing, "test", lambda config, options: seen.append(options) or result)
    monkeypatch.setattr(test_tool, "_summarise", lambda *args: None)
    given = ["--config", str(trained.work_dir / "config.py"), "--checkpoint", "k.pth"]
    assert test_tool.main([*given, "--split", "val"]) == 0
    assert test_tool.main([*given, "--rank-by", "ECE", "--overwrite", "--pictures", "2"]) == 0
    assert [o.split for o in seen] == ["val", "test"]
    assert [o.rank_by for o in seen] == ["mDice", "ECE"]
    assert [o.overwrite for o in seen] == [False, True]
    assert [o.pictures for o in seen] == [5, 2]
    assert [o.output_dir for o in seen] == [None, None]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def again(
    trained: TrainResult, tested: Outcome, tmp_path: Path, blank_pictures: None
) -> Callable[..., Outcome]:
    """Test in a copy of the earlier results' folder."""
    folder = tmp_path / "out"
    shutil.copytree(tested.output_dir, folder)

    def start(checkpoint: Path | None = None, split: str = "val", **options: object) -> Outcome:
        config = load_config(trained.work_dir / "config.py")
        chosen = checkpoint or trained.best_checkpoint
        return run_test(config, Options(chosen, split, folder, device="cpu", **options))

    return start


def test_results_of_another_test_are_not_replaced(
    trained: TrainResult, tmp_path: Path, again: Callable[..., Outcome]
) -> None:
    folder = tmp_path / "out"
    before = snapshot(folder)
    last = trained.work_dir / "epoch_4.pth"
    name = trained.best_checkpoint.name
    with pytest.raises(UserError, match=rf"holds the results of another test \({name} on val\)"):
        again(last)
    with pytest.raises(UserError, match="add --overwrite"):
        again(split="test")
    assert snapshot(folder) == before
    again(pictures=1)  # the same checkpoint on the same split
    again(last, pictures=0, overwrite=True)
    content = json.loads((folder / "provenance.json").read_text())
    assert content["checkpoint"].endswith("epoch_4.pth")
    assert not list(folder.glob("val_best*"))  # those of the other checkpoint


@pytest.mark.parametrize("stage", ["evaluate", "_draw", "save_results", "describe_test"])
def test_a_test_that_fails_leaves_the_earlier_results(
    tmp_path: Path, again: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def fail(*args: object) -> None:
        raise OSError("disk full")

    folder = tmp_path / "out"
    before = snapshot(folder)
    monkeypatch.setattr(testing, stage, fail)
    with pytest.raises(OSError, match="disk full"):
        again(pictures=1)
    assert snapshot(folder) == before


def test_a_kill_while_files_change_places_leaves_no_results(
    tmp_path: Path, again: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, moved = tmp_path / "out", []
    replace = Path.replace

    def stopped_at_the_third(self: Path, target: Path) -> Path:
        if self.parent.name.startswith(".unfinished_") and Path(target).parent == folder:
            moved.append(self.name)
            if len(moved) == 3:
                raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stopped_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        again(pictures=1)
    assert not (folder / "test_metrics.json").exists()
    monkeypatch.undo()
    again(pictures=1)  # what is left is in nobody's way
    assert {path.name for path in folder.iterdir()} >= FILES
