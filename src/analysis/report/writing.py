"""Write a generated document: Markdown, one HTML page, and a folder of its pictures."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seglab.analysis.report.context import Pictures
from seglab.analysis.report.markdown import heading, slug
from seglab.analysis.report.markdown import title as markdown_title
from seglab.analysis.report.page import plain_text, render_page
from seglab.utils.io_utils import require_writable, write_text


@dataclass(frozen=True)
class ReportFiles:
    """What was written."""

    markdown: Path
    page: Path
    pictures: Path


def write_document(
    output_dir: str | Path, name: str, title: str, compose: Callable[[Pictures], str]
) -> ReportFiles:
    """Write a document as `NAME.md`, `NAME.html` and its pictures in `NAME_files`.

    Args:
        output_dir: Made if need be. The document of an earlier time is replaced, as a whole.
        name: Of the files.
        title: Of the page.
        compose: Draws the pictures and returns the Markdown.

    Returns:
        The paths of the files.

    Raises:
        UserError: Something cannot be read or written; nothing was changed then.
    """
    folder = Path(output_dir)
    require_writable(folder, "--output-dir")
    files = ReportFiles(folder / f"{name}.md", folder / f"{name}.html", folder / f"{name}_files")
    with _stage(folder, name) as stage:
        pictures = Pictures(stage, files.pictures.name)
        text = compose(pictures)
        page = render_page(text, title, pictures.contents())
        _replace_folder(stage, files.pictures, name)
    write_text(files.page, page)
    write_text(files.markdown, text)
    return files


def assemble(title: str, chapters: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A document's Markdown: title, first chapter, contents, the other chapters.

    Args:
        title: Of the document.
        chapters: Name and blocks of each; they are numbered.
    """
    names = [f"{number}. {name}" for number, (name, _) in enumerate(chapters, start=1)]
    lead, *rest = [
        [heading(2, name), *blocks] for name, (_, blocks) in zip(names, chapters, strict=True)
    ]
    contents = [heading(2, "Contents"), _contents(names)]
    parts = [[heading(1, title)], lead, contents, *rest]
    return "\n\n".join(block for part in parts for block in part) + "\n"


def _contents(names: list[str]) -> str:
    """Links to the chapters."""
    return "\n".join(
        f"- [{shown}](#{slug(plain_text(shown))})" for shown in map(markdown_title, names)
    )


@contextmanager
def _stage(folder: Path, name: str) -> Iterator[Path]:
    """A folder beside the final one, gone when the block ends."""
    stage = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name}."))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _replace_folder(stage: Path, target: Path, name: str) -> None:
    """Put a folder in place of another, which is there until the new one is whole."""
    umask = os.umask(0)
    os.umask(umask)
    stage.chmod(0o777 & ~umask)
    if not target.exists():
        stage.rename(target)
        return
    with _stage(target.parent, name) as old:
        target.rename(old / "old")
        stage.rename(target)
