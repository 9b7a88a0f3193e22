"""The data: what the folder holds where it is present, else what the runs tell of it."""

from __future__ import annotations

from seglab.analysis.report import numbers
from seglab.analysis.report.context import Context
from seglab.analysis.report.data_folder import MaskFolder
from seglab.analysis.report.markdown import Prose, bullets, join_words, say, table
from seglab.analysis.run_folder import Run
from seglab.utils.run_files import dig


def data_section(context: Context) -> list[str]:
    """Images, masks and classes of the data."""
    first = context.comparison.rows[0].runs[0]
    blocks = ["### The images that were scored", _scored(context, first)]
    blocks.append(_class_table(first))
    blocks += ["### The images that were trained on", *_trained(context)]
    if context.data is None:
        blocks += [
            "### The data folder",
            "It was not present when this report was made: the photographs and the other versions "
            "of the masks are not described, and no photograph is shown.",
        ]
    else:
        blocks += ["### The data folder", *_folder(context)]
    return blocks + _exploration(context)


def _scored(context: Context, run: Run) -> Prose:
    matrix = run.results.matrices.sum(axis=0)
    return say(
        "{whose}{images} of the split {split}, {pixels} pixels with a label, masks from the folder "
        "{masks}. One fingerprint (SHA-256) of all images: {images_hash}; of all masks: "
        "{labels_hash}.",
        whose=say("As {label} was scored: ", label=run.label) if context.comparison.forced else "",
        images=numbers.quantity(len(run.results.sample_ids), "image"),
        split=run.split,
        pixels=numbers.count(matrix.sum()),
        masks=dig(run.provenance, "data", "mask_dir") or "the config names",
        images_hash=run.provenance["data"]["images"][:_DIGITS],
        labels_hash=run.provenance["data"]["labels"][:_DIGITS],
    )


#: Digits of a hash that are shown where the whole one stands further below.
_DIGITS = 12


def _class_table(run: Run) -> str:
    """Share of each class in the true pixels, and in how many images it is."""
    truth = run.results.matrices.sum(axis=2)
    return table(
        ("class", "true pixels", "share", "images with it"),
        [
            (
                name,
                numbers.count(pixels),
                numbers.share(pixels, int(truth.sum()), 2),
                numbers.count(images),
            )
            for name, pixels, images in zip(
                run.classes, truth.sum(axis=0), (truth > 0).sum(axis=0), strict=True
            )
        ],
    )


def _trained(context: Context) -> list[str]:
    """The training sets, as the records give them; hypotheses on the same one in one line."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for row in context.comparison.rows:
        data = dig(row.runs[0].record, "data", "train") or {}
        mask_dir = dig(row.runs[0].config, "train_dataloader", "dataset", "mask_dir")
        key = (
            data.get("files"),
            mask_dir,
            data.get("images_sha256"),
            data.get("labels_sha256"),
        )
        groups.setdefault(key, []).append(row.id)
    rows = [
        (
            join_words(names),
            mask_dir or numbers.NONE,
            numbers.count(files if isinstance(files, int) else None),
            str(images or numbers.NONE)[:_DIGITS],
            str(labels or numbers.NONE)[:_DIGITS],
        )
        for (files, mask_dir, images, labels), names in groups.items()
    ]
    header = ("hypotheses", "masks from", "images", "SHA-256 of the images", "of the masks")
    return [table(header, rows, text_columns=2)]


def _folder(context: Context) -> list[str]:
    data = context.data
    assert data is not None
    names = [f"{masks.version}/{masks.split}" for masks in data.masks]
    counts = [
        (name, numbers.count(masks.masks), numbers.count(masks.images))
        for name, masks in zip(names, data.masks, strict=True)
    ]
    rows = [
        (class_name, *(_share(masks, index) for masks in data.masks))
        for index, class_name in enumerate(context.comparison.classes)
    ]
    blocks: list[str] = [
        "Every version of the masks, by split:",
        table(("folder", "masks", "images of the split"), counts),
        "Share of each class in the labelled pixels, and in how many masks it occurs:",
        table(("class", *names), rows),
    ]
    remarks = [remark for masks in data.masks for remark in _remarks(masks)]
    if data.changed:
        shown = data.changed[:_NAMES]
        remarks.append(
            say(
                "In this folder {count} of the split {split} do not match what the runs were "
                "scored on ({names}{more}): the figures of this report belong to other files.",
                count=numbers.quantity(len(data.changed), "sample"),
                split=context.comparison.split,
                names=", ".join(shown),
                more=", ..." if len(data.changed) > _NAMES else "",
            )
        )
    elif data.changed is not None:
        remarks.append(
            say(
                "The images and masks of the split {split} are, byte for byte, those the runs were "
                "scored on.",
                split=context.comparison.split,
            )
        )
    return [*blocks, bullets(remarks)] if remarks else blocks


#: Sample ids that a remark names.
_NAMES = 5


def _share(masks: MaskFolder, index: int) -> str:
    share = numbers.share(int(masks.pixels[index]), int(masks.pixels.sum()), 2)
    return f"{share} (in {numbers.count(int(masks.containing[index]))})"


def _remarks(masks: MaskFolder) -> list[Prose]:
    """What is odd about a folder of masks."""
    found = []
    name = f"{masks.version}/{masks.split}"
    if masks.masks != masks.images:
        found.append(
            say(
                "{name} has {masks} for {images}.",
                name=name,
                masks=numbers.quantity(masks.masks, "mask"),
                images=numbers.quantity(masks.images, "image"),
            )
        )
    counted = int(masks.pixels.sum()) + masks.ignored + masks.unknown
    if masks.ignored:
        share = numbers.share(masks.ignored, counted, 2)
        found.append(say("{share} of the pixels of {name} are ignored.", share=share, name=name))
    if masks.unknown:
        found.append(
            say(
                "{pixels} pixels of {name} have a value that is no class: the masks need mending.",
                pixels=numbers.count(masks.unknown),
                name=name,
            )
        )
    return found


def _exploration(context: Context) -> list[str]:
    """Findings and pictures of the exploration, where there are some."""
    exploration = context.exploration
    if not (exploration.findings or exploration.pictures):
        return []
    blocks = ["### What exploring the data found"]
    if exploration.findings:
        blocks.append(bullets(exploration.findings))
    return blocks + [
        context.pictures.copy(f"eda_{index:02d}", path.stem.replace("_", " "), path)
        for index, path in enumerate(exploration.pictures, start=1)
    ]
