"""Charts of the gathered figures: shares, areas, centres, counts. No photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from seglab.data.exploration.statistics import ClassStatistics, SplitStatistics
from seglab.data.exploration.streams import Quartiles
from seglab.utils.figures import DARK, GREY, new_figure, plain, save_figure, shorten, unit_color
from seglab.utils.masks import BACKGROUND, ImageArray

_WIDTH = 9.0  # inches
_MOST_CLASSES = 20
_MOST_SPLITS = 4
_MOST_INSTANCES = 12
_MAPS = 3  # heat maps in a row


@dataclass(frozen=True)
class Classes:
    """The classes that charts show: label, name and colour, the background first."""

    labels: tuple[int, ...]
    names: tuple[str, ...]
    colors: ImageArray

    @classmethod
    def of(
        cls, splits: Sequence[SplitStatistics], names: Sequence[str], colors: ImageArray
    ) -> Classes:
        """The classes with most pixels, at most twenty, in the order of their labels."""
        pixels = np.sum([split.pixels[: len(names)] for split in splits], axis=0)
        largest = np.argsort(-pixels, kind="stable")[:_MOST_CLASSES]
        labels = tuple(sorted(largest.tolist()))
        return cls(labels, tuple(names[label] for label in labels), colors)

    def objects(self) -> list[tuple[int, str]]:
        """(label, name) of all but the background."""
        pairs = zip(self.labels, self.names, strict=True)
        return [(label, name) for label, name in pairs if label != BACKGROUND]


def draw_charts(splits: Sequence[SplitStatistics], classes: Classes, folder: Path) -> list[Path]:
    """Write every chart that the data has something for; returns the files in reading order."""
    shown = splits[:_MOST_SPLITS]
    paths = [_draw_shares(shown, classes, folder / "class_share.png")]
    if classes.objects():
        paths += [
            _draw_areas(shown, classes, folder / "object_area.png"),
            _draw_centres(shown, classes, folder / "object_centres.png"),
            _draw_counts(shown, classes, folder / "objects_per_image.png"),
        ]
    return [*paths, _draw_brightness(shown, folder / "image_brightness.png")]


def _rows(splits: Sequence[SplitStatistics], names: Sequence[str]) -> list[str]:
    """Row labels, a row for each class and split."""
    several = len(splits) > 1
    return [
        plain(shorten(name, 20)) + (f" ({plain(shorten(s.name, 10))})" if several else "")
        for name in names
        for s in splits
    ]


def _draw_shares(splits: Sequence[SplitStatistics], classes: Classes, path: Path) -> Path:
    rows = _rows(splits, classes.names)
    figure = new_figure(_WIDTH, 1.2 + 0.34 * len(rows))
    axes = figure.subplots(1, 2, sharey=True)
    colors = [unit_color(classes.colors[label]) for label in classes.labels for _ in splits]
    shares = [
        100.0 * split.pixels[label] / max(int(split.pixels.sum()), 1)
        for label in classes.labels
        for split in splits
    ]
    images = [
        100.0 * split.classes.get(label, ClassStatistics()).images / max(split.masks, 1)
        for label in classes.labels
        for split in splits
    ]
    for axis, values, title in ((axes[0], shares, "pixels"), (axes[1], images, "images")):
        bars = axis.barh(range(len(rows)), values, color=colors, height=0.7)
        axis.bar_label(bars, [_percent(value) for value in values], padding=3, fontsize=9.5)
        axis.set(xlim=(0, 118), xticks=range(0, 101, 25))
        axis.set_xlabel(f"% of the {title}")
        axis.set_title(f"class shares of {title}", fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    return save_figure(figure, path)


def _percent(value: float) -> str:
    return "0" if not value else f"{value:.1f} %" if value >= 0.05 else "<0.1 %"


def _draw_areas(splits: Sequence[SplitStatistics], classes: Classes, path: Path) -> Path:
    """Boxes from minimum to maximum, in percent of the image on a log axis."""
    names = [name for _, name in classes.objects()]
    rows = _rows(splits, names)
    figure = new_figure(_WIDTH, 1.6 + 0.5 * len(rows))
    axis = figure.subplots()
    gathered = [s.classes.get(c, ClassStatistics()) for c, _ in classes.objects() for s in splits]
    shades = [unit_color(classes.colors[label]) for label, _ in classes.objects() for _ in splits]
    lowest = 100.0
    for place, (content, color) in enumerate(zip(gathered, shades, strict=True)):
        box, pixels = content.area_percent.quartiles(), content.area_pixels.quartiles()
        if not box or not pixels:
            axis.annotate("none", (1.0, place), color=GREY, va="center")
            continue
        lowest = min(lowest, box.minimum)
        _draw_box(axis, place, box, color)
        for value, count in ((box.minimum, pixels.minimum), (box.maximum, pixels.maximum)):
            text = f"{count:,.0f} px"
            below = (0, -14) if len(rows) < 30 else (0, -8)
            axis.annotate(
                text, (value, place), below, textcoords="offset points", ha="center", fontsize=9
            )
    axis.set_xscale("log")
    axis.set_xlim(lowest / 2, 180)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlabel(
        "area of the class in an image that has it (% of the image, log axis)\n"
        "box: quartiles; line: median; whiskers: smallest and largest"
    )
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, path)


def _draw_box(axis: Axes, place: float, box: Quartiles, color: tuple[float, float, float]) -> None:
    """A horizontal box (matplotlib's `bxp` would load pyplot and with it a window system)."""
    width, cap = 0.5, 0.14
    axis.hlines(place, box.minimum, box.q1, color=DARK, linewidth=1.2)
    axis.hlines(place, box.q3, box.maximum, color=DARK, linewidth=1.2)
    for end in (box.minimum, box.maximum):
        axis.vlines(end, place - cap, place + cap, color=DARK, linewidth=1.2)
    axis.barh(place, box.q3 - box.q1, width, left=box.q1, facecolor=(*color, 0.6), edgecolor=DARK)
    axis.vlines(box.median, place - width / 2, place + width / 2, color=DARK, linewidth=1.8)


def _draw_centres(splits: Sequence[SplitStatistics], classes: Classes, path: Path) -> Path:
    """A heat map of the instances' centres for the most frequent classes, split by split."""
    objects = sorted(
        classes.objects(),
        key=lambda item: -sum(s.classes[item[0]].instances for s in splits if item[0] in s.classes),
    )[: _MAPS if len(splits) > 1 else 2 * _MAPS]
    objects.sort()
    columns = min(len(objects), _MAPS)
    cells = [(split, item) for split in splits for item in objects]
    lines = -(-len(cells) // columns)
    figure = new_figure(min(_WIDTH, 1.6 + 2.6 * columns), 0.7 + 2.6 * lines)
    axes = np.ravel(figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True))
    for axis in axes[len(cells) :]:
        axis.set_visible(False)
    shares = [_centre_shares(split.classes.get(label)) for split, (label, _) in cells]
    highest = max(1.0, *(float(share.max()) for share in shares))
    for axis, share, (split, (label, name)) in zip(axes, shares, cells, strict=False):
        picture = axis.imshow(share, cmap="viridis", extent=(0, 1, 1, 0), vmin=0, vmax=highest)
        axis.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        title = f"{plain(shorten(name, 14))}, {plain(shorten(split.name, 8))}"
        count = split.classes.get(label, ClassStatistics()).instances
        axis.set_title(f"{title} (n = {count:,})", fontsize=10)
    bar = figure.colorbar(picture, ax=axes.tolist(), fraction=0.05, pad=0.03)
    bar.set_label("% of the class's objects in a cell")
    figure.suptitle("where objects have their centre", fontsize=11)
    figure.supxlabel("share of the width", fontsize=10)
    figure.supylabel("share of the height", fontsize=10)
    return save_figure(figure, path)


def _centre_shares(content: ClassStatistics | None) -> npt.NDArray[np.float64]:
    """The heat map of a class in percent of its instances."""
    content = content or ClassStatistics()
    return 100.0 * content.centres / max(content.instances, 1)


def _draw_counts(splits: Sequence[SplitStatistics], classes: Classes, path: Path) -> Path:
    """Instances per image, and which classes are in an image together (all splits)."""
    side = 0.5 * len(classes.labels)
    figure = new_figure(_WIDTH, max(3.6, 1.6 + min(side, 6.0)))
    bars, grid = figure.subplots(1, 2, width_ratios=(1.1, 1))
    width = 0.8 / len(splits)
    for place, split in enumerate(splits):
        counts = np.zeros(_MOST_INSTANCES + 1)
        for number, images in split.instances.items():
            counts[min(number, _MOST_INSTANCES)] += 100.0 * images / max(split.masks, 1)
        where = np.arange(len(counts)) + (place - (len(splits) - 1) / 2) * width
        shade = str(0.25 + 0.5 * place / max(len(splits) - 1, 1)) if len(splits) > 1 else "0.4"
        bars.bar(where, counts, width, color=shade, label=plain(shorten(split.name, 16)))
    highest = max((n for split in splits for n in split.instances), default=0)
    last = f"{_MOST_INSTANCES}+" if highest > _MOST_INSTANCES else str(_MOST_INSTANCES)
    bars.set_xticks(range(_MOST_INSTANCES + 1), [*map(str, range(_MOST_INSTANCES)), last])
    bars.set_xlim(-0.6, max(min(highest, _MOST_INSTANCES), 1) + 0.6)
    bars.set(xlabel="objects in an image (specks left out)", ylabel="% of the images")
    bars.set_title("objects per image", fontsize=11)
    bars.legend(frameon=False)
    bars.spines[["top", "right"]].set_visible(False)
    _draw_together(grid, splits, classes)
    return save_figure(figure, path)


def _draw_together(axis: Axes, splits: Sequence[SplitStatistics], classes: Classes) -> None:
    labels = list(classes.labels)
    counts = np.sum([split.together[np.ix_(labels, labels)] for split in splits], axis=0)
    axis.imshow(counts, cmap="Blues", vmin=0, aspect="auto")
    limit = 0.55 * max(int(counts.max()), 1)
    if len(labels) <= 10:
        for row, column in np.ndindex(counts.shape):
            value = int(counts[row, column])
            color = "white" if value > limit else DARK
            axis.text(column, row, f"{value:,}", ha="center", va="center", color=color)
    names = [plain(shorten(name, 14)) for name in classes.names]
    axis.set_xticks(range(len(names)), names, rotation=90 if len(names) > 4 else 0)
    axis.set_yticks(range(len(names)), names)
    axis.set_title("images with both classes", fontsize=11)


def _draw_brightness(splits: Sequence[SplitStatistics], path: Path) -> Path:
    figure = new_figure(_WIDTH, 3.2)
    light, color = figure.subplots(1, 2, width_ratios=(1.4, 1))
    edges = np.arange(65) * 4
    for place, split in enumerate(splits):
        share = 100.0 * split.brightness_histogram / max(split.images, 1)
        coarse = share.reshape(16, 4).sum(axis=1)
        style = {"color": (DARK, GREY)[place % 2], "linestyle": ("-", "-", "--", ":")[place % 4]}
        light.stairs(coarse, edges[::4], linewidth=2, label=plain(shorten(split.name, 16)), **style)
    light.set(xlabel="mean brightness of an image (0 to 255)", ylabel="% of the images")
    light.set_xlim(0, 256)
    light.set_title("brightness", fontsize=11)
    light.legend(frameon=False)
    for place, split in enumerate(splits):
        mean, deviation = split.channel_statistics()
        where = np.arange(3) + (place - (len(splits) - 1) / 2) * 0.16
        for channel, shade in enumerate(("#c03030", "#2f8f4e", "#3060c0")):
            spread = deviation[channel]
            color.errorbar(where[channel], mean[channel], spread, fmt="o", color=shade, capsize=4)
    color.set_xticks(range(3), ["red", "green", "blue"])
    color.set(ylim=(0, 255), xlim=(-0.6, 2.6))
    order = ", ".join(plain(shorten(split.name, 10)) for split in splits)
    color.set_title("colour: mean and standard deviation", fontsize=11)
    color.set_xlabel(f"of all pixels; from left to right: {order}" if len(splits) > 1 else "")
    for axis in (light, color):
        axis.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, path)
