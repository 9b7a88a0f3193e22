"""Read what a run left in its folder: data only, nothing in it is executed.

A run folder holds the resolved config (`config.json`), the record (`run.json`), the history
(`history.jsonl`) and, for each split it was tested on, `test_SPLIT/` with `test_metrics.json`,
`image_results.npz` and `provenance.json`. Checkpoints and pictures are not needed.
`seglab.analysis.run_search.find_runs` finds runs by folder or by hypothesis.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from seglab.utils.errors import UserError
from seglab.utils.hypothesis import Hypothesis
from seglab.utils.image_results import ImageResults, load_results, published_metrics
from seglab.utils.result_files import (
    CONFIG_JSON,
    METRICS_FILE,
    PROVENANCE_FILE,
    RESULTS_FILE,
    RUN_FILE,
)
from seglab.utils.run_files import load_history, read_object, run_hypothesis, run_seed
from seglab.utils.schemas import validate

_T = TypeVar("_T")


@dataclass(frozen=True)
class Run:
    """One training run, and how it was scored on one split.

    Attributes:
        folder: The run's folder.
        split: The split it was tested on.
        hypothesis: What it claims; a config that states nothing has its file's name as id.
        config: The resolved config.
        record: `run.json`: seed, seconds, epochs, best epoch, data hashes, environment.
        history: One record per epoch; figures that were not a number are left out.
        metrics: The whole `test_metrics.json`; the flat figures are in `figures`.
        provenance: `provenance.json`: checkpoint, and the hash of every image and label.
        results: What the test kept of every image.
    """

    folder: Path
    split: str
    hypothesis: Hypothesis
    config: dict[str, Any]
    record: dict[str, Any]
    history: list[dict[str, Any]]
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    results: ImageResults

    @property
    def id(self) -> str:
        """The hypothesis's id."""
        return self.hypothesis.id

    @property
    def seed(self) -> int | None:
        """The training seed; None where the record names none."""
        return run_seed(self.config, self.record)

    @property
    def label(self) -> str:
        """The id, with the seed unless that is seglab's default of 0."""
        return self.id if self.seed in (0, None) else f"{self.id} (seed {self.seed})"

    @property
    def test_folder(self) -> Path:
        """Where the test's files and pictures are."""
        return self.folder / f"test_{self.split}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of their label values."""
        return self.results.classes

    @property
    def figures(self) -> dict[str, float]:
        """The flat figures, unrounded; NaN where a figure has no value."""
        return {
            key: math.nan if value is None else float(value)
            for key, value in self.metrics["metrics"].items()
        }

    @property
    def file_hashes(self) -> dict[str, dict[str, str | None]]:
        """Sample id -> {"image": SHA-256, "label": SHA-256} of the files it was scored on."""
        files: dict[str, dict[str, str | None]] = self.provenance["data"]["files"]
        return files


def load_run(folder: str | Path, split: str) -> Run:
    """Read a run and its test on a split.

    A folder may hold several tests of a split (`test_val`, `test_val_NAME`); `test_SPLIT` is
    read.

    Args:
        folder: The run's folder.
        split: 'val' or 'test'.

    Raises:
        UserError: Something is missing, damaged or contradicts itself; lists every fault.
    """
    faults: list[UserError] = []
    runs = read_runs([Path(folder)], split, faults)
    raise_all(faults, f"the run in {folder} cannot be read")
    return runs[0]


def read_runs(folders: Iterable[Path], split: str, faults: list[UserError]) -> list[Run]:
    """Read several runs; what is wrong with any of them is added to `faults`."""
    runs = [_read_run(folder, split, faults) for folder in folders]
    return [run for run in runs if run is not None]


def raise_all(faults: Sequence[UserError], what: str) -> None:
    """Raise one UserError that lists all faults; do nothing without any."""
    if not faults:
        return
    if len(faults) == 1:
        raise faults[0]
    texts = (str(fault).replace("\n", "\n   ") for fault in faults)
    listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(texts, start=1))
    raise UserError(f"{what}, {len(faults)} faults:\n{listed}", "mend each as it says")


def _read_run(folder: Path, split: str, faults: list[UserError]) -> Run | None:
    """Read everything that can be read, note what cannot."""
    if not folder.is_dir():
        faults.append(UserError(f"run folder not found: {folder}", "check the path"))
        return None
    found = len(faults)
    reader = _Reader(folder, faults)
    config = reader.json(CONFIG_JSON)
    record = reader.json(RUN_FILE)
    history = reader.call(lambda: load_history(folder)) or []
    if not _tested(folder, split, faults):
        return None
    test = f"test_{split}"
    metrics = reader.json(f"{test}/{METRICS_FILE}", "test_metrics")
    provenance = reader.json(f"{test}/{PROVENANCE_FILE}", "provenance")
    results = reader.call(lambda: load_results(folder / test / RESULTS_FILE))
    if len(faults) > found:
        return None
    hypothesis = reader.call(lambda: run_hypothesis(config, record, folder))
    if results is None or hypothesis is None:
        return None
    faults += _contradictions(folder, split, config, metrics, provenance, results)
    return Run(folder, split, hypothesis, config, record, history, metrics, provenance, results)


class _Reader:
    """Reads the files of one run folder and collects what is wrong with them."""

    def __init__(self, folder: Path, faults: list[UserError]) -> None:
        self._folder = folder
        self._faults = faults

    def call(self, read: Callable[[], _T]) -> _T | None:
        """What `read` returns; None, and a fault noted, if it raises a UserError."""
        try:
            return read()
        except UserError as error:
            self._faults.append(error)
            return None

    def json(self, name: str, schema: str | None = None) -> dict[str, Any]:
        """The object in a JSON file; empty, and a fault noted, if there is none."""
        path = self._folder / name

        def read() -> dict[str, Any]:
            content = read_object(path)
            if schema:
                validate(schema, content, path)
            return content

        return self.call(read) or {}


def _tested(folder: Path, split: str, faults: list[UserError]) -> bool:
    """Whether the folder holds a test of the split; a fault is noted if not."""
    test = folder / f"test_{split}"
    needed = (METRICS_FILE, RESULTS_FILE, PROVENANCE_FILE)
    missing = [name for name in needed if not (test / name).is_file()]
    if not missing:
        return True
    if METRICS_FILE not in missing:
        message = f"{test} has no {' and no '.join(missing)}: an earlier seglab wrote it, or it is "
        message += "not whole"
    else:
        others = sorted(path.parent.name for path in folder.glob(f"test_*/{METRICS_FILE}"))
        there = f" (there are: {', '.join(others)})" if others else ""
        message = f"{folder} has no test results for {split}{there}"
    faults.append(UserError(message, f"run: {test_command(folder, split)}"))
    return False


def test_command(folder: Path, split: str) -> str:
    """The command line that scores a run's best checkpoint on a split."""
    kept = [p for p in folder.glob("best_*") if p.suffix in (".pth", ".safetensors")]
    checkpoints = sorted(kept, key=lambda path: path.stat().st_mtime)
    checkpoint = str(checkpoints[-1]) if checkpoints else "CHECKPOINT.pth"
    command = ["seglab", "test", "--config", str(folder / CONFIG_JSON), "--checkpoint", checkpoint]
    return shlex.join([*command, "--split", split])


def _contradictions(
    folder: Path,
    split: str,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any],
    results: ImageResults,
) -> Iterator[UserError]:
    """What the files of one run say against each other."""
    test = folder / f"test_{split}"
    again = f"run: {test_command(folder, split)}"
    if (metrics["split"], provenance["data"]["split"]) != (split, split):
        yield UserError(f"{test} holds the results of the {metrics['split']} split", again)
    expected = _config_classes(config)
    if expected and results.classes != expected:
        yield UserError(
            f"{test / RESULTS_FILE} has matrices of {len(results.classes)} classes "
            f"({', '.join(results.classes)}), {folder / CONFIG_JSON} declares {len(expected)} "
            f"({', '.join(expected)})",
            again,
        )
    if tuple(metrics["classes"]) != results.classes:
        yield UserError(
            f"{test / METRICS_FILE} and {RESULTS_FILE} beside it name different classes", again
        )
        return
    hashed = set(provenance["data"]["files"])
    if hashed != set(results.sample_ids) or metrics["images"] != len(results.sample_ids):
        yield UserError(
            f"{test}: {RESULTS_FILE} holds {len(results.sample_ids)} images, {METRICS_FILE} "
            f"{metrics['images']}, {PROVENANCE_FILE} {len(hashed)}, or others",
            again,
        )
    wrong = _wrong_figures(metrics["metrics"], published_metrics(results))
    if wrong:
        shown = "; ".join(wrong[:3]) + ("; ..." if len(wrong) > 3 else "")
        yield UserError(
            f"{test / METRICS_FILE}: {len(wrong)} figures do not follow from {RESULTS_FILE} "
            f"({shown}): it was changed by hand, or the two are of different tests",
            again,
        )


def _wrong_figures(stored: Mapping[str, float | None], computed: Mapping[str, float]) -> list[str]:
    """The figures that differ, or that only one side has."""
    wrong = []
    for key in [*computed, *(key for key in stored if key not in computed)]:
        old = stored.get(key, math.inf)
        new = computed.get(key, math.inf)
        old = math.nan if old is None else old
        # The last digits may change with the version of numpy.
        same = math.isclose(old, new, rel_tol=1e-9, abs_tol=1e-9)
        if not same and not (math.isnan(old) and math.isnan(new)):
            wrong.append(f"{key} is {old:.6g}, computed {new:.6g}".replace("inf", "absent"))
    return wrong


def _config_classes(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The class names that the config's data sets declare; None if they do not."""
    waiting = [config.get(f"{split}_dataloader") for split in ("train", "val", "test")]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, Mapping):
            metainfo = node.get("metainfo")
            if isinstance(metainfo, Mapping) and metainfo.get("classes"):
                return tuple(map(str, metainfo["classes"]))
            waiting += [node.get("dataset"), node.get("datasets")]
        elif isinstance(node, list):
            waiting += node
    return None
