"""A file that one process at a time holds."""

import subprocess
import sys
import threading

import pytest

from seglab.utils.errors import UserError
from seglab.utils.tracking.locks import locked

BUSY = UserError("busy")


def test_who_comes_second_waits_or_is_told(tmp_path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file"
    told = pytest.raises(UserError, match="busy")
    with locked(path, 0, BUSY), told, locked(path, 0.2, BUSY):
        pass
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(tmp_path, 0, BUSY):
            held.set()
            released.wait(10)

    threading.Thread(target=hold).start()
    held.wait(10)
    threading.Timer(0.3, released.set).start()
    with locked(tmp_path, 10, BUSY):
        assert released.is_set()


def test_a_child_that_inherits_it_holds_it_when_its_parent_is_gone(tmp_path) -> None:
    with locked(tmp_path, 0, BUSY) as handles:
        command = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=handles)
    with pytest.raises(UserError, match="busy"), locked(tmp_path, 0, BUSY):
        pass
    child.communicate(b"\n")
    with locked(tmp_path, 0, BUSY):
        pass


def test_what_cannot_be_opened(tmp_path) -> None:
    told = pytest.raises(UserError, match="cannot open .*nothing: No such file")
    with told, locked(tmp_path / "nothing", 0, BUSY):
        pass
    assert not [*tmp_path.iterdir()]
