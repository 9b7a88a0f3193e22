"""Stop a training of two processes by a signal to one of them, resume it, and compare.

    python tests/two_processes.py CONFIG FOLDER

Prints one line of JSON: the exit codes, the state that was kept, where the ends differ.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from resuming import differences, ended, make_starts_quick, run

from seglab.utils.resume_files import newest_valid


@HOOKS.register_module()
class SignalToTheSecondHook(Hook):
    """Has the second process get a signal in the run's fifth step."""

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        """Send it."""
        if runner.iter == 4 and os.environ["RANK"] == "1":
            signal.raise_signal(signal.SIGTERM)


def train(
    config: Path,
    folder: Path,
    resume: bool = False,
    processes: int = 2,
    overrides: Sequence[str] = (),
) -> list[int]:
    """Train in several processes; returns their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, WORLD_SIZE=str(processes))
    children = []
    for rank in map(str, range(processes)):
        pid = os.fork()
        if not pid:
            os.environ.update(RANK=rank, LOCAL_RANK=rank)
            code = 1
            try:
                run(config, folder, overrides, resume=resume, launcher="pytorch")
                code = 0
            except KeyboardInterrupt as error:
                code = getattr(error, "exit_code", 1)
            finally:
                os._exit(code)
        children.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def main() -> None:
    """Run the experiment."""
    config, folder = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    make_starts_quick()
    stopping = folder / "stopping.py"
    stopping.write_text(
        f"_base_ = [{str(config)!r}]\n"
        "custom_hooks = [*_base_.custom_hooks, dict(type='SignalToTheSecondHook')]\n"
    )
    codes = [train(config, folder / "undisturbed"), train(stopping, folder / "run")]
    point = newest_valid(folder / "run")
    codes.append(train(config, folder / "run", resume=True))
    different = differences(ended(folder / "undisturbed"), ended(folder / "run"))
    kept = point.path.name if point else None
    print(json.dumps({"codes": codes, "kept": kept, "different": different}))


if __name__ == "__main__":
    main()
