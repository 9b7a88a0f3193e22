"""The look at the data from end to end: read once, gather, draw, write."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from seglab.data.exploration.charts import Classes, draw_charts
from seglab.data.exploration.differences import Difference, compare_splits
from seglab.data.exploration.duplicates import Duplicates, DuplicateSearch
from seglab.data.exploration.findings import Finding, collect_findings
from seglab.data.exploration.listing import Sample, Split, list_splits, raise_all
from seglab.data.exploration.measure import SampleFacts, measure_sample
from seglab.data.exploration.page import write_page
from seglab.data.exploration.samples import draw_samples, evenly
from seglab.data.exploration.statistics import SplitStatistics
from seglab.utils.io_utils import read_json, require_writable, write_json, write_text
from seglab.utils.masks import BACKGROUND, ImageArray, Palette, class_colors
from seglab.utils.paths import name_fault

SCHEMA = 1
JSON_FILE = "eda.json"
PAGE_FILE = "eda.md"
_CHUNK = 256  # samples that are in flight at a time
_GRID = 12
_CONFLICTS_SHOWN = 12


@dataclass(frozen=True)
class Options:
    """What to look at.

    Attributes:
        data_root: Holds `img_dir/SPLIT` and `mask_dir/SPLIT`.
        split: A split, several with commas between, or 'all'.
        img_dir: Image folder in the root.
        mask_dir: Mask folder in the root.
        ignore_index: Mask value that belongs to no class.
        tiny_percent: A component is tiny below this share of its image, in percent.
        classes: Class names; None: named by their value as far as values go.
        palette: RGB colours of the classes; None: the default ones.
    """

    data_root: Path
    split: str = "train"
    img_dir: str = "img"
    mask_dir: str = "labels"
    ignore_index: int = 255
    tiny_percent: float = 0.1
    classes: tuple[str, ...] | None = None
    palette: Palette | None = None


@dataclass(frozen=True)
class Look:
    """Everything that was gathered of a data set."""

    options: Options
    splits: tuple[Split, ...]
    statistics: tuple[SplitStatistics, ...]
    names: tuple[str, ...]
    colors: ImageArray
    duplicates: tuple[Duplicates, ...]
    differences: tuple[Difference, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class WrittenFiles:
    """What was written."""

    json: Path
    page: Path
    figures: tuple[Path, ...]


def look_at(options: Options) -> Look:
    """Read every image and mask once and gather what they hold.

    Pixels are dropped as soon as they are counted; of each image only its name and its hashes
    stay.

    Raises:
        UserError: Folders or files cannot be used: all of them at once.
    """
    splits = list_splits(options.data_root, options.split, options.img_dir, options.mask_dir)
    statistics = [
        SplitStatistics(split.name, options.ignore_index, options.tiny_percent) for split in splits
    ]
    search = DuplicateSearch()
    faults: list[str] = []
    with tqdm(
        total=sum(len(split.samples) for split in splits),
        desc="eda",
        unit="image",
        delay=0.5,
        leave=False,
    ) as progress:
        for split, gathered in zip(splits, statistics, strict=True):
            for facts in _measure(split.samples, options):
                faults += facts.faults
                gathered.add(facts)
                search.add(facts)
                progress.update()
    raise_all(faults)
    names = options.classes or _default_names(statistics)
    duplicates = search.groups()
    differences = compare_splits(statistics, names)
    findings = _orphan_findings(splits, options.mask_dir) + collect_findings(
        statistics, names, duplicates, differences, options.tiny_percent
    )
    return Look(
        options,
        tuple(splits),
        tuple(statistics),
        names,
        class_colors(len(names), options.palette),
        tuple(duplicates),
        tuple(differences),
        tuple(findings),
    )


def write_look(look: Look, output_dir: Path) -> WrittenFiles:
    """Draw and write everything; files appear in the folder when all of them are whole.

    Raises:
        UserError: The folder cannot be written.
    """
    require_writable(output_dir, "--output-dir")
    stage = Path(tempfile.mkdtemp(dir=output_dir, prefix=".eda."))
    try:
        with ThreadPoolExecutor(1) as pool:  # Pillow reads and writes beside matplotlib
            grids = pool.submit(_draw_grids, look, stage)
            figures = draw_charts(look.statistics, _shown_classes(look), stage) + grids.result()
        summary = summarise(look)
        summary["pictures"] = [figure.name for figure in figures]
        write_text(stage / PAGE_FILE, write_page(summary, look.findings, figures))
        write_json(stage / JSON_FILE, summary)
        _remove_earlier(output_dir, keep=summary["pictures"])
        written = [path.replace(output_dir / path.name) for path in figures]
        page = (stage / PAGE_FILE).replace(output_dir / PAGE_FILE)
        return WrittenFiles(
            (stage / JSON_FILE).replace(output_dir / JSON_FILE), page, tuple(written)
        )
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def summarise(look: Look) -> dict[str, Any]:
    """What `eda.json` holds, but for the list of pictures."""
    return {
        "schema": SCHEMA,
        "img_dir": look.options.img_dir,
        "mask_dir": look.options.mask_dir,
        "classes": look.names,
        "palette": look.colors,
        "ignore_index": look.options.ignore_index,
        "tiny_percent": look.options.tiny_percent,
        "findings": [finding.text for finding in look.findings],
        "details": [asdict(finding) for finding in look.findings],
        "splits": {split.name: split.summary(look.names) for split in look.statistics},
        "duplicates": [
            {**asdict(group), "conflicting": group.conflicting} for group in look.duplicates
        ],
        "differences": [
            {**asdict(d), "difference": d.difference, "beyond_chance": d.beyond_chance}
            for d in look.differences
        ],
    }


def _measure(samples: Sequence[Sample], options: Options) -> Iterator[SampleFacts]:
    """Measure in threads (decoding and OpenCV release the GIL), a bounded number at a time."""
    measure = partial(
        measure_sample,
        ignore_index=options.ignore_index,
        num_classes=len(options.classes) if options.classes else None,
    )
    workers = min(16, 2 * (os.cpu_count() or 1))
    cv2_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # many small pictures: threads inside each would only wait
    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
            warnings.simplefilter("ignore")  # large files are reported by their size
            for chunk in _chunks(samples):
                yield from pool.map(measure, chunk)
    finally:
        cv2.setNumThreads(cv2_threads)


def _chunks(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    stream = iter(samples)
    while chunk := list(islice(stream, _CHUNK)):
        yield chunk


def _default_names(statistics: Sequence[SplitStatistics]) -> tuple[str, ...]:
    highest = max(split.highest_value() for split in statistics)
    return ("background", *(f"class_{label}" for label in range(1, highest + 1)))


def _orphan_findings(splits: Sequence[Split], mask_dir: str) -> list[Finding]:
    return [
        Finding(
            "orphan-masks",
            f"{split.name}: {len(split.orphans)} masks in {mask_dir} belong to no image, such as "
            f"{split.orphans[0]}.",
            "Rename them as their images, or remove them: nothing reads them.",
            split.orphans[:100],
        )
        for split in splits
        if split.orphans
    ]


def _shown_classes(look: Look) -> Classes:
    return Classes.of(look.statistics, look.names, look.colors)


def _draw_grids(look: Look, folder: Path) -> list[Path]:
    """The grids of photographs: a sample of each split, the smallest objects, the conflicts."""
    samples = {sample.name: sample for split in look.splits for sample in split.samples}

    def draw(chosen: Sequence[Sample], title: str, name: str) -> Path:
        ignore = look.options.ignore_index
        return draw_samples(chosen, look.names, look.colors, ignore, title, folder / f"{name}.png")

    paths = []
    for index, split in enumerate(look.splits[:4]):
        labelled = [sample for sample in split.samples if sample.mask]
        title = f"{split.name}: {min(_GRID, len(labelled))} of {len(labelled)} labelled images"
        paths.append(draw(evenly(labelled, _GRID), title, f"samples_{index + 1}"))
    smallest = [
        item
        for split in look.statistics
        for label, content in split.classes.items()
        if label != BACKGROUND
        for item in content.smallest.items()
    ]
    names = list(dict.fromkeys(name for _, name in sorted(smallest)))[:_GRID]
    if names:
        title = "the smallest objects"
        paths.append(draw([samples[name] for name in names], title, "smallest_objects"))
    conflicts = [name for group in look.duplicates if group.conflicting for name in group.files]
    if conflicts:
        shown = [samples[name] for name in conflicts[:_CONFLICTS_SHOWN]]
        title = "the same picture, different masks"
        paths.append(draw(shown, title, "conflicting_duplicates"))
    return paths


def _remove_earlier(folder: Path, keep: Sequence[str]) -> None:
    """Remove the pictures of an earlier look at other data, which its JSON file lists."""
    path = folder / JSON_FILE
    earlier = read_json(path) if path.is_file() else {}
    names = earlier.get("pictures", []) if isinstance(earlier, dict) else []
    for name in names if isinstance(names, list) else []:
        inside = isinstance(name, str) and name == Path(name).name and name.endswith(".png")
        if inside and not name_fault(name) and name not in keep:
            (folder / name).unlink(missing_ok=True)
