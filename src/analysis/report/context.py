"""What every section of the report is written from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglab.analysis.comparison import Comparison, Row
from seglab.analysis.report.choice import Choice
from seglab.analysis.report.data_folder import MaskFolder
from seglab.analysis.report.markdown import figure
from seglab.analysis.run_folder import Run
from seglab.utils.errors import UserError
from seglab.utils.paths import leads_out

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class DataFolder:
    """The data folder, where there is one.

    Attributes:
        masks: What it holds, by split and version of the masks.
        changed: Sample ids whose image or label is not the one the runs were scored on; None
            where the runs do not say which masks those were.
    """

    masks: tuple[MaskFolder, ...]
    changed: tuple[str, ...] | None


@dataclass(frozen=True)
class Exploration:
    """What an exploration of the data left: its findings and its pictures."""

    findings: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()


class Pictures:
    """The report's pictures: drawn or copied into a folder, named in the text relative to it.

    Args:
        folder: Where the files go.
        prefix: What stands before a file's name in the text.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder
        self._prefix = prefix

    def draw(self, name: str, caption: object, plot: Callable[..., Path], *args: Any) -> str:
        """Draw a picture with `plot(*args, path=...)`; returns its Markdown."""
        plot(*args, path=self._folder / f"{name}.png")
        return figure(f"{self._prefix}/{name}.png", caption)

    def copy(self, name: str, caption: object, source: Path) -> str:
        """Take a picture over; returns its Markdown.

        Raises:
            UserError: It cannot be read, is no PNG, or is a link to somewhere else.
        """
        if leads_out(source.parent, source):
            raise UserError(f"{source} is a link that leads out of its folder", "delete the link")
        try:
            with source.open("rb") as stream:
                is_png = stream.read(len(_PNG_SIGNATURE)) == _PNG_SIGNATURE
            if is_png:
                shutil.copyfile(source, self._folder / f"{name}.png")
        except OSError as error:
            raise UserError(f"cannot read {source}: {error.strerror}", "restore it") from error
        if not is_png:
            raise UserError(f"{source} is not a PNG picture", "draw it again, or delete it")
        return figure(f"{self._prefix}/{name}.png", caption)

    def contents(self) -> dict[str, bytes]:
        """Every picture's bytes, by the path that the text names it by."""
        return {
            f"{self._prefix}/{path.name}": path.read_bytes()
            for path in sorted(self._folder.glob("*.png"))
        }


@dataclass(frozen=True)
class Context:
    """Everything the sections look figures up in.

    Attributes:
        comparison: The runs, compared.
        choice: The model chosen from them.
        data: The data folder; None where it is not present.
        exploration: Findings and pictures of the data's exploration.
        pictures: Where pictures go.
    """

    comparison: Comparison
    choice: Choice
    data: DataFolder | None
    exploration: Exploration
    pictures: Pictures

    def place(self, row: Row) -> str:
        """A name for the files of a row: ids may hold anything, file names may not."""
        return f"hypothesis_{self.comparison.rows.index(row) + 1:02d}"


def representative(row: Row) -> Run:
    """The run that pictures and analysis show: of several seeds the one with the median mDice.

    Of an even number it is the lower of the two in the middle.
    """
    ranked = sorted(row.runs, key=lambda run: (run.figures["mDice"], str(run.seed)))
    return ranked[(len(ranked) - 1) // 2]


def ranking_of(run: Run) -> str:
    """By what the run's pictures were chosen (`seglab test --rank-by`), as their names tell."""
    by_key = any(re.search(r"_mDice_[\d.]+\.png$", name) for name in run.metrics["pictures"])
    return "mDice" if by_key else "the figure that the test ranked them by"


def seeds_of(runs: Sequence[Run]) -> str:
    """The training seeds, as a list of words."""
    return ", ".join("not recorded" if run.seed is None else str(run.seed) for run in runs)
