"""What the chosen model typically gets wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seglab.analysis.report import numbers
from seglab.analysis.report.context import Context, ranking_of, representative, seeds_of
from seglab.analysis.report.findings import KINDS, boundary_share, calibration
from seglab.analysis.report.markdown import Prose, bold, bullets, say, table
from seglab.analysis.run_folder import Run
from seglab.utils.breakdown import by_classes_present, by_object_size, error_budget
from seglab.utils.masks import BACKGROUND
from seglab.utils.test_utils import find_best_worst_samples, per_image_scores
from seglab.utils.visualization_utils import (
    plot_confusion_matrix,
    plot_metric_distribution,
    plot_reliability_diagram,
)

#: Worst images that are listed.
WORST = 10
#: Pairs of confused classes that are listed.
PAIRS = 10
#: Worst images that are shown.
PANELS = 3


def error_section(context: Context) -> list[str]:
    """Errors by kind, size, class, contour and confidence, and the worst images."""
    row = context.comparison.row(context.choice.id)
    run = representative(row)
    which = say(" (seed {seed})", seed=seeds_of([run])) if len(row.runs) > 1 else ""
    intro = say(
        "Of the chosen model, {name}{which}, on the {images} of {split}.",
        name=bold(row.id),
        which=which,
        images=numbers.quantity(len(run.results.sample_ids), "image"),
        split=run.split,
    )
    blocks = [intro, "### By kind of error", *_budget(context, run)]
    blocks += ["### By size of the object", *_sizes(run)]
    blocks += ["### By classes in the image", *_present(run)]
    blocks += ["### At the contours and in confidence", *_contours(context, run)]
    return [*blocks, "### The worst images", *_worst(context, run)]


def _budget(context: Context, run: Run) -> list[str]:
    """What mending each kind of error would bring."""
    rows = []
    for entry in error_budget(run.results.matrices, run.classes)[: len(KINDS) + PAIRS]:
        name = KINDS[str(entry["kind"])]
        if entry["truth"] is not None:
            name = f"{entry['truth']} taken for {entry['prediction']}"
        rows.append(
            (
                name,
                numbers.count(_number(entry["pixels"])),
                f"{numbers.fixed(_number(entry['error_percent']), 1)} %",
                numbers.signed(_number(entry["gain_mDice"])),
            )
        )

    def plot(path: Path) -> Path:
        return plot_confusion_matrix(run.results.matrices.sum(axis=0), run.classes, path)

    caption = "Confusion matrix: what the pixels of each true class (row) are taken for"
    return [
        "The last column is what mDice would gain, in points, if an oracle mended exactly these "
        "pixels: the most that work on this kind of error can bring. The gains cannot be added.",
        table(("error", "pixels", "of all wrong pixels", "oracle gain"), rows),
        context.pictures.draw("chosen_confusion", caption, plot),
    ]


def _sizes(run: Run) -> list[str]:
    rows = by_object_size(run.results.matrices, run.classes)
    if not rows:
        return ["No image has an object."]
    objects = run.classes[BACKGROUND + 1 :]
    first, last = rows[0], rows[-1]
    text = say(
        "An object is all pixels of one class in one image. Objects are put in four groups of "
        "about equal number by their area. Dice and recall are those of the object's class in its "
        "image, as the mean over the objects; the pooled Dice is that of all their pixels together."
    )
    reading = say(
        "The smallest ({small} % of the image at most) have a mean Dice of {low} %, the largest "
        "(from {large} % on) {high} %.",
        small=numbers.fixed(_number(first["max_percent"]), 1),
        low=numbers.fixed(_number(first["mean/Dice"])),
        large=numbers.fixed(_number(last["min_percent"]), 1),
        high=numbers.fixed(_number(last["mean/Dice"])),
    )
    content = [
        (
            entry["quartile"],
            f"{numbers.fixed(_number(entry['min_percent']), 1)} to "
            f"{numbers.fixed(_number(entry['max_percent']), 1)}",
            entry["objects"],
            numbers.fixed(_number(entry["mean/Dice"])),
            numbers.fixed(_number(entry["mean/Recall"])),
            numbers.fixed(_number(entry["pooled/Dice"])),
            ", ".join(f"{entry[f'objects/{name}']} {name}" for name in objects),
        )
        for entry in rows
    ]
    header = (
        "group",
        "% of the image",
        "objects",
        "mean Dice",
        "mean recall",
        "pooled Dice",
    )
    return [text, reading, table((*header, "of which"), content, text_last=True)]


def _present(run: Run) -> list[str]:
    rows = [
        (
            entry["classes"],
            entry["images"],
            numbers.fixed(_number(entry["image_mean/mDice"])),
            f"{numbers.fixed(_number(entry['confused_percent']), 1)} %",
        )
        for entry in by_classes_present(run.results.matrices, run.classes)
    ]
    header = ("objects in the truth", "images", "mean mDice of the images")
    return [table((*header, "object pixels given to another object class"), rows)]


def _contours(context: Context, run: Run) -> list[str]:
    sentences = [*boundary_share(run), *calibration(run)]
    if not sentences:
        return ["Neither contours nor confidence were measured for this run."]
    blocks = [bullets(sentences)]
    histograms = run.results.calibration
    if histograms is not None:
        total = histograms.sum(axis=0)

        def plot(path: Path) -> Path:
            return plot_reliability_diagram(total, path)

        caption = (
            "Reliability: how often pixels of a given confidence are right. Over all pixels the "
            "confidence can be believed on the diagonal; object pixels lie below it even then."
        )
        blocks.append(context.pictures.draw("chosen_reliability", caption, plot))
    return blocks


def _worst(context: Context, run: Run) -> list[str]:
    """The worst images by id, with what is in them and what went wrong."""
    matrices = run.results.matrices
    scores = per_image_scores(matrices)
    _, worst = find_best_worst_samples(scores, run.results.sample_ids, WORST)
    place = {name: index for index, name in enumerate(run.results.sample_ids)}
    rows = []
    for sample in worst:
        matrix = matrices[place[sample.sample_id]]
        budget = error_budget(matrix[None], run.classes)[: len(KINDS)]
        wrong = sum(_number(entry["pixels"]) for entry in budget)
        present = [
            name
            for name, pixels in zip(run.classes, matrix.sum(axis=1), strict=True)
            if pixels and name != run.classes[BACKGROUND]
        ]
        rows.append(
            (
                sample.sample_id,
                ", ".join(present) or "none",
                numbers.fixed(sample.score),
                numbers.share(wrong, int(matrix.sum())),
                *(numbers.share(_number(entry["pixels"]), wrong, 0) for entry in budget),
            )
        )
    header = ("image", "objects in it", "mDice %", "wrong pixels")
    groups = _groups(run)

    def plot(path: Path) -> Path:
        return plot_metric_distribution(
            scores, path, "mDice", groups, run.classes, run.metrics.get("palette")
        )

    caption = "mDice of each image, all together and by the class in it"
    return [
        Prose("Of the wrong pixels: false positives, missed, of the wrong class."),
        table((*header, "false positive", "missed", "wrong class"), rows, text_columns=2),
        *_panels(context, run),
        context.pictures.draw("chosen_distribution", caption, plot),
    ]


def _panels(context: Context, run: Run) -> list[str]:
    """The very worst images, where the run's folder has their pictures."""
    prefix = f"{run.split}_worst_"
    names = sorted(name for name in run.metrics["pictures"] if name.startswith(prefix))
    return [
        context.pictures.copy(
            f"chosen_worst_{rank:02d}",
            say(
                "The image ranked {rank} of the worst by {ranking}.",
                rank=rank,
                ranking=ranking_of(run),
            ),
            run.test_folder / name,
        )
        for rank, name in enumerate(names[:PANELS], start=1)
        if (run.test_folder / name).is_file()
    ]


def _groups(run: Run) -> dict[str, np.ndarray]:
    """Images with each object class in their truth."""
    present = run.results.matrices.sum(axis=2) > 0
    return {
        name: present[:, index]
        for index, name in enumerate(run.classes)
        if index != BACKGROUND and present[:, index].any()
    }


def _number(value: float | str | None) -> float:
    """A figure of a breakdown's row."""
    assert isinstance(value, int | float)
    return float(value)
