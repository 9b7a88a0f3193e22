"""What a curation session refuses, before FiftyOne is even imported."""

import importlib.util
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data import audit, curate
from seglab.data.curation import fiftyone_start
from seglab.utils.errors import UserError


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refusals")
    for part in ("img/train", "labels/train"):
        (folder / "data" / part).mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (20, 20)).save(folder / f"data/img/train/{name}.jpg")
        Image.fromarray(np.eye(20, dtype=np.uint8)).save(folder / f"data/labels/train/{name}.png")
    command = ["--data-root", str(folder / "data"), "--output-dir", str(folder / "out")]
    assert audit.main(command) == 0
    return folder


@pytest.fixture
def session(audited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run with a copy of the data; the message it is refused with."""
    shutil.copytree(audited, tmp_path / "copy")
    monkeypatch.setattr(fiftyone_start, "require_fiftyone", lambda: None)
    monkeypatch.setattr(fiftyone_start, "start_fiftyone", lambda folder: pytest.fail("started"))
    monkeypatch.chdir(tmp_path / "copy")

    def refused(*more: object) -> str:
        command = ["--data_root", "data", "--database", str(tmp_path / "db"), "--no-app"]
        with pytest.raises(UserError) as caught:
            curate.main([*command, *map(str, more)])
        assert caught.value.fix
        return str(caught.value)

    return refused


def test_damaged_audits(session: Callable[..., str]) -> None:
    command = ("--audit", "out/audit.json")
    whole = Path("out/audit.json").read_text()
    for text, words in (
        (whole[:-20], "not valid JSON"),
        ("[]", "no audit of schema 1"),
        (whole.replace('"schema": 1', '"schema": 7'), "no audit of schema 1"),
        (whole.replace('"split"', '"spilt"'), "'split' is a required property"),
        (whole.replace('"rank": 2', '"rank": "2"'), "ranking[1].rank"),
        (whole.replace("labels/train/a.png", "../labels/train/a.png"), "leads upwards"),
        (whole.replace("labels/train/a.png", "/labels/train/a.png"), "is absolute"),
        (whole.replace("labels/train/a.png", "labels/train/b.png"), "it lists a mask twice"),
        (whole.replace('"a.jpg"', '"../../../a.jpg"'), "leads upwards"),
    ):
        Path("out/audit.json").write_text(text)
        assert words in session(*command)
    assert "cannot read" in session("--audit", "none.json")


def test_audits_of_other_masks(session: Callable[..., str]) -> None:
    Image.fromarray(np.ones((20, 20), np.uint8)).save("data/labels/train/a.png")
    Path("data/labels/train/b.png").unlink()
    Path("data/img/train/c.jpg").unlink()
    message = session("--audit", "out/audit.json")
    assert "(3 faults)" in message
    assert "'labels/train/a.png' has changed since the audit" in message
    assert "'labels/train/b.png': no such file" in message
    assert "'img/train/c.jpg': no such file" in message
    assert "--split val" in session("--audit", "out/audit.json", "--split", "val")


def test_masks_that_cannot_be_shown(session: Callable[..., str]) -> None:
    Image.new("RGB", (20, 20)).save("data/labels/train/a.png")
    Path("data/labels/train/b.png").write_bytes(b"torn")
    Image.new("L", (20, 30)).save("data/labels/train/c.png")
    message = session()
    assert "(3 faults)" in message
    assert "not one 8-bit channel (mode RGB)" in message
    assert "'labels/train/b.png' cannot be read" in message
    assert "differ in size: 20x20 and 20x30" in message
    shutil.copytree("data/img/train", "data/img/val")
    shutil.copytree("data/labels/train", "data/labels/val")
    assert "names 2 splits" in session("--split", "all")
    assert "unknown split 'test'" in session("--split", "test")
    Path("data/labels/train/c.png").unlink()
    assert "train/c.jpg has no mask" in session()


def test_masks_that_no_list_could_name(session: Callable[..., str]) -> None:
    """They would be refused when a person has tagged them all."""
    shutil.copytree("data/labels", "outside")
    shutil.copy("data/img/train/a.jpg", "data/img/train/a.png")
    assert "a.jpg and img/train/a.png share the mask labels/train/a.png" in session()
    Path("data/img/train/a.png").unlink()
    assert "leads upwards" in session("--mask-dir", "../outside")
    assert "is absolute" in session("--mask-dir", Path("outside").absolute())
    Path("data/links").symlink_to(Path("outside").absolute())
    assert "through a link" in session("--mask-dir", "links")


def test_a_dataset_is_found_again_however_its_folders_are_written(tmp_path: Path) -> None:
    def name(*more: str) -> str:
        args = curate.build_parser().parse_args(["--data_root", str(tmp_path), *more])
        return curate.dataset_name(args, tmp_path)

    assert name() == name("--mask-dir", "labels/") == name("--split", "./train")
    assert len({name(), name("--mask-dir", "labels_sam2"), name("--split", "val")}) == 3
    assert "/" not in name("--split", "a/b", "--mask-dir", "x/y")


def test_arguments(session: Callable[..., str], tmp_path: Path) -> None:
    message = session("--data_root", "none", "--tag-top", "3")
    assert "none is no folder" in message
    assert "--tag-top needs --audit" in message
    assert "-1 is no number" in session("--tag-top", "-1")
    Path("list.json").write_text("{}")
    assert "list.json is there already" in session("--export", "list.json")
    assert "is a folder" in session("--export", "out", "--overwrite")
    assert "is a file" in session("--database", "list.json")


@pytest.mark.parametrize("port", [0, 70000])
def test_ports_that_are_none(port: int) -> None:
    with pytest.raises(UserError, match="from 1 to 65535"):
        fiftyone_start.require_port(port)


def test_a_busy_port(audited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fiftyone_start, "require_fiftyone", lambda: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = ["--data_root", str(audited / "data"), "--database", str(tmp_path)]
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 cannot be used"):
            curate.main([*command, "--port", str(port)])


def test_without_the_extra(audited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["--data_root", str(audited / "data"), "--database", str(tmp_path / "db")]
    empty = importlib.util.spec_from_loader("fiftyone", None, is_package=True)
    assert empty is not None
    empty.submodule_search_locations = [str(tmp_path)]
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for spec, words in ((None, "FiftyOne is not installed"), (empty, "without its database")):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, spec=spec: spec)
        with pytest.raises(UserError, match=words) as caught:
            curate.main(command)
        assert "make curation" in str(caught.value)
        assert "audit.html" in str(caught.value)
    assert not (tmp_path / "db").exists()


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from seglab.data import curate; curate.build_parser().format_help();"
        "print([m for m in ('fiftyone', 'numpy', 'PIL', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
