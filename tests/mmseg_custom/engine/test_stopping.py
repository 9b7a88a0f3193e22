"""SIGTERM and Ctrl-C: the state is kept, the exit code tells, and a resume loses nothing."""

import gc
import multiprocessing
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from resuming import EVERYTHING, assert_equal_ends, make_starts_quick, run
from yapf.yapflib import yapf_api

from seglab.mmseg_custom.engine.record import read_record
from seglab.mmseg_custom.engine.stopping import StopRequest
from seglab.tools import train as train_tool
from seglab.utils.resume_files import newest_valid
from seglab.utils.script import Stopped, run_tool


@HOOKS.register_module()
class SignalHook(Hook):
    """Sends this process a signal at one moment of a run."""

    def __init__(
        self, moment: str, step: int, number: int, times: int = 1, group: bool = False
    ) -> None:
        self.moment = moment
        self.group = group
        self.step = step
        self.number = number
        self.times = times

    def _send(self, moment: str, runner: Any) -> None:
        if moment == self.moment and runner.iter == self.step:
            if self.group:  # as `timeout` and schedulers do, which are not the parent either
                workers = [str(each.pid) for each in multiprocessing.active_children()]
                assert len(workers) == 2
                subprocess.run(["kill", f"-{self.number}", *workers], check=True)
                time.sleep(0.2)
            for _ in range(self.times):
                signal.raise_signal(self.number)

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        """Send it in a step."""
        self._send("step", runner)

    def after_val_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        """Send it in a validation."""
        self._send("validation", runner)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, tiny_config_text: str
) -> Iterator[tuple[Path, Path]]:
    """A config whose states are kept every third epoch only, and a run of it."""
    folder = tmp_path_factory.mktemp("stopping")
    (folder / "tiny.py").write_text(tiny_config_text)
    text = EVERYTHING.format(base=str(folder / "tiny.py"))
    text = text.replace("every_n_steps=1, max_keep_ckpts=-1", "interval=3")
    (folder / "everything.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, "FormatCode", yapf_api.FormatCode)
        make_starts_quick()
        yield folder / "everything.py", run(folder / "everything.py", folder / "undisturbed")


def stopping(config: Path, folder: Path, **hook: Any) -> Path:
    """A config with a `SignalHook`."""
    path = folder / "stopping.py"
    path.write_text(
        f"_base_ = [{str(config)!r}]\n"
        f"custom_hooks = [*_base_.custom_hooks, dict(type='SignalHook', **{hook!r})]\n"
    )
    return path


@pytest.mark.parametrize(
    ("number", "code", "moment", "step", "state"),
    [
        (signal.SIGTERM, 143, "step", 4, "epoch_1_step_2.pth"),  # with gradients kept
        (signal.SIGINT, 130, "step", 5, "epoch_1_step_3.pth"),  # the epoch's last step
        (signal.SIGTERM, 143, "validation", 6, "epoch_2.pth"),  # averaged weights in place
    ],
)
def test_a_signal_keeps_the_state_and_a_resume_loses_nothing(
    undisturbed: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: int,
    code: int,
    moment: str,
    step: int,
    state: str,
) -> None:
    config, expected = undisturbed
    folder = tmp_path / "run"
    stopped = stopping(config, tmp_path, moment=moment, step=step, number=int(number))
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    arguments = ["--config", str(stopped), "--work-dir", str(folder), "--from-scratch"]
    assert run_tool(train_tool.main, [*arguments, "--device", "cpu"]) == code
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    err = capsys.readouterr().err
    assert "go on with" in err and "--resume" in err and "Traceback" not in err
    assert read_record(folder)["status"] == "interrupted"
    point = newest_valid(folder)
    assert point is not None and point.path.name == state
    assert_equal_ends(expected, run(config, folder, resume=True))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_loading_processes_too(
    undisturbed: tuple[Path, Path], tmp_path: Path, number: int
) -> None:
    config, _ = undisturbed
    hook = dict(moment="step", step=3, number=int(number), group=True)
    with pytest.raises(Stopped) as caught:
        run(
            stopping(config, tmp_path, **hook),
            tmp_path / "run",
            ["train_dataloader.num_workers=2"],
        )
    assert caught.value.exit_code == 128 + number
    point = newest_valid(tmp_path / "run")
    assert point is not None and point.path.name == "epoch_1_step_1.pth"
    caught.value.__traceback__ = None  # it holds the loader
    del caught
    gc.collect()
    assert not multiprocessing.active_children()


def test_the_second_signal_is_not_waited_for(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    config, _ = undisturbed
    hook = dict(moment="step", step=4, number=int(signal.SIGINT), times=2)
    with pytest.raises(KeyboardInterrupt):
        run(stopping(config, tmp_path, **hook), tmp_path / "run")
    assert newest_valid(tmp_path / "run") is None


def test_a_request_notes_the_first_signal_and_gives_the_handlers_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as request:
        assert request.agreed() == 0
        signal.raise_signal(signal.SIGTERM)
        assert request.agreed() == signal.SIGTERM
        with pytest.raises(Stopped) as error:
            signal.raise_signal(signal.SIGTERM)
    assert error.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_signals_stay_with_the_program() -> None:
    seen: list[Any] = []

    def inside(ask: Callable[[int], Any] = signal.getsignal) -> None:
        before = ask(signal.SIGTERM)
        with StopRequest():
            seen.append(ask(signal.SIGTERM) is before)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [True]
