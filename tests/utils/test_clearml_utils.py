"""Reporting to a real `clearml.Task`, in offline mode and without a server."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.utils.clearml_utils import split_key

PROGRAM = """
import math, sys
from pathlib import Path
import numpy as np
from clearml import OutputModel
from seglab.utils import clearml_utils as utils
from seglab.utils.errors import UserError

folder = Path(sys.argv[1])
task = utils.init_clearml_task("by hand", tags=("a", "b"), task_type="testing", offline=True)
utils.set_script(
    task, repository="https://h/r.git", branch="b", commit="c", diff="d", working_dir=".",
    entry_point="train.py",
)
utils.set_script(
    task, repository="https://h/r.git", branch="b", commit="c2", diff="", working_dir=".",
    entry_point="train.py",
)
utils.log_metrics(task, {"loss": np.float32(0.5), "val/Dice/dog": 80, "nan": math.nan}, np.int64(3))
utils.log_images(task, {"file": folder / "a.png", "array": np.zeros((8, 8, 3), np.uint8)}, 3)
utils.log_table(task, "t", "s", 3, ("a", "b"), (("x", None),))
utils.log_confusion_matrix(task, "c", "s", 3, ("a", "b"), ((28311553, 0), (1, 2)))
utils.log_model(task, folder / "best.pth", {"epoch": "3"})
try:
    utils.log_model(task, folder / "gone.pth", {})
except UserError as error:
    print("REFUSED", error)
try:
    OutputModel(task=task).update_weights(str(folder / "best.pth"))
except AttributeError as error:
    print("TRAP", error)
task.close()
print("FOLDER", task.get_offline_mode_folder())
"""


def run(program, environment, *arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An environment without any settings of ClearML."""
    home = tmp_path_factory.mktemp("home")
    return {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        "HOME": str(home),
        "CLEARML_CACHE_DIR": str(home / "cache"),
    }


@pytest.fixture(scope="module")
def reported(plain, tmp_path_factory):
    """What PROGRAM reported: its output, the task, and its events."""
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(folder / "a.png")
    (folder / "best.pth").write_bytes(b"weights")
    done = run(PROGRAM, plain, folder)
    assert done.returncode == 0, done.stderr
    session = Path(done.stdout.rpartition("FOLDER ")[2].strip())
    lines = (session / "metrics.jsonl").read_text().splitlines()
    events = [event for line in lines for event in json.loads(line)]
    return done.stdout, json.loads((session / "task.json").read_text()), events, folder


def test_the_task_is_as_asked(reported):
    _, task, _, _ = reported
    assert (task["name"], task["type"]) == ("by hand", "testing")
    assert task["project_name"] == "practicum_segmentation"
    assert sorted(task["tags"]) == ["a", "b"]
    assert task["script"]["version_num"] == "c2"
    assert task["script"]["entry_point"] == "train.py"
    assert "hyperparams" not in task


def test_metrics_go_to_their_titles_and_numbers_that_are_none_nowhere(reported):
    _, _, events, _ = reported
    scalars = [e for e in events if e["type"] == "training_stats_scalar"]
    assert [(e["metric"], e["variant"], e["iter"], e["value"]) for e in scalars] == [
        ("loss", "loss", 3, 0.5),
        ("val/Dice", "dog", 3, 80.0),
    ]


def test_images_tables_and_matrices(reported):
    _, _, events, folder = reported
    images = {e["variant"]: e for e in events if e["type"] == "training_debug_image"}
    assert set(images) == {"file", "array"}
    assert Path(images["file"]["url"]).read_bytes() == (folder / "a.png").read_bytes()
    assert (np.array(Image.open(images["array"]["url"])) == 0).all()
    table, matrix = [json.loads(e["plot_str"])["data"][0] for e in events if e["type"] == "plot"]
    assert table["cells"]["values"] == [["x"], [""]]
    assert matrix["z"] == [[28311553, 0], [1, 2]]


def test_a_model_is_an_artifact_because_offline_models_fail(reported):
    output, task, _, folder = reported
    (artifact,) = task["execution"]["artifacts"]
    assert artifact["key"] == "model"
    assert artifact["hash"] == hashlib.sha256(b"weights").hexdigest()
    assert artifact["display_data"] == [["epoch", "3"]]
    assert f"REFUSED there is no file {folder / 'gone.pth'}" in output
    assert "TRAP" in output, "the SDK can do it now: log_model could use OutputModel"


def test_without_a_server_the_mistake_is_told_at_once(plain):
    program = """
        from seglab.utils.clearml_utils import init_clearml_task
        from seglab.utils.errors import UserError
        try:
            init_clearml_task("x")
        except UserError as error:
            print("TOLD", error)
    """
    done = run(program, plain)
    assert "TOLD ClearML has no server to send to" in done.stdout, done.stderr
    assert "clearml-init" in done.stdout


def test_without_the_sdk_the_mistake_is_told(plain):
    program = """
        import sys
        sys.modules["clearml"] = None
        from seglab.utils.clearml_utils import init_clearml_task
        from seglab.utils.errors import UserError
        try:
            init_clearml_task("x", offline=True)
        except UserError as error:
            print("TOLD", error)
    """
    assert "TOLD ClearML cannot be imported" in run(program, plain).stdout


def test_the_sdk_is_not_imported_before_it_is_needed(plain):
    program = "import sys, seglab.utils.clearml_utils; print('clearml' in sys.modules)"
    assert run(program, plain).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("key", "title", "series"),
    [
        ("val/Dice/dog", "val/Dice", "dog"),
        ("val/mDice", "val", "mDice"),
        ("loss", "loss", "loss"),
        ("decode.loss_ce", "loss", "decode.loss_ce"),
        ("lr", "lr", "lr"),
        ("base_lr", "lr", "base_lr"),
        ("time", "time", "time"),
        ("data_time", "data_time", "data_time"),
        ("memory", "memory", "memory"),
        ("val/", "val/", "val/"),
        ("/x", "/x", "/x"),
    ],
)
def test_keys_are_split_into_title_and_series(key, title, series):
    assert split_key(key) == (title, series)
