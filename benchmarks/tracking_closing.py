"""How long a run waits for its ClearML session at the end: 20 sessions in a row, by the real SDK.

The journal is that of a usual run: scalars of 80 epochs, the log's lines, tables, a confusion
matrix, panels, curves and a checkpoint. Each session is written as the end of a run writes it, by a
process of its own, without a server; seconds are those of the whole process. The first lines say
what the journal costs the run while it goes on. Run `python benchmarks/tracking_closing.py`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from seglab.utils.clearml_utils import DEFAULT_PROJECT, split_key
from seglab.utils.tracking.journal import (
    Artifact,
    Configuration,
    ConfusionMatrix,
    End,
    Entry,
    Journal,
    Parameters,
    Scalar,
    Script,
    SingleValue,
    Start,
    Table,
    Text,
)
from seglab.utils.tracking.writer import write_session

CLASSES = ("background", "cat", "dog")
STEP_KEYS = ("loss", "decode.loss_ce", "decode.loss_dice", "lr", "time", "data_time", "memory")
EPOCH_KEYS = ("val/mDice", "val/mIoU", *(f"val/{m}/{c}" for m in ("Dice", "IoU") for c in CLASSES))


def scalar(key: str, step: int) -> Scalar:
    """One point."""
    return Scalar(*split_key(key), value=1 / (step + 1), step=step)


def first_entries() -> list[Entry]:
    """What a run records when it starts."""
    return [
        Start(DEFAULT_PROJECT, "Lite 20260101_120000", "training", ("Lite", "split:train")),
        Script("https://example.org/r.git", "main", "0" * 40, "+ line\n" * 2000, ".", "train.py"),
        *(Parameters(f"section {n}", {f"key {k}": k for k in range(20)}) for n in range(8)),
        Configuration("config", "a = 1\n" * 500),
    ]


def last_entries(base: Path, checkpoint_mb: int) -> list[Entry]:
    """What a run records when it ends."""
    (base / "best.pth").write_bytes(np.random.default_rng(0).bytes(checkpoint_mb << 20))
    rows = tuple((name, 81.2, 70.1, 80.5, 82.3) for name in CLASSES)
    return [
        Table("per class", "val", 80, ("class", "Dice", "IoU", "Precision", "Recall"), rows),
        ConfusionMatrix("pixels", "val", 80, CLASSES, ((9, 1, 0), (1, 8, 1), (0, 1, 9))),
        *(SingleValue(key, 80.0) for key in EPOCH_KEYS),
        Artifact("model", "best.pth", {"epoch": "80"}),
        End("finished"),
    ]


def write_journal(folder: Path, epochs: int, steps: int, checkpoint_mb: int) -> None:
    """Write a whole run's journal, and print what that cost."""
    journal = Journal(folder)
    journal.add(*first_entries())
    entries = 0
    began = time.perf_counter()
    for step in range(epochs * steps):
        points = [scalar(key, step) for key in STEP_KEYS]
        journal.add(*points, Text(f"Epoch(train) [{step // steps}][{step % steps}/{steps}] loss"))
        entries += len(points) + 1
        if step % steps == steps - 1:
            journal.add(*(scalar(key, step // steps) for key in EPOCH_KEYS))
            entries += len(EPOCH_KEYS)
    each = (time.perf_counter() - began) / entries
    panel = np.random.default_rng(0).integers(0, 256, (256, 1024, 3), dtype=np.uint8)
    began = time.perf_counter()
    for number in range(12):
        journal.add_image("best", f"panel {number}", epochs, panel)
    image = (time.perf_counter() - began) / 12
    journal.add(*last_entries(folder.parent, checkpoint_mb))
    journal.close()
    size = (folder / "journal.jsonl").stat().st_size / 1e6
    print(f"journal: {entries} entries of steps and epochs, {size:.1f} MB")
    print(f"the run paid {each * 1e6:.1f} us an entry, {image * 1e3:.1f} ms a panel of 256x1024")


def main() -> int:
    """Measure, and print each closing's seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--steps", type=int, default=10, help="logged steps of each epoch")
    parser.add_argument("--checkpoint-mb", type=int, default=25)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run" / "tracking"
        write_journal(folder, args.epochs, args.steps, args.checkpoint_mb)
        seconds = []
        for number in range(args.sessions):
            began = time.perf_counter()
            packed = write_session(folder)
            seconds.append(time.perf_counter() - began)
            with zipfile.ZipFile(packed) as archive:
                assert archive.testzip() is None, "the session is damaged"
                events = archive.read("metrics.jsonl").count(b'"timestamp"')
            megabytes = packed.stat().st_size / 1e6
            print(
                f"session {number + 1:2}: {seconds[-1]:5.2f} s, {events} events, {megabytes:.1f} MB"
            )
    print(f"median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
