"""Reports of runs that the factory writes, quickly."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from seglab.analysis.comparison import Comparison, compare
from seglab.analysis.report.build import write_report
from seglab.analysis.report.context import Pictures
from seglab.analysis.report.markdown import figure
from seglab.analysis.report.writing import ReportFiles
from seglab.analysis.run_folder import load_run

RESAMPLES = 400


class Written(NamedTuple):
    """A report as it was written."""

    files: ReportFiles
    text: str
    page: str


class Table(NamedTuple):
    """A table of the Markdown, under the heading it stands below."""

    heading: str
    header: list[str]
    rows: list[list[str]]

    def column(self, name: str) -> dict[str, str]:
        """First cell -> the cell below a header; bold marks taken off."""
        place = self.header.index(name)
        return {row[0]: row[place].strip("*") for row in self.rows}


def read_tables(text: str) -> list[Table]:
    """Every table of a Markdown text."""
    found: list[Table] = []
    heading = ""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("| ") and not lines[index - 1].startswith("| "):
            found.append(Table(heading, cells(line), []))
        elif line.startswith("| ") and ":---" not in line:
            found[-1].rows.append(cells(line))
    return found


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").replace("\\|", "\0").split("|")]


def comparison_of(folders: Sequence[Path], **options: Any) -> Comparison:
    runs = [load_run(folder, "val") for folder in folders]
    return compare(runs, resamples=RESAMPLES, **options)


def _draw_nothing(self: Pictures, name: str, caption: object, *_: object) -> str:
    Image.new("RGB", (4, 3)).save(self._folder / f"{name}.png")
    return figure(f"{self._prefix}/{name}.png", caption)


@pytest.fixture
def tables() -> Callable[[str], list[Table]]:
    """Reads the tables of a Markdown text."""
    return read_tables


@pytest.fixture
def compared() -> Callable[..., Comparison]:
    """Compares run folders with few resamples."""
    return comparison_of


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Written]:
    """`report(folders, output_dir=..., drawn=False, title=..., data_root=..., by_seed=...)`."""

    def write(
        folders: Sequence[Path], output_dir: Path | None = None, drawn: bool = False, **options: Any
    ) -> Written:
        compared_with = {
            key: options.pop(key) for key in ("by_seed", "force", "reference") if key in options
        }
        comparison = comparison_of(folders, **compared_with)
        with monkeypatch.context() as patch:
            if not drawn:
                patch.setattr(Pictures, "draw", _draw_nothing)
            files = write_report(comparison, output_dir or tmp_path / "out", **options)
        assert not plt.get_fignums()
        return Written(files, files.markdown.read_text(), files.page.read_text())

    return write


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def edit() -> Callable[[Path, Callable[[Any], Any]], None]:
    """Changes a JSON file in place."""
    return edit_json
