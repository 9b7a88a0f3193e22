"""Photographs that are stored more than once: they share a fold, and their masks must agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tqdm import tqdm

from seglab.data.exploration.duplicates import Duplicates, DuplicateSearch, mask_disagreement
from seglab.data.exploration.listing import Sample
from seglab.data.exploration.measure import SampleFacts, measure_image
from seglab.data.preflight.decode import decode_pixels
from seglab.data.preflight.split_folder import SplitFolder


def list_samples(folder: SplitFolder) -> list[Sample]:
    """The samples of a split, named by their ids: the image's path in the split's folder."""
    return [
        Sample(image.relative_to(folder.images).as_posix(), image, folder.mask_of(image))
        for image in folder.list_images()
    ]


def find_photographs(samples: Iterable[Sample]) -> list[Duplicates]:
    """Groups of files that show one photograph, also where it was stored in another way.

    Args:
        samples: Their images are read one at a time; one that cannot be is in no group.
    """
    search = DuplicateSearch()
    for sample in tqdm(samples, desc="looking for duplicates", unit="image", delay=1.0):
        file, picture = decode_pixels(sample.image)
        if picture is not None:
            search.add(SampleFacts(sample, measure_image(picture, file)))
    return search.groups()


def conflicting_masks(
    groups: Iterable[Duplicates], samples: Mapping[str, Sample]
) -> dict[str, tuple[str, ...]]:
    """Which masks contradict those of the same photograph.

    Args:
        groups: From `find_photographs`.
        samples: Name -> sample.

    Returns:
        Name -> the names whose masks differ from its own, in more than the few pixels that
        another compression explains.
    """
    found = {}
    for group in groups:
        for one in group.files:
            others = [name for name in group.files if name != one]
            differing = tuple(
                name for name in others if _differ(samples[one], samples[name], group.tolerance)
            )
            if differing:
                found[one] = differing
    return found


def _differ(one: Sample, other: Sample, tolerance: float) -> bool:
    disagreement = mask_disagreement([one, other])
    return disagreement is not None and disagreement > tolerance
