"""The checkout as git knows it, on real repositories."""

import subprocess
from pathlib import Path

import pytest

from seglab.utils.tracking.git_state import LONGEST_DIFF, recorded_script, script_entry


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    root = tmp_path / "checkout"
    (root / "src" / "tools").mkdir(parents=True)
    (root / "src" / "tools" / "train.py").write_text("print(1)\n")
    git(root, "init", "--initial-branch", "main")
    git(root, "add", ".")
    git(root, "commit", "-m", "first")
    return root


def test_commit_branch_and_address_without_credentials(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", "https://me:topsecret@example.org/a/b.git")
    script = script_entry("train", ["/usr/bin/seglab", "train"], checkout)
    assert script.repository == "https://example.org/a/b.git"
    assert (script.branch, script.commit) == ("main", git(checkout, "rev-parse", "HEAD"))
    assert (script.diff, script.working_dir) == ("", ".")
    assert script.entry_point == "src/tools/train.py"


def test_changes_of_tracked_files_can_be_applied_again(checkout: Path, tmp_path: Path) -> None:
    (checkout / "src" / "tools" / "train.py").write_text("print(2)\n")
    (checkout / "private.txt").write_text("not tracked")
    diff = script_entry("train", (), checkout).diff
    assert "private" not in diff
    git(tmp_path, "clone", str(checkout), "other")
    (tmp_path / "changes").write_text(diff)
    git(tmp_path / "other", "apply", str(tmp_path / "changes"))
    assert (tmp_path / "other" / "src" / "tools" / "train.py").read_text() == "print(2)\n"


def test_an_added_secret_does_not_leave(checkout: Path) -> None:
    path = checkout / "src" / "tools" / "train.py"
    path.write_text('URL = "https://me:topsecret@example.org"\nprint(1)\n')
    diff = script_entry("train", (), checkout).diff
    assert "+URL" in diff and "topsecret" not in diff


def test_too_many_changes_are_not_half_recorded(checkout: Path) -> None:
    path = checkout / "src" / "tools" / "train.py"
    path.write_text("x = 1\n" * (LONGEST_DIFF // 6))
    diff = script_entry("train", (), checkout).diff
    assert diff.startswith("# ") and len(diff) < 200 and "not recorded" in diff


def test_a_detached_head_has_no_branch_and_another_remote_is_taken(checkout: Path) -> None:
    git(checkout, "checkout", "--detach")
    git(checkout, "remote", "add", "fork", "git@example.org:a/b.git")
    script = script_entry("test", ["src/tools/nowhere.py"], checkout)
    assert (script.branch, script.repository) == ("", "git@example.org:a/b.git")
    assert script.entry_point == "src/tools/test.py"


def test_outside_git_and_before_the_first_commit(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "new").mkdir()
    git(tmp_path / "new", "init")
    for root in (tmp_path / "new", tmp_path / "plain", tmp_path / "absent"):
        script = script_entry("train", (), root)
        known = (script.repository, script.branch, script.commit, script.diff)
        # A folder below some other checkout is that checkout's; pytest's are below none.
        assert known == ("", "", "", "")


def test_the_program_is_named_as_it_was_started(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "mine.py").touch()
    monkeypatch.chdir(checkout)
    assert script_entry("train", ["mine.py"], checkout).entry_point == "mine.py"
    absolute = [str(checkout / "mine.py")]
    assert script_entry("train", absolute, checkout).entry_point == "mine.py"
    assert script_entry("train", ["/etc/mine.py"], checkout).entry_point == "src/tools/train.py"


def test_an_earlier_run_has_what_its_record_says() -> None:
    script = recorded_script("train", [], "abc+changes")
    assert script.commit == "abc" and script.diff.startswith("# ")
    assert recorded_script("train", [], "abc").diff == ""
    assert recorded_script("train", [], None).commit == ""
