from pathlib import Path

import pytest

from seglab.utils.paths import PROJECT_ROOT, resolve_input


def test_the_current_folder_comes_before_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_input("configs") == PROJECT_ROOT / "configs"
    Path("configs").mkdir()
    assert resolve_input("configs") == Path("configs")


def test_what_is_nowhere_and_nobodys_home_stay_as_they_are() -> None:
    for name in ("no/such/thing", "~nobody-of-this-name/x"):
        assert resolve_input(name) == Path(name)


def test_the_home_folder_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_input("~/data") == tmp_path / "data"
