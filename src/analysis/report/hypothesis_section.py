"""One section for each hypothesis: what it asks, what it changed, what came of it."""

from __future__ import annotations

import math
from pathlib import Path

from seglab.analysis.comparison import Comparison, Pair, Row
from seglab.analysis.comparison_tables import hypothesis_facts, outcome_word
from seglab.analysis.report import numbers
from seglab.analysis.report.context import Context, ranking_of, representative, seeds_of
from seglab.analysis.report.findings import monitor_of, run_findings
from seglab.analysis.report.markdown import Prose, bold, bullets, escape, join_words, say, table
from seglab.analysis.run_folder import Run
from seglab.utils.config_diff import ABSENT, SETTING_WIDTH, format_value
from seglab.utils.masks import BACKGROUND
from seglab.utils.visualization_utils import plot_training_curves

#: Figures of the table besides those that are compared, with what they are.
_OTHERS = {
    "mAcc": "mean recall of the classes",
    "mBoundaryIoU": "mean IoU of bands along the contours",
    "mNSD": "share of the contours that agree",
    "mHD95": "distance of the contours, 95th percentile; lower is better",
    "ECE": "calibration error over all pixels; lower is better",
    "ECE/objects": "calibration error over object pixels; lower is better",
    "image_mean/mDice": "mean of the images' own mDice",
}
_MEANINGS = {
    "mDice": "mean Dice of the classes",
    "mIoU": "mean IoU of the classes",
    "aAcc": "share of all pixels that are right",
}
#: Points by which recall and precision must part for one to be called traded for the other.
_TRADED = 1.0
_PER_CLASS = ("Dice", "IoU", "Precision", "Recall", "BoundaryIoU", "NSD", "HD95")


def hypothesis_section(context: Context, row: Row) -> list[str]:
    """Everything about one hypothesis but how it compares with all the others."""
    run, pair = representative(row), context.comparison.pair(row.id)
    blocks = [facts_block(context.comparison, row, pair)]
    if len(row.runs) > 1:
        blocks.append(
            say(
                "Figures are means over the {count}. Curves, pictures and "
                "analysis show seed {seed}, the one with the median mDice.",
                count=numbers.quantity(len(row.runs), "seed"),
                seed=seeds_of([run]),
            )
        )
    blocks += ["#### What was changed", *changes_blocks(row, pair)]
    blocks += ["#### Training", *_training(context, row, run)]
    blocks += ["#### Figures", _figures(row, pair), _per_class(row)]
    blocks += ["#### Verdict", *verdict_blocks(row, pair)]
    blocks += ["#### Best and worst images", *_panels(context, row, run)]
    return [*blocks, "#### Analysis", bullets([*_gains(context, pair), *run_findings(run)])]


def facts_block(comparison: Comparison, row: Row, pair: Pair | None) -> str:
    """What a hypothesis asks, changes and expects, its seeds and its verdict, as a list."""
    lines = dict(hypothesis_facts(comparison, row.id))
    lines["parent"] = row.hypothesis.parent or "none: a baseline"
    lines["training seeds"] = seeds_of(row.runs)
    lines["verdict"] = outcome_word(pair)
    return "\n".join(f"- {bold(name)}: {escape(text)}" for name, text in lines.items())


def changes_blocks(row: Row, pair: Pair | None, width: int = SETTING_WIDTH) -> list[str]:
    """The effective difference of the configs; values longer than `width` are cut."""
    if pair is None:
        return ["There is no other run here that it is a change of."]
    against = say("Against {before}", before=pair.before)
    if not pair.is_parent:
        against = say(
            "The parent is not among the runs of this report; against {before}, which stands in "
            "for it"
            if row.hypothesis.parent
            else "It names no parent; against {before}, the reference",
            before=pair.before,
        )
    if not pair.changes:
        return [f"{against}, the resolved configs do not differ in anything that takes effect."]
    rows = [
        (change.key, _setting(change.before, width), _setting(change.after, width))
        for change in pair.changes
    ]
    return [
        f"{against}, this differs in the resolved configs:",
        table(("setting", "before", "after"), rows, text_columns=3),
    ]


def _setting(value: object, width: int) -> str:
    return "not set" if value is ABSENT else format_value(value, width)


def _training(context: Context, row: Row, run: Run) -> list[str]:
    if not any("epoch" in record for record in run.history):
        return ["The run's history holds no epoch."]
    monitor = monitor_of(run)
    caption = say(
        "Training of {label}: loss, learning rate, and {monitor} by epoch; the dashed line marks "
        "the epoch whose checkpoint was kept.",
        label=run.label,
        monitor=monitor,
    )

    def plot(path: Path) -> Path:
        palette = run.metrics.get("palette")
        return plot_training_curves(run.history, path, run.classes, palette, monitor)

    return [context.pictures.draw(f"{context.place(row)}_curves", caption, plot)]


def _figures(row: Row, pair: Pair | None) -> str:
    """Overall figures; those that are resampled with their intervals."""
    rows: list[tuple[object, ...]] = []
    for key, meaning in _MEANINGS.items():
        estimate = row.estimates[key]
        cells = [key, meaning, numbers.with_unit(key, estimate.value)]
        cells.append(numbers.between(estimate.interval))
        if pair is not None:
            difference = pair.differences[key]
            cells += [
                numbers.signed(difference.value),
                numbers.between(difference.interval, sign=True),
            ]
        rows.append(tuple(cells))
    for key, meaning in _OTHERS.items():
        value = numbers.mean([run.figures.get(key, math.nan) for run in row.runs])
        if math.isfinite(value):
            empty = [numbers.NONE] * (1 if pair is None else 3)
            rows.append((key, meaning, numbers.with_unit(key, value), *empty))
    header = ["figure", "what it is", "value", numbers.INTERVAL]
    if pair is not None:
        header += [f"against {pair.before}", numbers.INTERVAL]
    return table(header, rows, text_columns=2)


def _per_class(row: Row) -> str:
    """Figures of each class; the Dice with its interval."""
    rows = []
    measured = [
        name
        for name in _PER_CLASS
        if any(f"{name}/{class_name}" in row.runs[0].figures for class_name in row.runs[0].classes)
    ]
    for class_name in row.runs[0].classes:
        estimate = row.estimates[f"Dice/{class_name}"]
        cells: list[object] = [class_name, numbers.fixed(estimate.value)]
        cells.append(numbers.between(estimate.interval))
        for name in measured[1:]:
            key = f"{name}/{class_name}"
            values = [run.figures.get(key, math.nan) for run in row.runs]
            cells.append(numbers.fixed(numbers.mean(values)))
        rows.append(cells)
    names = ["HD95 (px)" if name == "HD95" else f"{name} %" for name in measured]
    return table(("class", names[0], numbers.INTERVAL, *names[1:]), rows)


def _panels(context: Context, row: Row, run: Run) -> list[str]:
    """The best and worst predictions, where the run's folder has their pictures."""
    name = f"{run.split}_overview.png"
    path = run.test_folder / name
    if name not in run.metrics["pictures"] or not path.is_file():
        return [
            "No pictures: the run's folder holds none (its light form has no photographs). Where "
            "the data is present, `seglab test` draws them."
        ]
    caption = say(
        "Best and worst images of {label} by {ranking}: image, truth, prediction, and where and "
        "how the prediction errs.",
        label=run.label,
        ranking=ranking_of(run),
    )
    return [context.pictures.copy(f"{context.place(row)}_overview", caption, path)]


def _gains(context: Context, pair: Pair | None) -> list[Prose]:
    """Which class gained and which lost against the other run."""
    if pair is None:
        return []
    gains = {
        name: pair.differences[f"Dice/{name}"].value
        for name in context.comparison.classes[BACKGROUND + 1 :]
        if math.isfinite(pair.differences[f"Dice/{name}"].value)
    }
    if not gains:
        return []
    most, least = max(gains, key=lambda name: gains[name]), min(gains, key=lambda name: gains[name])
    text = say(
        "Against {before} the Dice of {name} changes by {points} points",
        before=pair.before,
        name=most,
        points=numbers.signed(gains[most]),
    )
    if most != least:
        rest = say(
            " and that of {name} by {points}", name=least, points=numbers.signed(gains[least])
        )
        text = Prose(f"{text}{rest}")
    return [Prose(f"{text}."), *_trade(context, pair)]


def _trade(context: Context, pair: Pair) -> list[Prose]:
    """Recall won at the cost of precision, or the other way round."""
    before, after = context.comparison.row(pair.before), context.comparison.row(pair.after)

    def change(key: str) -> float:
        means = [numbers.mean([run.figures[key] for run in row.runs]) for row in (before, after)]
        return means[1] - means[0]

    found = []
    for name in context.comparison.classes[BACKGROUND + 1 :]:
        recall, precision = change(f"Recall/{name}"), change(f"Precision/{name}")
        if min(recall, precision) < -_TRADED and max(recall, precision) > _TRADED:
            found.append(
                say(
                    "{name} (recall {recall}, precision {precision})",
                    name=name,
                    recall=numbers.signed(recall),
                    precision=numbers.signed(precision),
                )
            )
    if not found:
        return []
    return [
        say("It trades one kind of error for another, in points: {found}.", found=join_words(found))
    ]


def verdict_blocks(row: Row, pair: Pair | None) -> list[str]:
    """The verdict on a hypothesis, and what each expectation was judged by."""
    if pair is None:
        why = "it is a baseline"
        if row.hypothesis.parent:
            why = say("its parent {parent} is not among these runs", parent=row.hypothesis.parent)
        return [
            f"> {bold('Not judged')}: {why}. It is the reference for those without a parent here."
        ]
    verdict = pair.verdict
    word = outcome_word(pair).capitalize()
    repeated = verdict.sentence.startswith(f"{word}: ")
    sentence = escape(verdict.sentence.removeprefix(f"{word}: "))
    blocks = [f"> {bold(word)}{':' if repeated else '.'} {sentence}"]
    if verdict.judgements:
        words = {"+": "rises", "-": "falls", "=": "stays"}
        rows = [
            (
                judgement.key,
                words[judgement.expected],
                numbers.signed(judgement.difference.value if judgement.difference else None),
                numbers.between(judgement.difference.interval, sign=True)
                if judgement.difference
                else numbers.NONE,
                numbers.probability(judgement.difference.adjusted_p)
                if judgement.difference
                else numbers.NONE,
                judgement.outcome.value,
            )
            for judgement in verdict.judgements
        ]
        header = ("figure", "expected", "difference", numbers.INTERVAL, "p (Holm)", "outcome")
        blocks.append(table(header, rows, text_columns=2, text_last=True))
    return blocks
