"""Files from strangers in the hands of the programs: nothing runs, nothing leaves its folder."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile import hostile_checkpoint, huge_png, python_that_touches, truncated_jpeg, zip_bomb
from PIL import Image

from seglab.tools.main import main
from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.resume_files import resume_files, write_checked_bytes

Run = Callable[..., tuple[int, str, str]]
REFERENCE = Path(__file__).resolve().parents[2] / "experiments" / "reference"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that exists only if something was executed."""
    return tmp_path / "victim"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_config_text: str) -> Path:
    """A finished tiny run. Do not change it; copy it."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "tiny.py").write_text(tiny_config_text)
    options = ("--config", folder / "tiny.py", "--work-dir", folder / "run", "--device", "cpu")
    assert main(["train", *map(str, options)]) == 0
    return folder / "run"


def best(folder: Path) -> Path:
    return next(folder.glob("best_*.safetensors"))


def refused(code: int, err: str, *words: str) -> None:
    messages = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 2 and "Traceback" not in err and len(messages) == 1, err
    assert all(word in err for word in words), err


@pytest.mark.parametrize("tool", ["test", "predict"])
def test_a_checkpoint_is_unpickled_only_when_it_is_trusted(
    run: Run, trained: Path, tiny_data: Path, tmp_path: Path, victim: Path, tool: str
) -> None:
    weights = load_checkpoint_file(best(trained))["state_dict"]
    path = hostile_checkpoint(tmp_path / "hostile.pth", victim, weights)
    options = ["--config", trained / "config.json", "--checkpoint", path]
    options += ["--output-dir", tmp_path / "out", "--device", "cpu"]
    options += ["--split", "val", "--pictures", 0] if tool == "test" else []
    options += ["--input", tiny_data / "img" / "test"] if tool == "predict" else []
    code, _, err = run(tool, *options)
    refused(code, err, "hostile.pth was refused", "--trust-checkpoint")
    assert not victim.exists() and not (tmp_path / "out").exists()
    code, _, err = run(tool, *options, "--trust-checkpoint")
    assert code == 0 and "WARNING: --trust-checkpoint" in err
    assert victim.exists()  # that is what the option means


def test_the_json_of_a_run_tests_as_its_python_does(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    found = []
    for name in ("config.py", "config.json"):
        out = tmp_path / name
        options = ("--checkpoint", best(trained), "--split", "val", "--pictures", 0)
        code, _, err = run("test", "--config", trained / name, *options, "--output-dir", out)
        assert code == 0, err
        metrics = json.loads((out / "test_metrics.json").read_text())["metrics"]
        found.append((metrics, json.loads((out / "provenance.json").read_text())["config_sha256"]))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("place", "words"),
    [("model", "os.system is not in the"), ("dataset", "os.system is not in the"),
     ("collate_fn", "first argument must be callable")],  # called with a batch it would fail anyhow
)  # fmt: skip
def test_a_config_names_no_functions(
    run: Run, trained: Path, tmp_path: Path, victim: Path, place: str, words: str
) -> None:
    content = json.loads((trained / "config.json").read_text())
    bait = {"type": "os.system", "command": f"touch {victim}"}
    (content if place == "model" else content["val_dataloader"])[place] = bait
    (tmp_path / "config.json").write_text(json.dumps(content))
    code, _, err = run(
        "test", "--config", tmp_path / "config.json", "--checkpoint", best(trained), "--split",
        "val", "--output-dir", tmp_path / "out", "--skip-preflight",
    )  # fmt: skip
    assert code != 0 and words in err and not victim.exists(), err


def test_a_run_that_is_resumed_runs_neither_its_config_nor_its_state(
    run: Run, trained: Path, tmp_path: Path, victim: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    with (folder / "config.py").open("a") as stream:
        stream.write(python_that_touches(victim))
    for path in resume_files(folder):
        state = load_checkpoint_file(path)
        text = python_that_touches(victim)
        state["meta"] = {**state["meta"], "config": text, "cfg": text}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_checked_bytes(path, buffer.getvalue())  # the stranger can compute a checksum
    code, _, err = run(
        "train", "--config", folder / "config.json", "--work-dir", folder, "--resume",
        "--device", "cpu", "--cfg-options", "train_cfg.max_epochs=3",
    )  # fmt: skip
    assert code == 0, err
    assert len((folder / "history.jsonl").read_text().splitlines()) == 3
    assert not victim.exists()


def test_every_image_that_would_hurt_is_named_at_once(
    run: Run, trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    shutil.copytree(tiny_data, root)
    huge_png(root / "img" / "val" / "huge.jpg")
    truncated_jpeg(root / "img" / "val" / "torn.jpg")
    (root / "img" / "val" / "endless.jpg").symlink_to("/dev/zero")
    for name in ("huge", "torn", "endless"):
        shutil.copyfile(
            root / "labels" / "val" / "000.png", root / "labels" / "val" / f"{name}.png"
        )
    config = ("--config", trained / "config.json")
    names = ("huge.jpg", "torn.jpg", "endless.jpg")
    code, _, err = run("check", *config, "--data-root", root)
    refused(code, err, *names, "more than 100 megapixels")
    code, _, err = run(
        "predict", *config, "--checkpoint", best(trained), "--input", root / "img" / "val",
        "--output-dir", tmp_path / "out",
    )  # fmt: skip
    refused(code, err, "3 of 8 images", *names)
    assert not (tmp_path / "out").exists()
    code, _, err = run("eda", "--data_root", root, "--split", "val", "--output_dir", tmp_path / "e")
    assert "Traceback" not in err


def test_no_prediction_leaves_through_a_link(run: Run, trained: Path, tmp_path: Path) -> None:
    photos, out, outside = (tmp_path / name for name in ("photos", "out", "outside"))
    for folder in (photos / "sub", out / "masks", outside):
        folder.mkdir(parents=True)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(photos / "sub" / "x.jpg")
    (out / "masks" / "sub").symlink_to(outside)
    code, _, err = run(
        "predict", "--config", trained / "config.json", "--checkpoint", best(trained),
        "--input", photos, "--output-dir", out,
    )  # fmt: skip
    refused(code, err, "through a link")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("key", ["hypothesis_name", "work_dir", "visualizer.save_dir"])
def test_a_strangers_config_decides_not_where_a_training_writes(
    run: Run, trained: Path, tmp_path: Path, key: str
) -> None:
    content = json.loads((trained / "config.json").read_text())
    node, (*above, last) = content, key.split(".")
    for step in above:
        node = node[step]
    node[last] = str(tmp_path / "outside" / "x")
    (tmp_path / "config.json").write_text(json.dumps(content))
    named = ("--work-dir", tmp_path / "run") if above else ()
    code, _, err = run("train", "--config", tmp_path / "config.json", "--device", "cpu", *named)
    refused(code, err, str(tmp_path / "outside"))
    assert not (tmp_path / "outside").exists()


def test_the_python_that_is_kept_of_a_run_runs_nothing_of_its_json(
    run: Run, trained: Path, tmp_path: Path, victim: Path
) -> None:
    content = json.loads((trained / "config.json").read_text())
    content["norm_cfg"] = {f"a': __import__('os').system('touch {victim}'), 'b": 1}
    content["train_cfg"]["max_epochs"] = 1
    (tmp_path / "config.json").write_text(json.dumps(content))
    folder = tmp_path / "run"
    code, _, err = run(
        "train", "--config", tmp_path / "config.json", "--work-dir", folder, "--device", "cpu"
    )
    assert code == 0, err
    kept = (folder / "config.py", *folder.glob("*/vis_data/config.py"))
    assert len(kept) == 2
    for path in kept:
        assert run("show-config", "--config", path)[0] == 0
    assert not victim.exists()


def test_a_strangers_run_is_compared_as_data(run: Run, tmp_path: Path, victim: Path) -> None:
    for name in ("lite", "lite_flip_only"):
        shutil.copytree(REFERENCE / name, tmp_path / name)
        (tmp_path / name / "config.py").write_text(python_that_touches(victim))
    options = ("--runs", tmp_path / "lite", tmp_path / "lite_flip_only", "--split", "val")
    out = ("--resamples", 1000, "--output-dir", tmp_path / "out")
    code, _, err = run("compare", *options, *out)
    assert code == 0, err
    zip_bomb(tmp_path / "lite" / "test_val" / "image_results.npz", "matrices.npy", megabytes=200)
    code, _, err = run("compare", *options, *out)
    refused(code, err, "image_results.npz", "zip bomb")
    assert not victim.exists()
