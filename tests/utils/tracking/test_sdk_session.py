"""Sessions that are not whole, or not to be trusted."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign_session import rewrite

from seglab.utils.errors import UserError
from seglab.utils.tracking.sdk_session import SdkSession
from seglab.utils.tracking.session_summary import summarise


def with_field(name: str, value: object) -> Callable[[bytes], bytes]:
    """Changes a field of a `task.json`."""
    return lambda content: json.dumps({**json.loads(content), name: value}).encode()


def link(archive: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("data/link")
    member.external_attr = 0o120777 << 16
    archive.writestr(member, "/etc/passwd")


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda archive: archive.writestr("../outside", "x"), "'../outside' leads out"),
        (lambda archive: archive.writestr("/etc/cron.d/x", "x"), "leads out"),
        (lambda archive: archive.writestr("C:\\x", "x"), "leads out"),
        (lambda archive: archive.writestr("data\\..\\..\\x", "x"), "leads out"),
        (link, "'data/link' is a link"),
        (lambda archive: archive.writestr("data/bomb", bytes(70 << 20)), "zip bomb"),
    ],
)
def test_a_zip_that_is_a_trap(add, message, foreign_zip, tmp_path) -> None:
    path = Path(shutil.copy(foreign_zip, tmp_path))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        add(archive)
    with pytest.raises(UserError, match=re.escape(message)):
        SdkSession(path)


def test_a_zip_that_was_cut_off(foreign_zip, tmp_path) -> None:
    path = tmp_path / "cut.zip"
    content = foreign_zip.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cut.zip is no whole zip"):
        SdkSession(path)


def test_a_zip_whose_content_is_damaged(foreign_zip, tmp_path) -> None:
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(rewrite(foreign_zip, path)) as archive:
        start = archive.getinfo("metrics.jsonl").header_offset
    content = bytearray(path.read_bytes())
    content[start + 5000 : start + 5010] = b"X" * 10
    path.write_bytes(content)
    with pytest.raises(UserError, match="metrics.jsonl, line 1"):
        summarise(SdkSession(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics_jsonl": lambda c: c[:-40]}, "metrics.jsonl breaks off in the middle of line"),
        ({"metrics_jsonl": lambda c: b"{}\n" + c}, "line 1 is not what ClearML writes"),
        ({"metrics_jsonl": lambda c: b"nonsense\n" + c}, "line 1 is no JSON"),
        ({"metrics_jsonl": lambda c: b'[{"task": 3}]\n' + c}, "line 1 is not what"),
        ({"task_json": lambda c: c[:-40]}, "task.json is damaged"),
        ({"task_json": lambda c: b"[]"}, "task.json is not what ClearML writes"),
        ({"task_json": lambda c: b"[" * 100_000}, "task.json is damaged"),
        ({"task_json": lambda c: c.replace(b"/weights.pth", b"/gone.pth")}, "artifact weights is"),
        ({"task_json": with_field("execution", 3)}, "execution is not what ClearML writes"),
        ({"task_json": with_field("execution", {"artifacts": [{"key": 7}]})}, "execution is"),
        ({"task_json": with_field("tags", [1, {"a": 2}])}, "tags is"),
        ({"task_json": with_field("type", ["training"])}, "type is"),
        ({"task_json": with_field("hyperparams", {"a": {"b": 5}})}, "hyperparams is"),
        ({"task_json": with_field("configuration", {"a": "b"})}, "configuration is"),
        ({"task_json": with_field("script", "train.py")}, "script is"),
        ({"task_json": with_field("id", "")}, "task.json is not"),
    ],
)
def test_a_session_that_is_half_written(changes, message, foreign_zip, tmp_path) -> None:
    path = rewrite(foreign_zip, tmp_path / "half.zip", **changes)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        summarise(SdkSession(path))
    assert "half.zip" in str(caught.value)


def test_names_that_no_file_can_have(foreign_zip, tmp_path) -> None:
    with zipfile.ZipFile(foreign_zip) as archive:
        archive.extractall(tmp_path)
    source = SdkSession(tmp_path).source
    assert source.size("data/a\0b") is None
    assert source.size("data/" + "a" * 5000) is None


def test_a_full_disk_is_not_the_sessions_fault(foreign_zip, monkeypatch) -> None:
    def full(*args):
        raise OSError(28, "No space left on device")

    session = SdkSession(foreign_zip)
    monkeypatch.setattr("seglab.utils.tracking.sdk_session.shutil.copyfileobj", full)
    with (
        pytest.raises(UserError, match="no room to unpack 'task.json'") as caught,
        session.source.local("task.json"),
    ):
        pass
    assert "TMPDIR" in caught.value.fix


def test_a_folder_without_a_task(tmp_path) -> None:
    with pytest.raises(UserError, match="holds no task.json"):
        SdkSession(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        SdkSession(tmp_path / "nothing")
