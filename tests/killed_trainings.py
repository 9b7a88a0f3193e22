"""Kill trainings again and again, resume them, and compare with one that was left alone.

    python tests/killed_trainings.py CONFIG FOLDER --kills 200

Everything is imported once; each training is a forked child. Some are killed after a random time,
some at a random moment of writing a file: with half of its bytes on the disk, with all of them,
before or after it is renamed, before or after an old one is removed. What was kept before a kill
must be there after it. Prints one line of JSON with what happened.
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

from seglab.utils.resume_files import Place, ResumePoint, fault_of, newest_valid, place_of

HOW_TO_DIE = ("before", "after", "half written")


def die_while_writing(call: int, how: str) -> None:
    """Have this process kill itself at its n-th synchronising, renaming or removing of a file."""
    left = [call]

    def deadly(work: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and how != "after":
                if how == "half written" and isinstance(args[0], int):  # what is synchronised
                    with contextlib.suppress(OSError):  # a folder
                        os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            result = work(*args, **kwargs)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    os.fsync = deadly(os.fsync)
    Path.replace = deadly(Path.replace)  # type: ignore[method-assign]
    Path.unlink = deadly(Path.unlink)  # type: ignore[method-assign]


class Kept:
    """What a run had to show for itself so far; a kill must take none of it."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.best = False

    def look(self, folder: Path, point: ResumePoint | None) -> None:
        """See that the newest state is none from before, and that there are best weights still."""
        place = place_of(point.path.name) if point else None
        if self.place is not None and (place is None or place < self.place):
            raise SystemExit(f"a state was lost: {self.place}, then {place}")
        best = any(fault_of(path) is None for path in folder.glob("best_*.safetensors"))
        if self.best and not best:
            raise SystemExit("the best weights were lost")
        self.place, self.best = place, best


def child(config: Path, folder: Path, resume: bool, die_at: tuple[int, str] | None) -> int:
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
    kept = Kept()
    while True:
        point = newest_valid(folder) if folder.is_dir() else None
        kept.look(folder, point)
        resume = point is not None
        if not resume and folder.is_dir():  # killed before anything was kept
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            folder.rmdir()
        writing = random_.random() < 0.4
        die_at = (random_.randint(1, 40), random_.choice(HOW_TO_DIE)) if writing else None
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
            if hidden := [path.name for path in folder.glob(".*")]:
                raise SystemExit(f"a killed training left {hidden}")
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
