"""An exported run can be compared as the run itself, and tells nothing of its machine."""

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from seglab.analysis.anonymise import has_absolute_path
from seglab.analysis.export import export_run
from seglab.analysis.run_folder import load_run
from seglab.utils.config_diff import effective_difference
from seglab.utils.errors import UserError
from seglab.utils.image_results import load_results, published_metrics, save_results
from seglab.utils.io_utils import read_json, write_json
from seglab.utils.lab_scores import honest_figures
from seglab.utils.result_files import LAB_SCORES_FILE, METRICS_FILE, PROVENANCE_FILE

MakeRun = Callable[..., Path]
TEXTS = {".json", ".jsonl", ".py", ".csv"}


@pytest.fixture
def trained(make_run: MakeRun, tmp_path: Path) -> Path:
    """A run as training and testing leave it: with weights, photographs, logs and paths."""
    folder = make_run(tmp_path / "my runs" / "h1", "H1", seed=2)
    for name in (
        "best_val_mDice_epoch_3.safetensors", "epoch_3.pth", "training_curves.png",
        "last_checkpoint",
        "20260102_030405/20260102_030405.log",
        *(f"test_val/val_{chart}.png" for chart in ("confusion_matrix", "reliability")),
        "test_val/val_overview.png", "test_val/val_best_01_a_mDice_99.00.png",
        "test_val_other/test_metrics.json",
    ):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"/home/alice/secret")
    metrics = read_json(folder / "test_val" / METRICS_FILE)
    metrics["pictures"] = ["val_confusion_matrix.png", "val_overview.png"]
    write_json(folder / "test_val" / METRICS_FILE, metrics)
    root = json.dumps(str(tmp_path / "my runs" / "data"))
    (folder / "config.py").write_text(
        f"data_root = {root}\nload_from = '/home/alice/weights/a.pth'\nsize = (64, 64)\n"
    )
    record = read_json(folder / "run.json")
    record["sessions"][0]["command"] += ["--pretrained=/home/alice/w.pth", "runs/alice/x"]
    write_json(folder / "run.json", record)
    return folder


def test_the_light_form_is_complete_and_light(trained: Path, tmp_path: Path) -> None:
    target = tmp_path / "reference" / "h1"
    paths = export_run(trained, target)
    assert [path.relative_to(target).as_posix() for path in paths] == [
        "config.json", "config.py", "history.jsonl", "run.json", "test_val/image_results.npz",
        "test_val/per_image.csv", "test_val/provenance.json", "test_val/test_metrics.json",
        "test_val/val_confusion_matrix.png", "test_val/val_reliability.png", "training_curves.png",
    ]  # fmt: skip
    assert sorted(tmp_path.glob("reference/*")) == [target]  # nothing is left beside it
    assert read_json(target / "test_val" / METRICS_FILE)["pictures"] == ["val_confusion_matrix.png"]


def test_it_is_the_same_run(trained: Path, tmp_path: Path) -> None:
    export_run(trained, tmp_path / "out")
    before, after = load_run(trained, "val"), load_run(tmp_path / "out", "val")
    assert (after.id, after.seed, after.history) == (before.id, before.seed, before.history)
    assert after.figures == before.figures and after.file_hashes == before.file_hashes
    assert (after.results.matrices == before.results.matrices).all()
    assert published_metrics(after.results) == pytest.approx(after.figures, nan_ok=True)
    assert effective_difference(before.config, after.config) == []
    for name in ("checkpoint_sha256", "config_sha256", "environment", "git_revision"):
        assert after.provenance[name] == before.provenance[name]


def test_no_path_and_no_name_of_the_machine_is_left(trained: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    for path in export_run(trained, target):
        content = path.read_bytes()
        if path.suffix == ".npz":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = b"".join(archive.read(name) for name in archive.namelist())
        if path.suffix != ".png":
            assert b"alice" not in content and str(tmp_path).encode() not in content, path
        if path.suffix in TEXTS:
            lines = content.decode("utf-8-sig").splitlines()
            assert [line for line in lines if has_absolute_path(line)] == [], path
    config = read_json(target / "config.json")
    assert config["val_dataloader"]["dataset"]["data_root"] == "DATA_ROOT"
    text = (target / "config.py").read_text()
    assert text == "data_root = 'DATA_ROOT'\nload_from = 'a.pth'\nsize = (64, 64)\n"
    command = read_json(target / "run.json")["sessions"][0]["command"]
    assert command == [
        "seglab", "train", "--work-dir", "h1", "--pretrained=w.pth", "runs/USER/x"
    ]  # fmt: skip
    provenance = read_json(target / "test_val" / PROVENANCE_FILE)
    assert provenance["data"]["data_root"] == "DATA_ROOT"
    assert provenance["checkpoint"] == "best_val_mDice_epoch_3.safetensors"


def test_every_tested_split_is_taken(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", "H1", split="val")
    other = make_run(tmp_path / "b", "H1", split="test", images=5)
    (other / "test_test").rename(folder / "test_test")
    export_run(folder, tmp_path / "out")
    assert len(load_run(tmp_path / "out", "test").results.sample_ids) == 5
    assert len(load_run(tmp_path / "out", "val").results.sample_ids) == 24


def test_nothing_is_overwritten(trained: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine").write_text("x")
    with pytest.raises(UserError, match="never overwrites"):
        export_run(trained, target)
    assert [path.name for path in target.iterdir()] == ["mine"]
    (target / "mine").unlink()
    assert export_run(trained, target)  # an empty folder is free
    with pytest.raises(UserError, match="never overwrites"):
        export_run(trained, target)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="never overwrites"):
        export_run(trained, tmp_path / "file")


@pytest.mark.parametrize("name", ["config.json", "test_val/image_results.npz"])
def test_a_damaged_run_leaves_nothing(name: str, trained: Path, tmp_path: Path) -> None:
    (trained / name).write_bytes(b"{")
    with pytest.raises(UserError, match=Path(name).name):
        export_run(trained, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stored_config_that_is_not_python(trained: Path, tmp_path: Path) -> None:
    (trained / "config.py").write_text("a = (")
    with pytest.raises(UserError, match="config.py is not Python"):
        export_run(trained, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_an_untested_or_missing_run_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", "H1", tested=False)
    with pytest.raises(UserError, match="tested on no split") as caught:
        export_run(folder, tmp_path / "out")
    assert "seglab test" in caught.value.fix
    with pytest.raises(UserError, match="run folder not found"):
        export_run(tmp_path / "none", tmp_path / "out")


def test_samples_that_go_by_paths_of_the_machine_are_refused(
    make_run: MakeRun, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "a", "H1")
    test = folder / "test_val"
    results = load_results(test / "image_results.npz")
    names = tuple(f"/home/alice/{name}" for name in results.sample_ids)
    save_results(test / "image_results.npz", dataclasses.replace(results, sample_ids=names))
    provenance = read_json(test / PROVENANCE_FILE)
    files = provenance["data"]["files"]
    provenance["data"]["files"] = {f"/home/alice/{name}": item for name, item in files.items()}
    write_json(test / PROVENANCE_FILE, provenance)
    with pytest.raises(UserError, match="24 samples go by absolute paths"):
        export_run(folder, tmp_path / "out")


@pytest.mark.parametrize("folder", ["alice", "cats (1)", "a, b"])
def test_samples_keep_the_names_they_have_in_the_matrices(
    folder: str, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "alice")
    source = make_run(tmp_path / "a", "H1", images=3)
    test = source / "test_val"
    results = load_results(test / "image_results.npz")
    names = tuple(f"{folder}/{index}.jpg" for index in range(3))
    save_results(test / "image_results.npz", dataclasses.replace(results, sample_ids=names))
    provenance = read_json(test / PROVENANCE_FILE)
    hashes = provenance["data"]["files"].values()
    provenance["data"]["files"] = dict(zip(names, hashes, strict=True))
    write_json(test / PROVENANCE_FILE, provenance)
    export_run(source, tmp_path / "out")
    assert load_run(tmp_path / "out", "val").file_hashes == load_run(source, "val").file_hashes


def put_lab_scores(folder: Path) -> Path:
    """Scores that fit the test of a run; gives their file."""
    metrics = read_json(folder / "test_val" / METRICS_FILE)
    row = {
        "id": "ours", "split": "val", "images": metrics["images"], "augmented": False,
        "border": "ignore", "size": "photograph", "average": "split",
        **honest_figures(metrics["metrics"], "cat"),
    }  # fmt: skip
    content = {
        "schema": 1, "class": "cat", "threshold": 0.5, "seed": 0, "batch_size": 4,
        "checkpoint_sha256": "0" * 64, "augmentation": [],
        "rows": [row, {**row, "id": "lab", "average": "batches"}],
    }  # fmt: skip
    return write_json(folder / "test_val" / LAB_SCORES_FILE, content)


def test_the_labs_scores_are_taken(trained: Path, tmp_path: Path) -> None:
    before = put_lab_scores(trained).read_bytes()
    export_run(trained, tmp_path / "out")
    assert (tmp_path / "out" / "test_val" / LAB_SCORES_FILE).read_bytes() == before


def test_the_labs_scores_of_another_test_are_refused(trained: Path, tmp_path: Path) -> None:
    path = put_lab_scores(trained)
    scores = read_json(path)
    scores["rows"][0]["IoU"] += 1
    write_json(path, scores)
    with pytest.raises(UserError, match="lab_scores.json is of another test"):
        export_run(trained, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["training_curves.png", "test_val/val_reliability.png"])
def test_a_link_takes_no_file_of_the_machine_along(
    trained: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "id_rsa").write_text("a key")
    (trained / name).unlink()
    (trained / name).symlink_to(tmp_path / "id_rsa")
    with pytest.raises(UserError, match=f"{Path(name).name} is a link that leads out"):
        export_run(trained, tmp_path / "out")
    assert not (tmp_path / "out").exists()
