"""Copy the light form of a run, to be committed: no weights, no photographs, no machine."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seglab.analysis.anonymise import Anonymiser, is_absolute
from seglab.analysis.run_folder import (
    Run,
    raise_all,
    read_runs,
    test_command,
)
from seglab.utils.errors import UserError
from seglab.utils.io_utils import require_writable, write_json, write_text
from seglab.utils.lab_scores import read_lab_scores
from seglab.utils.paths import leads_out
from seglab.utils.result_files import (
    CONFIG_FILE,
    CONFIG_JSON,
    CURVES_FILE,
    HISTORY_FILE,
    LAB_SCORES_FILE,
    METRICS_FILE,
    PER_IMAGE_FILE,
    PROVENANCE_FILE,
    RESULTS_FILE,
    RUN_FILE,
)

SPLITS = ("val", "test")
#: Pictures without photographs, besides the curves.
_CHARTS = ("confusion_matrix", "reliability", "distribution")


def export_run(folder: str | Path, output_dir: str | Path) -> list[Path]:
    """Copy what a comparison and a report need of a run.

    That is the resolved config, the record, the history and its curves, and of every split it was
    tested on the figures, the matrices, the hashes and the charts. Paths and names that tell the
    machine or the person are taken out.

    Args:
        folder: The run's folder.
        output_dir: Must not exist, or be empty.

    Returns:
        The files written.

    Raises:
        UserError: The run cannot be read whole, or the output folder holds something.
    """
    source, target = Path(folder), Path(output_dir)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(
            f"--output-dir {target} exists; an export never overwrites",
            "give another --output-dir, or delete it",
        )
    runs = _read_tested(source)
    require_writable(target.parent, "--output-dir")
    # Beside the target: the finished folder takes its name in one step, or not at all.
    stage = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}."))
    try:
        _write(runs, stage)
        stage.chmod(0o755)
        stage.replace(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return sorted(path for path in target.rglob("*") if path.is_file())


def _read_tested(folder: Path) -> list[Run]:
    """The run as tested on each split that it was tested on.

    Raises:
        UserError: It was tested on none, something is damaged, or its samples go by the paths of
            a machine.
    """
    faults: list[UserError] = []
    splits = [split for split in SPLITS if (folder / f"test_{split}").is_dir()]
    if folder.is_dir() and not splits:
        raise UserError(
            f"{folder} was tested on no split: there is nothing to compare",
            f"run: {test_command(folder, 'val')}",
        )
    runs = [run for split in splits or SPLITS[:1] for run in read_runs([folder], split, faults)]
    for run in runs:
        try:
            read_lab_scores(run.test_folder)  # copied as it is, or not at all
        except UserError as error:
            faults.append(error)
    for run in runs:
        absolute = [name for name in run.results.sample_ids if is_absolute(name)]
        if absolute:
            faults.append(
                UserError(
                    f"{run.test_folder}: {len(absolute)} samples go by absolute paths, e.g. "
                    f"{absolute[0]}",
                    "test with a data set that names its samples (MaskFolderDataset)",
                )
            )
    raise_all(faults, f"the run in {folder} cannot be exported")
    return runs


def _write(runs: list[Run], target: Path) -> None:
    run = runs[0]
    contents = [run.config, run.record, *(item.provenance for item in runs)]
    texts = map(json.dumps, contents)
    roots = {root for content in contents for root in _data_roots(content)}
    clean = Anonymiser(roots, texts, keep=(*run.classes, "train", *SPLITS))
    write_json(target / CONFIG_JSON, clean.data(run.config))
    if (run.folder / CONFIG_FILE).is_file():
        write_text(target / CONFIG_FILE, _clean_config(run.folder / CONFIG_FILE, clean))
    write_json(target / RUN_FILE, clean.data(run.record))
    _copy(run.folder, target, [HISTORY_FILE, CURVES_FILE])  # numbers alone
    for item in runs:
        charts = [f"{item.split}_{name}.png" for name in _CHARTS]
        folder = target / item.test_folder.name
        folder.mkdir()
        _copy(item.test_folder, folder, [PER_IMAGE_FILE, RESULTS_FILE, LAB_SCORES_FILE, *charts])
        kept = [name for name in item.metrics["pictures"] if name in charts]
        write_json(folder / METRICS_FILE, clean.data({**item.metrics, "pictures": kept}))
        provenance = clean.data(item.provenance)
        # Relative paths, as in the matrices and the table: changed, they would name other samples.
        provenance["data"]["files"] = item.file_hashes
        write_json(folder / PROVENANCE_FILE, provenance)


def _clean_config(path: Path, clean: Anonymiser) -> str:
    try:
        return clean.python(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # Python's parser
        raise UserError(f"{path} is not Python: {error}", "restore it, or delete it") from error


def _data_roots(content: Any) -> Iterator[str]:
    """Every `data_root` in nested data."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "data_root" and isinstance(value, str):
                yield value
            yield from _data_roots(value)
    elif isinstance(content, list):
        for item in content:
            yield from _data_roots(item)


def _copy(source: Path, target: Path, names: list[str]) -> None:
    """Copy those of the files that are there.

    Raises:
        UserError: One is a link to a file elsewhere, which would go with the run.
    """
    for name in names:
        if not (source / name).is_file():
            continue
        if leads_out(source, source / name):
            raise UserError(
                f"{source / name} is a link that leads out of the run's folder",
                "delete the link; the run is exported without it",
            )
        shutil.copyfile(source / name, target / name)
