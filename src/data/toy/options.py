"""What a toy data set can be asked for, and the check of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seglab.utils.errors import UserError

FAULT_KINDS = ("missing_object", "shifted", "jagged", "specks", "wrong_class", "wrong_object")
SPLITS = ("train", "val", "test")
CLASSES = ("background", "cat", "dog")
SMALLEST_SIZE, LARGEST_SIZE = 32, 2048


@dataclass(frozen=True)
class ToyOptions:
    """One toy data set.

    Attributes:
        out: Folder to write.
        train: Number of training images.
        val: Number of validation images.
        test: Number of test images.
        size: Side of the square images, in pixels.
        seed: Seed; image i of a split depends on the seed, the split, i and the size alone.
        faults: Fraction of the training masks to spoil, 0 to 1.
        fault_kinds: Kinds of faults to take in turn.
        force: Replace an earlier toy set that was drawn with other options.
        workers: Number of processes that draw; the files do not depend on it.
    """

    out: Path
    train: int = 256
    val: int = 48
    test: int = 48
    size: int = 128
    seed: int = 0
    faults: float = 0.0
    fault_kinds: tuple[str, ...] = FAULT_KINDS
    force: bool = False
    workers: int = 1

    def counts(self) -> dict[str, int]:
        """Number of images of each split."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def recipe(self) -> dict[str, object]:
        """The options that decide what is in the files."""
        return {
            "counts": self.counts(),
            "size": self.size,
            "seed": self.seed,
            "faults": float(self.faults),
            "fault_kinds": list(self.fault_kinds) if self.faults > 0 else [],
        }

    def check(self) -> None:
        """Raise one `UserError` that lists every value that cannot be served."""
        wrong = [
            f"--{split} {count}: a count cannot be negative"
            for split, count in self.counts().items()
            if count < 0
        ]
        if sum(self.counts().values()) == 0:
            wrong.append("no images asked for: all counts are 0")
        if not SMALLEST_SIZE <= self.size <= LARGEST_SIZE:
            wrong.append(f"--size {self.size}: must be {SMALLEST_SIZE} to {LARGEST_SIZE} pixels")
        if self.seed < 0:
            wrong.append(f"--seed {self.seed}: a seed cannot be negative")
        if not 0 <= self.faults <= 1:  # also catches NaN
            wrong.append(f"--faults {self.faults}: must be a fraction from 0 to 1")
        if self.workers < 1:
            wrong.append(f"--workers {self.workers}: must be at least 1")
        unknown = [kind for kind in self.fault_kinds if kind not in FAULT_KINDS]
        if unknown:
            wrong.append(f"--fault-kinds {','.join(unknown)}: known are {', '.join(FAULT_KINDS)}")
        if not self.fault_kinds:
            wrong.append("--fault-kinds is empty")
        if wrong:
            raise UserError(
                "the toy set cannot be drawn as asked:\n  - " + "\n  - ".join(wrong),
                "mend every option listed; --help shows the ranges",
            )
