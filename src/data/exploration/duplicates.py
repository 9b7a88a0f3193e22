"""Images that are there twice: exactly, or changed so little that an eye sees the same picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from seglab.data.exploration.listing import Sample
from seglab.data.exploration.measure import SampleFacts, to_rgb
from seglab.data.preflight.decode import decode_pixels

#: Perceptual hashes within this many of 64 bits are the same picture. On 318 photographs no two
#: different ones came nearer than 12; JPEG at quality 30 and half the size moved none over 4.
MAX_DISTANCE = 6
_BANDS = MAX_DISTANCE + 1
_MIN_CORRELATION = 0.9
_THUMBNAIL = 32
#: Masks of one picture stored twice in another way conflict above this share of the pixels.
_NOISE_PERCENT = 1.0


@dataclass(frozen=True)
class Duplicates:
    """Two or more files with the same picture.

    Attributes:
        files: Names, sorted.
        exact: Whether all have exactly the same pixels.
        splits: The splits they are in, sorted.
        disagreement: Largest share, in percent, of pixels in which a mask differs from that of
            the first file; None where fewer than two have masks.
    """

    files: tuple[str, ...]
    exact: bool
    splits: tuple[str, ...]
    disagreement: float | None

    @property
    def conflicting(self) -> bool:
        """Whether their masks contradict each other."""
        return self.disagreement is not None and self.disagreement > self.tolerance

    @property
    def tolerance(self) -> float:
        """Masks of one picture do not conflict up to this share, in percent, of the pixels."""
        return 0.0 if self.exact else _NOISE_PERCENT


class DuplicateSearch:
    """Gathers a few bytes of each image, then finds the duplicates."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._digests: list[bytes] = []
        self._hashes: list[int | None] = []

    def add(self, facts: SampleFacts) -> None:
        """Remember a measured image's hashes."""
        if facts.image:
            self._samples.append(facts.sample)
            self._digests.append(facts.image.digest[:16])
            self._hashes.append(facts.image.perceptual)

    def groups(self) -> list[Duplicates]:
        """All groups of duplicates: conflicting masks first, then by name.

        Candidates are looked at again: a thumbnail has to correlate with that of the first file.
        """
        parent = list(range(len(self._samples)))
        first: dict[bytes | int, int] = {}
        for index, keys in enumerate(zip(self._digests, self._hashes, strict=True)):
            for key in keys:
                if key is not None:
                    _join(parent, first.setdefault(key, index), index)
        distinct = [(key, index) for key, index in first.items() if isinstance(key, int)]
        hashes = np.array([key for key, _ in distinct], dtype=np.uint64)
        for one, other in near_pairs(hashes):
            _join(parent, distinct[one][1], distinct[other][1])
        members: defaultdict[int, list[int]] = defaultdict(list)
        for index in range(len(parent)):
            members[_root(parent, index)].append(index)
        parts = (part for group in members.values() for part in self._alike(group))
        found = (self._describe(part) for part in parts)
        return sorted(found, key=lambda group: (not group.conflicting, group.files))

    def _alike(self, group: list[int]) -> Iterator[list[int]]:
        """Part candidates into those that are like the first, like the first of the rest, ..."""
        while len(group) > 1:
            first = group[0]
            picture = _thumbnail(self._samples[first])
            alike: list[int] = [first]
            rest: list[int] = []
            for index in group[1:]:
                same = self._digests[index] == self._digests[first]
                same = same or (
                    _correlation(picture, _thumbnail(self._samples[index])) >= _MIN_CORRELATION
                )
                (alike if same else rest).append(index)
            if len(alike) > 1:
                yield alike
            group = rest

    def _describe(self, alike: list[int]) -> Duplicates:
        chosen = [self._samples[index] for index in alike]
        return Duplicates(
            files=tuple(sorted(sample.name for sample in chosen)),
            exact=len({self._digests[index] for index in alike}) == 1,
            splits=tuple(sorted({sample.name.partition("/")[0] for sample in chosen})),
            disagreement=mask_disagreement(chosen),
        )


def near_pairs(hashes: npt.NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """All pairs of 64-bit hashes with at most `MAX_DISTANCE` different bits.

    Of two such hashes, cut into one band more than bits may differ, at least one band is equal
    (the pigeonhole principle behind multi-index hashing; Norouzi et al., 2012). So only hashes
    that share a band are compared, one against its band's rest at a time: memory is linear.

    Args:
        hashes: (N,) distinct hashes.

    Yields:
        Index pairs; a pair may come more than once.
    """
    edges = np.linspace(0, 64, _BANDS + 1).astype(np.uint64)
    for low, high in pairwise(edges):
        band = (hashes >> low) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        bounds = np.flatnonzero(np.diff(band[order])) + 1
        for bucket in np.split(order, bounds):
            values = hashes[bucket]
            for place in range(len(bucket) - 1):
                bits = np.bitwise_count(values[place + 1 :] ^ values[place])
                for offset in np.flatnonzero(bits <= MAX_DISTANCE):
                    yield int(bucket[place]), int(bucket[place + 1 + offset])


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


def _join(parent: list[int], one: int, other: int) -> None:
    one, other = _root(parent, one), _root(parent, other)
    parent[max(one, other)] = min(one, other)


def _thumbnail(sample: Sample) -> npt.NDArray[np.float64]:
    _, picture = decode_pixels(sample.image)
    if picture is None:  # it was readable a moment ago
        return np.zeros(_THUMBNAIL * _THUMBNAIL * 3)
    side = (_THUMBNAIL, _THUMBNAIL)
    small = cv2.resize(to_rgb(picture), side, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float64).ravel()


def _correlation(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Pearson's correlation; 0 where one of them is constant."""
    one, other = one - one.mean(), other - other.mean()
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length else 0.0


def mask_disagreement(samples: Iterable[Sample]) -> float | None:
    """Largest share, in percent, of pixels in which a mask differs from the first sample's.

    Returns:
        None where fewer than two samples have masks.
    """
    masks = (read_mask(sample) for sample in samples if sample.mask)
    first = next(masks, None)
    if first is None:
        return None
    found = [100.0 * float(np.mean(_like(mask, first) != first)) for mask in masks]
    return max(found, default=None)


def read_mask(sample: Sample) -> npt.NDArray[np.uint8]:
    """The (H, W) uint8 class indices of a sample that has a mask."""
    if sample.mask is None:
        raise ValueError(f"{sample.name} has no mask")
    _, picture = decode_pixels(sample.mask)
    return np.asarray(picture, dtype=np.uint8)


def _like(mask: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The mask at another mask's size."""
    if mask.shape == other.shape:
        return mask
    height, width = other.shape
    resized = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, dtype=np.uint8)
