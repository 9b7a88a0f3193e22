"""Kill trainings again and again, resume them, and compare with one that was left alone.

    python tests/killed_trainings.py CONFIG FOLDER --kills 200

Everything is imported once; each training is a forked child. Some are killed after a random time,
some at a random moment of writing a file: before its bytes are on the disk, before it is renamed,
after that. Prints one line of JSON with what happened.
"""

import argparse
import contextlib
import gc
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from resuming import differences, ended, make_starts_quick, run

from seglab.utils.resume_files import newest_valid


def die_while_writing(call: int, before: bool) -> None:
    """Have this process kill itself at its n-th synchronising or renaming of a file."""
    left = [call]

    def deadly(work: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = work(*args, **kwargs)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    os.fsync = deadly(os.fsync)
    Path.replace = deadly(Path.replace)  # type: ignore[method-assign]


def child(config: Path, folder: Path, resume: bool, die_at: tuple[int, bool] | None) -> int:
    """Fork a training; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    with (folder.parent / "log.txt").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    code = 1
    with contextlib.suppress(SystemExit):
        if die_at is not None:
            die_while_writing(*die_at)
        run(config, folder, resume=resume)
        code = 0
    os._exit(code)


def interrupted_run(
    config: Path, folder: Path, seconds: float, random_: random.Random, counts: Counter[str]
) -> None:
    """Train in a folder until it is done, killing it on the way."""
    while True:
        point = newest_valid(folder) if folder.is_dir() else None
        resume = point is not None
        if not resume and folder.is_dir():  # killed before anything was kept
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            folder.rmdir()
        writing = random_.random() < 0.4
        die_at = (random_.randint(1, 30), random_.random() < 0.5) if writing else None
        pid = child(config, folder, resume, die_at)
        counts["resumes"] += resume
        counts["passed over"] += len(point.skipped) if point else 0
        deadline = time.monotonic() + random_.uniform(0, seconds)
        status = None
        while status is None:
            done, code = os.waitpid(pid, os.WNOHANG)
            if done:
                status = code
            elif not writing and time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                status = os.waitpid(pid, 0)[1]
            else:
                time.sleep(0.002)
        if status == signal.SIGKILL:
            counts["kills while writing" if writing else "kills at a random time"] += 1
        elif status == 0:
            return
        else:
            raise SystemExit(f"a training failed; see {folder.parent / 'log.txt'}")


def duration(config: Path, folder: Path, expected: dict[str, Any]) -> float:
    """How long a child trains when nobody disturbs it."""
    began = time.monotonic()
    if os.waitpid(child(config, folder, False, None), 0)[1] or differences(expected, ended(folder)):
        raise SystemExit(f"two undisturbed trainings differ; see {folder.parent / 'log.txt'}")
    return time.monotonic() - began


def main() -> int:
    """Run the experiment; returns 1 if any run ended otherwise than the undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    make_starts_quick()
    with (args.folder / "log.txt").open("w") as log, contextlib.redirect_stdout(log):
        run(args.config, args.folder / "undisturbed")
    gc.collect()
    gc.freeze()  # children need not look through what is here already
    expected = ended(args.folder / "undisturbed")
    seconds = duration(args.config, args.folder / "timed", expected)
    random_, counts = random.Random(args.seed), Counter[str]()
    kinds = ("kills while writing", "kills at a random time")
    while sum(counts[kind] for kind in kinds) < args.kills:
        with tempfile.TemporaryDirectory(dir=args.folder) as place:
            folder = Path(place) / "run"
            interrupted_run(args.config, folder, seconds, random_, counts)
            counts["runs"] += 1
            counts["equal ends"] += not differences(expected, ended(folder))
    print(json.dumps({"kills": sum(counts[kind] for kind in kinds), **counts}))
    return int(counts["runs"] != counts["equal ends"])


if __name__ == "__main__":
    sys.exit(main())
