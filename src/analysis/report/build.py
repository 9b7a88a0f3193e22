"""Put the report together and write it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from seglab.analysis.comparison import Comparison, Row
from seglab.analysis.report.choice import choose
from seglab.analysis.report.choice_section import choice_section
from seglab.analysis.report.comparison_section import comparison_section
from seglab.analysis.report.context import Context, DataFolder, Exploration, Pictures
from seglab.analysis.report.data_folder import IMAGES, read_data_folder
from seglab.analysis.report.data_section import data_section
from seglab.analysis.report.error_section import error_section
from seglab.analysis.report.hypothesis_section import hypothesis_section
from seglab.analysis.report.making import making_section
from seglab.analysis.report.overview import summary, words
from seglab.analysis.report.steps import steps_section
from seglab.analysis.report.writing import ReportFiles, assemble, write_document
from seglab.analysis.run_folder import Run
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, sha256_file
from seglab.utils.paths import resolve_input

NAME = "practicum_report"
TITLE = "Practicum report"
EXPLORATION_FILE = "eda.json"


def write_report(
    comparison: Comparison,
    output_dir: str | Path,
    *,
    title: str = TITLE,
    data_root: str | Path | None = None,
    exploration_dir: str | Path | None = None,
) -> ReportFiles:
    """Write the report of a comparison as Markdown and as one HTML page.

    The same runs give the same Markdown, byte for byte.

    Args:
        comparison: From `compare`.
        output_dir: Made if need be. The report of an earlier time is replaced, as a whole.
        title: Of the document.
        data_root: The data folder; None for the one the first run was scored on, if it is there.
        exploration_dir: Folder with `eda.json` and pictures; None, or absent, for none.

    Returns:
        The paths of the files.

    Raises:
        UserError: Something cannot be read or written; nothing was changed then.
    """
    comparison = parents_first(comparison)
    data = _read_data(comparison, data_root)
    exploration = _read_exploration(exploration_dir)
    choice = choose(comparison)

    def composed(pictures: Pictures) -> str:
        return compose(Context(comparison, choice, data, exploration, pictures), title)

    return write_document(output_dir, NAME, title, composed)


def parents_first(comparison: Comparison) -> Comparison:
    """The comparison with every hypothesis after its parent, else in the order given."""
    waiting, ordered = list(comparison.rows), list[Row]()
    while waiting:
        ids = {row.id for row in waiting}
        # Of parents that name each other in a circle the first one given breaks it.
        free = [row for row in waiting if row.hypothesis.parent not in ids]
        ordered.append((free or waiting)[0])
        waiting.remove(ordered[-1])
    place = {row.id: index for index, row in enumerate(ordered)}
    pairs = sorted(comparison.pairs, key=lambda pair: place[pair.after])
    return replace(comparison, rows=tuple(ordered), pairs=tuple(pairs))


def compose(context: Context, title: str) -> str:
    """The report as Markdown; draws its pictures on the way."""
    chapters: list[tuple[str, list[str]]] = [
        ("Summary", summary(context)),
        ("Words used", words(context)),
        ("Data", data_section(context)),
    ]
    for row in context.comparison.rows:
        chapters.append((f"Hypothesis {row.id}", hypothesis_section(context, row)))
    chapters += [
        ("Comparison", comparison_section(context)),
        ("Chosen model and why", choice_section(context)),
        ("Typical errors", error_section(context)),
        ("Next steps", steps_section(context)),
        ("How it was made", making_section(context.comparison)),
    ]
    return assemble(title, chapters)


def _read_data(comparison: Comparison, data_root: str | Path | None) -> DataFolder | None:
    """The data folder, if it is there.

    Raises:
        UserError: It was named and is not there, or it cannot be read.
    """
    run = comparison.rows[0].runs[0]
    if data_root is None:
        recorded = run.provenance["data"]["data_root"]
        if not recorded or not (resolve_input(recorded) / IMAGES).is_dir():
            return None
        data_root = recorded
    root = resolve_input(data_root)
    if not root.is_dir():
        raise UserError(f"--data-root {root} is no folder", "give the folder that holds img/")
    masks = read_data_folder(root, len(comparison.classes), run.metrics["ignore_index"])
    return DataFolder(masks, _changed(root, run))


def _changed(root: Path, run: Run) -> tuple[str, ...] | None:
    """Samples of the scored split whose files are not the ones that were scored.

    None where the run does not say which masks it was scored on.
    """
    mask_dir = run.provenance["data"]["mask_dir"]
    if not mask_dir:
        return None
    found = []
    for name, hashes in run.file_hashes.items():
        image = root / IMAGES / run.split / name
        mask = root / mask_dir / run.split / PurePosixPath(name).with_suffix(".png")
        for path, digest in ((image, hashes["image"]), (mask, hashes["label"])):
            if not path.is_file() or sha256_file(path) != digest:
                found.append(name)
                break
    return tuple(found)


def _read_exploration(folder: str | Path | None) -> Exploration:
    """Findings and pictures of the data's exploration; empty where there is none."""
    if folder is None or not Path(folder).is_dir():
        return Exploration()
    path = Path(folder) / EXPLORATION_FILE
    content = read_json(path) if path.is_file() else {}
    findings = content.get("findings", []) if isinstance(content, dict) else []
    if not isinstance(findings, list) or not all(isinstance(text, str) for text in findings):
        raise UserError(f"{path}: findings is not a list of texts", "explore the data again")
    return Exploration(tuple(findings), tuple(sorted(Path(folder).glob("*.png"))))
