"""How the study is scored: honestly, the lab's way, and what lies between the two."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from seglab.analysis.lab.ladder import LABS, OURS, Ladder, Step
from seglab.analysis.lab.ladder_chart import plot_ladders
from seglab.analysis.lab.story import Story
from seglab.analysis.report import numbers
from seglab.analysis.report.context import Pictures
from seglab.analysis.report.markdown import Prose, bold, bullets, join_words, say, sentences, table
from seglab.utils.lab_scores import ROW_IDS
from seglab.utils.run_files import dig

_BORDERS = {
    "ignore": "the trimap's border takes no part",
    "foreground": "the trimap's border counts as the object",
    "background": "the trimap's border counts as background",
}


def scoring_section(story: Story, pictures: Pictures) -> list[str]:
    """Both ways of scoring, the steps between them, and every model under both."""
    blocks: list[str] = [_ours(story), bullets(_figures(story))]
    missing = [row.id for row in story.comparison.rows if row.id not in story.ladders]
    if story.ladders:
        blocks += ["### From our score to the lab's", sentences([_labs(story), _trained(story)])]
        blocks.append(_steps(story))
        caption = say(
            "IoU of {name} from our score to the lab's. Each step changes one thing and keeps "
            "those before.",
            name=story.object_class,
        )

        def plot(path: Path) -> Path:
            return plot_ladders(story.ladders, story.object_class, path)

        blocks.append(pictures.draw("scoring", caption, plot))
        blocks.append(bullets(ladder_sentence(name, story.ladders[name]) for name in story.ladders))
        blocks += ["### Both scores side by side", _side_by_side(story)]
    if missing:
        blocks.append(
            say(
                "Not scored the lab's way: {names}. `seglab test --reproduce-lab` does that.",
                names=join_words(missing),
            )
        )
    return blocks


def _ours(story: Story) -> Prose:
    comparison = story.comparison
    run = comparison.rows[0].runs[0]
    border = dig(run.config, f"{comparison.split}_dataloader", "dataset", "border")
    return say(
        "**Ours** is every figure that is not called the lab's: on the {images} of {split} "
        "({looked}), without augmentation, in each photograph's own size, over the summed pixels "
        "of all images{border}.",
        images=numbers.quantity(len(comparison.sample_ids), "image"),
        split=comparison.split,
        looked=_looked(story),
        border=f"; {_BORDERS[border]}" if border in _BORDERS else "",
    )


def _looked(story: Story) -> str:
    """Which part of the training has seen the images that are scored."""
    runs = [run for row in story.comparison.rows for run in row.runs]
    split = story.comparison.split
    trained = {dig(run.config, "train_dataloader", "dataset", "split") for run in runs}
    if split in trained or (split == "val" and "trainval" in trained):
        return "some models were trained on them"
    if story.comparison.selected:
        return "the epoch of some models was chosen on them"
    if any(run.metrics["selected_on"] is None for run in runs):
        return "no training has looked at them, and no choice of an epoch is known to have"
    return "no training and no choice of an epoch has looked at them"


def _figures(story: Story) -> list[Prose]:
    return [
        say(
            "**IoU** of {name}: the pixels that prediction and truth share, divided by those in "
            "either. **mIoU**{spoken} is the mean of that of {classes}.",
            name=story.object_class,
            classes=join_words(story.comparison.classes),
            spoken=Prose(", which the hypotheses speak of," if _speak_of(story, "mIoU") else ""),
        ),
        say("**Mean over images**: the IoU of each image, averaged; every image weighs alike."),
        say("**Pixel accuracy**: the share of all pixels that are right."),
    ]


def _speak_of(story: Story, key: str) -> bool:
    """Whether a hypothesis expects something of a figure."""
    return any(key in row.hypothesis.expects for row in story.comparison.rows)


def _labs(story: Story) -> Prose:
    sizes = sorted({ladder.batch_size for ladder in story.ladders.values()})
    return say(
        "The lab that this study goes back to scored otherwise: on its own training images, with "
        "augmentation on, with the border as background, and as the mean of the IoU of each batch "
        "(of {sizes} images). From ours to **the lab's** one thing is changed at a time. The IoU "
        "of {name} in percent, and by how many points each step moves it; a dash is a step that "
        "changes nothing for a model, such as augmentation where its training has none.",
        sizes=join_words(sizes, "or"),
        name=story.object_class,
    )


def _trained(story: Story) -> Prose:
    """What the border's step does not show: networks that were trained on the border."""
    others = [
        row.id
        for row in story.comparison.rows
        if row.id in story.ladders
        and dig(row.runs[0].config, "train_dataloader", "dataset", "border") == "ignore"
    ]
    if not others or not any(ladder.step("border") for ladder in story.ladders.values()):
        return Prose("")
    return say(
        "The lab also trained with the border as background. {names} never saw it in training: "
        "what the border's step takes from them says nothing about networks that did.",
        names=join_words(others),
    )


def _steps(story: Story) -> str:
    rows = []
    for name in ROW_IDS:
        found = [ladder.step(name) for ladder in story.ladders.values()]
        example = next((step for step in found if step is not None), None)
        if example is None:
            continue
        cells = [
            _moved(step, ladder) for step, ladder in zip(found, story.ladders.values(), strict=True)
        ]
        rows.append((step_words(example, story.ladders), *cells))
    return table(("what changes", *story.ladders), rows)


def _moved(step: Step | None, ladder: Ladder) -> str:
    if step is None:
        return numbers.NONE
    value = numbers.fixed(step.figures["IoU"])
    change = ladder.changes().get(step.id)
    return value if change is None else f"{value} ({numbers.signed(change)})"


def step_words(step: Step, ladders: Mapping[str, Ladder]) -> Prose:
    """What a step changes, in words."""
    sizes = join_words(sorted({ladder.batch_size for ladder in ladders.values()}), "or")
    same = [found for ladder in ladders.values() if (found := ladder.step(step.id)) is not None]
    counts = sorted({int(found.facts["images"]) for found in same})
    *others, largest = counts
    images = join_words([*map(numbers.count, others), numbers.quantity(largest, "image")], "or")
    words = {
        OURS: bold("ours"),
        "border": say("the border is background"),
        "train_images": say(
            "the {images} of {split} take the place of the held-out ones",
            images=images,
            split=join_words(sorted({str(found.facts["split"]) for found in same}), "or"),
        ),
        "train_size": say("compared in the size that training resizes to"),
        "augmented": say("training's augmentation is on"),
        LABS: say("mean over batches of {sizes}: {name}", sizes=sizes, name=bold("the lab's")),
    }
    return words[step.id]


def ladder_sentence(name: str, ladder: Ladder) -> Prose:
    """What the lab's way makes of a model, and which of its choices does most."""
    ours, labs = ladder.ours.figures["IoU"], ladder.labs.figures["IoU"]
    moved = labs - ours
    if not math.isfinite(moved):
        return say("{name}: one of the two scores has no value.", name=bold(name))
    word = "as much as ours"
    if numbers.signed(moved) != numbers.fixed(0.0):
        word = f"{numbers.fixed(abs(moved))} points {'more' if moved > 0 else 'less'} than ours"
    return say(
        "{name}: the lab's way gives {labs} %, {word} ({ours} %).{most}",
        name=bold(name),
        labs=numbers.fixed(labs),
        word=word,
        ours=numbers.fixed(ours),
        most=_most(name, ladder),
    )


def _most(name: str, ladder: Ladder) -> Prose:
    """The step that moves a model's score most; nothing where none is seen to move it."""
    changes = ladder.changes()
    seen = [key for key, value in changes.items() if math.isfinite(value) and round(value, 2)]
    step = ladder.step(max(seen, key=lambda key: abs(changes[key]))) if seen else None
    if step is None:
        return Prose("")
    return say(
        " The step that moves it most: {step} ({change}).",
        step=step_words(step, {name: ladder}),
        change=numbers.signed(changes[step.id]),
    )


def _side_by_side(story: Story) -> str:
    rows: list[tuple[object, ...]] = []
    for row in story.comparison.rows:
        ladder = story.ladders.get(row.id)
        if ladder is None:
            continue
        ours, labs = ladder.ours.figures, ladder.labs.figures
        cells = [numbers.fixed(figures["IoU"]) for figures in (ours, labs)]
        cells.append(numbers.signed(labs["IoU"] - ours["IoU"]))
        for key in ("image_mean_IoU", "pixel_accuracy"):
            cells += [numbers.fixed(figures[key]) for figures in (ours, labs)]
        rows.append((row.id, *cells))
    return table(
        (
            "model",
            *("IoU %, ours", "IoU %, the lab's", "points"),
            *("mean over images %, ours", "the lab's"),
            *("pixel accuracy %, ours", "the lab's"),
        ),
        rows,
    )
