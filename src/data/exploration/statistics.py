"""The figures of one split, gathered sample by sample."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt

from seglab.data.exploration.measure import VALUES, Component, ImageFacts, MaskFacts, SampleFacts
from seglab.data.exploration.streams import FILES_KEPT, Distribution, Moments, Worst
from seglab.utils.masks import BACKGROUND

HEAT_CELLS = 16


class ClassStatistics:
    """What is gathered of one class in one split; areas in pixels and in percent of the image."""

    def __init__(self) -> None:
        self.images = 0
        self.area_pixels = Distribution()  # the class's area in each image that has it
        self.area_percent = Distribution()
        self.component_pixels = Distribution()  # of each connected component
        self.instances = 0  # components that are not tiny
        self.centres = np.zeros((HEAT_CELLS, HEAT_CELLS), dtype=np.int64)
        self.smallest = Worst()

    def add(self, name: str, area: int, image_pixels: int, components: list[Component]) -> None:
        """Count the class in one image."""
        self.images += 1
        self.area_pixels.add(area)
        self.area_percent.add(100.0 * area / image_pixels)
        self.smallest.add(area, name)
        for component in components:
            self.component_pixels.add(component.area)

    def add_instance(self, component: Component) -> None:
        """Count an instance at its centre."""
        self.instances += 1
        cell = [min(int(p * HEAT_CELLS), HEAT_CELLS - 1) for p in (component.y, component.x)]
        self.centres[cell[0], cell[1]] += 1

    def summary(self) -> dict[str, Any]:
        """What is published of the class."""
        return {
            "images": self.images,
            "instances": self.instances,
            "components": len(self.component_pixels),
            "area_pixels": _quartiles(self.area_pixels),
            "area_percent": _quartiles(self.area_percent),
            "component_pixels": _quartiles(self.component_pixels),
            "smallest": [{"file": f, "pixels": p} for p, f in self.smallest.items()[:5]],
            "centres": self.centres,
        }


class SplitStatistics:
    """Everything that is gathered of one split.

    Args:
        name: The split.
        ignore_index: Mask value that belongs to no class.
        tiny_percent: A component is tiny below this share of its image, in percent.
    """

    def __init__(self, name: str, ignore_index: int, tiny_percent: float) -> None:
        self.name = name
        self.images = self.masks = 0
        self.ignored = 0
        self.pixels = np.zeros(VALUES, dtype=np.int64)  # by class, without the ignored
        self.together = np.zeros((VALUES, VALUES), dtype=np.int64)  # images with both classes
        self.classes: defaultdict[int, ClassStatistics] = defaultdict(ClassStatistics)
        self.instances: Counter[int] = Counter()  # images by their number of instances
        self.border_instances = self.central_instances = 0
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.modes: Counter[str] = Counter()
        self.brightness = Distribution()
        self.brightness_histogram = np.zeros(64, dtype=np.int64)
        self.moments: defaultdict[str, Moments] = defaultdict(Moments)
        self._channels = np.zeros((2, 3))  # sums over pixels of values and of squares
        self._image_pixels = 0
        self.missing_masks, self.empty, self.colourless = Worst(), Worst(), Worst()
        self.tiny, self.holes = Worst(), Worst()
        self.tiny_components = self.hole_regions = 0
        self.odd_modes: dict[str, Worst] = defaultdict(Worst)
        self._ignore, self._tiny_share = ignore_index, tiny_percent / 100.0

    def add(self, facts: SampleFacts) -> None:
        """Count one measured sample."""
        name = facts.sample.name
        if facts.image:
            self._add_image(name, facts.image)
        if facts.mask:
            self._add_mask(name, facts.mask)
        elif facts.sample.mask is None:
            self.missing_masks.add(0, name)

    def _add_image(self, name: str, image: ImageFacts) -> None:
        self.images += 1
        pixels = image.size[0] * image.size[1]
        self.sizes[image.size] += 1
        self.modes[image.mode] += 1
        self.odd_modes[image.mode].add(0, name)
        self._channels += pixels * np.stack((image.mean, image.square))
        self._image_pixels += pixels
        self.brightness.add(image.brightness)
        self.brightness_histogram[min(int(image.brightness / 4), 63)] += 1
        self.moments["brightness"].add(image.brightness)
        if image.colourless:
            self.colourless.add(0, name)

    def _add_mask(self, name: str, mask: MaskFacts) -> None:
        self.masks += 1
        counts = mask.pixels.copy()
        image_pixels = int(counts.sum())
        self.ignored += int(counts[self._ignore])
        counts[self._ignore] = 0
        self.pixels += counts
        present = np.flatnonzero(counts)
        self.together[np.ix_(present, present)] += 1
        by_label: defaultdict[int, list[Component]] = defaultdict(list)
        for component in mask.components:
            by_label[component.label].append(component)
        for label in present.tolist():
            area = int(counts[label])
            self.classes[label].add(name, area, image_pixels, by_label[label])
        if not mask.components:
            self.empty.add(0, name)
        objects = int(counts.sum() - counts[BACKGROUND])
        self.moments["objects"].add(100.0 * objects / max(int(counts.sum()), 1))
        self._add_components(name, mask, image_pixels)

    def _add_components(self, name: str, mask: MaskFacts, image_pixels: int) -> None:
        instances = 0
        tiny = 0
        for component in mask.components:
            if component.area < self._tiny_share * image_pixels:
                tiny += 1
                continue
            instances += 1
            self.classes[component.label].add_instance(component)
            self.border_instances += component.on_border
            central = all(abs(place - 0.5) <= 1 / 6 for place in (component.x, component.y))
            self.central_instances += central
        self.instances[instances] += 1
        self.moments["instances"].add(instances)
        self.tiny_components += tiny
        self.hole_regions += len(mask.holes)
        for worst, found in ((self.tiny, tiny), (self.holes, len(mask.holes))):
            if found:
                worst.add(-found, name)  # most first

    def channel_statistics(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(3,) mean and (3,) standard deviation of R, G, B over all pixels, 0 to 255."""
        mean, square = self._channels / max(self._image_pixels, 1)
        return mean, np.sqrt(np.maximum(square - mean**2, 0.0))

    def highest_value(self) -> int:
        """The highest class that occurs, -1 if none does."""
        present = np.flatnonzero(self.pixels)
        return int(present[-1]) if len(present) else -1

    def summary(self, names: tuple[str, ...]) -> dict[str, Any]:
        """What is published of the split, for classes of these names."""
        counted = max(int(self.pixels.sum()), 1)
        mean, deviation = self.channel_statistics()
        classes = {}
        for label, name in enumerate(names):
            gathered = self.classes.get(label, ClassStatistics())
            shares = {
                "pixels": int(self.pixels[label]),
                "pixel_percent": 100.0 * int(self.pixels[label]) / counted,
                "image_percent": 100.0 * gathered.images / max(self.masks, 1),
            }
            classes[name] = shares | gathered.summary()
        size = len(names)
        return {
            "images": self.images,
            "masks": self.masks,
            "classes": classes,
            "co_occurrence": self.together[:size, :size],
            "instances_per_image": {str(n): self.instances[n] for n in sorted(self.instances)},
            "instances": sum(n * images for n, images in self.instances.items()),
            "border_instances": self.border_instances,
            "central_instances": self.central_instances,
            "tiny": {"components": self.tiny_components, **_files(self.tiny)},
            "holes": {"regions": self.hole_regions, **_files(self.holes)},
            "without_objects": _files(self.empty),
            "without_mask": _files(self.missing_masks),
            "colourless": _files(self.colourless),
            "ignored_percent": 100.0 * self.ignored / max(counted + self.ignored, 1),
            "sizes": {f"{w}x{h}": count for (w, h), count in self.sizes.most_common(FILES_KEPT)},
            "different_sizes": len(self.sizes),
            "modes": dict(self.modes.most_common()),
            "color": {"mean": mean, "std": deviation, "brightness": _quartiles(self.brightness)},
        }


def _files(worst: Worst) -> dict[str, Any]:
    return {"images": worst.count, "files": worst.names()}


def _quartiles(values: Distribution) -> dict[str, float] | None:
    found = values.quartiles()
    return found._asdict() if found else None
