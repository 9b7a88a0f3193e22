"""What a person should know and act on, in sentences that carry their number and their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seglab.data.exploration.differences import Difference
from seglab.data.exploration.duplicates import Duplicates
from seglab.data.exploration.statistics import SplitStatistics
from seglab.data.exploration.streams import Quartiles, Worst
from seglab.utils.masks import BACKGROUND

_RARE_PERCENT = 10.0
_NAMED = 3  # files that a sentence names itself
_DIFFERENCES = 5
_CLASSES = 8  # with more classes the largest are told, and areas only where one is odd


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: Short name of its kind.
        text: A sentence that stands alone.
        action: What to do about it; '' where it is only to be known.
        files: The files concerned, worst first, at most a hundred.
    """

    kind: str
    text: str
    action: str = ""
    files: tuple[str, ...] = ()


def collect_findings(
    splits: Sequence[SplitStatistics],
    names: Sequence[str],
    duplicates: Sequence[Duplicates],
    differences: Sequence[Difference],
    tiny_percent: float,
) -> list[Finding]:
    """All findings, those to act on first."""
    found = [*_duplicate_findings(duplicates)]
    for split in splits:
        found += _gaps(split, names)
        found += _classes(split, names)
        found += _regions(split, tiny_percent)
        found += _images(split)
    found += _difference_findings(differences, len(splits))
    return sorted(found, key=lambda finding: not finding.action)


def _duplicate_findings(groups: Sequence[Duplicates]) -> Iterator[Finding]:
    for group in groups:
        if group.conflicting:
            kind = "the same image" if group.exact else "nearly the same image"
            yield Finding(
                "conflicting-duplicates",
                f"{' and '.join(group.files[:_NAMED])} are {kind}, and their masks differ in "
                f"{group.disagreement:.1f} % of the pixels.",
                "Decide which mask is right and remove the other pair.",
                group.files,
            )
    across = [group for group in groups if len(group.splits) > 1]
    for group in across:
        yield Finding(
            "duplicates-across-splits",
            f"{' and '.join(group.files[:_NAMED])} show the same picture in different splits "
            f"({', '.join(group.splits)}): what is measured there is not unseen.",
            "Keep it in one split only.",
            group.files,
        )
    within = [group for group in groups if not group.conflicting and len(group.splits) == 1]
    if within:
        exact = sum(group.exact for group in within)
        yield Finding(
            "duplicates",
            f"{_count(len(within), 'picture')} {_is(len(within))} stored more than once within a "
            f"split with like masks ({exact} exactly, {len(within) - exact} nearly).",
            "Remove the copies, or they count double.",
            tuple(name for group in within for name in group.files)[:100],
        )


def _gaps(split: SplitStatistics, names: Sequence[str]) -> Iterator[Finding]:
    """Masks that are missing or empty, and classes without a pixel."""
    missing = split.missing_masks
    if missing.count:
        yield _about_files(
            split,
            "missing-masks",
            missing,
            f"{missing.count} of {_count(split.images, 'image')} {_has(missing.count)} no mask",
            "Label them or take them out: training refuses them.",
        )
    if split.empty.count:
        yield _about_files(
            split,
            "no-objects",
            split.empty,
            f"{split.empty.count} of {_count(split.masks, 'mask')} "
            f"{_has(split.empty.count)} no object",
            "Look whether something was missed.",
        )
    absent = [name for label, name in enumerate(names) if not split.pixels[label]]
    if absent:
        yield Finding(
            "absent-classes",
            f"{split.name}: no pixel of {', '.join(absent[:_CLASSES])}"
            f"{f' and {len(absent) - _CLASSES} more classes' if len(absent) > _CLASSES else ''}.",
            "Check the masks and the order of the class names: the classes cannot be learnt or "
            "measured here.",
        )
    if split.ignored:
        share = 100.0 * split.ignored / (split.ignored + int(split.pixels.sum()))
        yield Finding("ignored", f"{split.name}: {share:.2g} % of the pixels are ignored.")


def _classes(split: SplitStatistics, names: Sequence[str]) -> Iterator[Finding]:
    """Shares of the classes, and how small their objects get."""
    total = max(int(split.pixels.sum()), 1)
    shares = [100.0 * int(split.pixels[label]) / total for label in range(len(names))]
    largest = sorted(range(len(names)), key=lambda label: -shares[label])[:_CLASSES]
    listed = ", ".join(f"{names[label]} {shares[label]:.1f} %" for label in sorted(largest))
    rest = len(names) - len(largest)
    more = f" and {rest} smaller classes" if rest else ""
    rare = any(s < _RARE_PERCENT for s in shares)
    yield Finding(
        "class-share",
        f"{split.name}: share of the pixels: {listed}{more}.",
        "Judge by Dice or IoU of each class, never by pixel accuracy: predicting the most frequent "
        f"class alone is right in {max(shares):.1f} % of the pixels."
        if rare
        else "",
    )
    present = [(label, name) for label, name in enumerate(names) if split.pixels[label]]
    in_images = ", ".join(f"{n} in {split.classes[c].images}" for c, n in present if c in largest)
    together = _together(split, [c for c, _ in present if c != BACKGROUND])
    yield Finding(
        "class-images",
        f"{split.name}: of {_count(split.masks, 'mask')}, {in_images}{more}; {together}.",
    )
    areas = []
    for label, name in present:
        gathered = split.classes[label]
        pixels, percent = gathered.area_pixels.quartiles(), gathered.area_percent.quartiles()
        if label != BACKGROUND and pixels and percent:
            areas.append(_area_finding(split.name, name, pixels, percent, gathered.smallest))
    yield from [area for area in areas if area.action or len(areas) <= _CLASSES]


def _together(split: SplitStatistics, objects: list[int]) -> str:
    grid = np.triu(split.together[np.ix_(objects, objects)], 1)
    if not grid.any():
        return "never two object classes in one image"
    return f"at most {int(grid.max())} with the same two object classes"


def _area_finding(
    split: str, name: str, pixels: Quartiles, percent: Quartiles, smallest: Worst
) -> Finding:
    value, file = smallest.items()[0]
    ratio = pixels.maximum / pixels.minimum
    times = f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"
    return Finding(
        "object-area",
        f"{split}: in the median image that has it, {name} covers {pixels.median:,.0f} pixels "
        f"({percent.median:.1f} %); it goes from {value:,.0f} to {pixels.maximum:,.0f} pixels "
        f"({times} times), and the smallest is {file}.",
        "Look at the smallest: an object of a few pixels is a slip of the hand or cannot be learnt."
        if percent.minimum < 0.1
        else "",
        tuple(smallest.names()[:10]),
    )


def _regions(split: SplitStatistics, tiny_percent: float) -> Iterator[Finding]:
    """Specks, holes, the border, the middle."""
    total = split.tiny_components + sum(n * images for n, images in split.instances.items())
    if split.tiny.count:
        yield _about_files(
            split,
            "tiny-components",
            split.tiny,
            f"{split.tiny_components} of {_count(total, 'connected region')} "
            f"{_is(split.tiny_components)} smaller than {tiny_percent:g} % of "
            f"{'its' if split.tiny_components == 1 else 'their'} image, in "
            f"{_count(split.tiny.count, 'image')}",
            "Remove specks from these masks.",
        )
    if split.holes.count:
        yield _about_files(
            split,
            "holes",
            split.holes,
            f"{_count(split.hole_regions, 'hole')} of background inside objects, in "
            f"{_count(split.holes.count, 'image')}",
            "Fill those that are no real gaps.",
        )
    instances = total - split.tiny_components
    if instances:
        border = 100.0 * split.border_instances / instances
        centre = 100.0 * split.central_instances / instances
        yield Finding(
            "placement",
            f"{split.name}: {instances / max(split.masks, 1):.2f} objects an image; {border:.0f} % "
            f"of them touch the image's border, and {centre:.0f} % have their centre in the "
            "middle ninth of the image (11 % if they lay anywhere).",
        )


def _images(split: SplitStatistics) -> Iterator[Finding]:
    if len(split.modes) > 1:
        usual, *odd = [mode for mode, _ in split.modes.most_common()]
        files = [name for mode in odd for name in split.odd_modes[mode].names()]
        yield Finding(
            "image-modes",
            f"{split.name}: images are of different modes: "
            f"{', '.join(f'{mode} {count}' for mode, count in split.modes.most_common())}.",
            f"Store all as {usual}.",
            tuple(files[:100]),
        )
    if split.colourless.count:
        yield _about_files(
            split,
            "colourless",
            split.colourless,
            f"{_count(split.colourless.count, 'image')} of {split.images} "
            f"{_is(split.colourless.count)} without colour",
            "",
        )
    common, count = split.sizes.most_common(1)[0]
    others = "" if len(split.sizes) == 1 else f" ({len(split.sizes)} different sizes)"
    yield Finding(
        "image-sizes",
        f"{split.name}: {count} of {_count(split.images, 'image')} {_is(count)} "
        f"{common[0]}x{common[1]} pixels{others}.",
    )


def _difference_findings(differences: Sequence[Difference], splits: int) -> Iterator[Finding]:
    if splits < 2 or not differences:
        return
    clear = [difference for difference in differences if difference.beyond_chance]
    for item in clear[:_DIFFERENCES]:
        yield Finding(
            "split-difference",
            _difference_text(item) + ".",
            "A figure measured on one split says less about the other: keep it in mind, or split "
            "anew.",
        )
    if not clear:
        text = _difference_text(differences[0])
        yield Finding(
            "split-difference",
            f"No figure differs between splits by more than chance explains; the largest "
            f"difference: {text}.",
        )


def _difference_text(item: Difference) -> str:
    one, other = item.splits
    unit = f" {item.unit}" if item.unit else ""
    return (
        f"{item.figure}: {item.values[0]:.2f} in {one}, {item.values[1]:.2f} in {other}{unit}, "
        f"a difference of {item.difference:+.2f} (95 % interval over all comparisons "
        f"{item.low:+.2f} to {item.high:+.2f}; {abs(item.size):.2f} standard deviations)"
    )


def _about_files(
    split: SplitStatistics, kind: str, worst: Worst, text: str, action: str
) -> Finding:
    """A finding that ends with its first files."""
    files = tuple(worst.names())
    first = ", ".join(files[:_NAMED])
    more = f" and {worst.count - _NAMED} more" if worst.count > _NAMED else ""
    return Finding(kind, f"{split.name}: {text}: {first}{more}.", action, files)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _has(number: int) -> str:
    return "has" if number == 1 else "have"
