"""The FiftyOne dataset of a curation session: built, brought up to date, read out.

The dataset is persistent. Where it exists its samples are found again by the path of their mask and
their fields are renewed; tags that a person made, on a sample or on one of its labels, stay. A
sample whose mask is no longer listed is removed only where it bears no tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seglab.data.curation.samples import CuratedMask, CuratedSet
from seglab.utils.bad_masks import AUDIT, PERSON, BadMask, locate_inside
from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import sha256_file
from seglab.utils.masks import class_colors

TAG = "bad_mask"
REASON_TAG = "reason:"
# As the App writes them in its address.
WORST_FIRST, TAGGED = "worst-first", "tagged-bad-mask"
_LABELS = ("mask", "prediction")
_BOX_COLOR = "#d55e00"  # vermillion: no class among the first five has it
_NO_REASON = "tagged without a reason"


@dataclass(frozen=True)
class Built:
    """What building did.

    Attributes:
        dataset: The FiftyOne dataset.
        added: Samples that are new.
        changed: Tagged masks whose file has changed since the last time.
        unlisted: Tagged masks that are not listed any more; they were kept.
    """

    dataset: Any
    added: int
    changed: tuple[str, ...]
    unlisted: tuple[str, ...]


def build_dataset(
    fiftyone: Any, name: str, chosen: CuratedSet, data_root: Path, tag_top: int = 0
) -> Built:
    """Make the dataset, or bring the one of this name up to date.

    Args:
        fiftyone: From `start_fiftyone`.
        name: The dataset's name.
        chosen: The masks, with sizes.
        data_root: What their paths are relative to.
        tag_top: Tag the first so many of the audit's list in its name, but none in which it found
            nothing. A sample gets this tag once: where a person has taken it away it stays away.

    Raises:
        UserError: FiftyOne does not take the name.
    """
    dataset = _open(fiftyone, name)
    _declare(fiftyone, dataset, chosen)
    wanted = {mask.mask: mask for mask in chosen.masks}
    changed: list[str] = []
    unlisted: list[Any] = []
    gone: list[Any] = []
    bar = tqdm(total=len(wanted), desc="building", unit="mask", delay=1.0)
    for sample in dataset.iter_samples(autosave=True):
        mask = wanted.pop(sample["mask_path"], None)
        if mask is None:
            (unlisted if _all_tags(sample) else gone).append(sample)
            continue
        if sample["mask_sha256"] != mask.sha256 and _all_tags(sample):
            changed.append(mask.mask)
        _fill(fiftyone, sample, mask, data_root, tag_top)
        bar.update()
    dataset.delete_samples([sample.id for sample in gone])
    fresh = []
    for mask in wanted.values():
        sample = fiftyone.Sample(filepath=_absolute(data_root, mask.image))
        _fill(fiftyone, sample, mask, data_root, tag_top)
        fresh.append(sample)
        bar.update()
    bar.close()
    if fresh:
        dataset.add_samples(fresh, progress=False)
    _save_views(dataset)
    _arrange(fiftyone, dataset)
    kept = tuple(sample["mask_path"] for sample in unlisted)
    return Built(dataset, len(fresh), tuple(changed), kept)


def _open(fiftyone: Any, name: str) -> Any:
    """The dataset of this name, made where there is none."""
    if fiftyone.dataset_exists(name):
        return fiftyone.load_dataset(name)
    try:
        return fiftyone.Dataset(name, persistent=True)
    except ValueError as error:  # no letter in it, or too like another's name
        raise UserError(f"FiftyOne refuses the name {name!r}: {error}", "give --name") from error


def _declare(fiftyone: Any, dataset: Any, chosen: CuratedSet) -> None:
    """Fields, class names and colours."""
    declared = {
        "mask": (fiftyone.EmbeddedDocumentField, fiftyone.Segmentation),
        "prediction": (fiftyone.EmbeddedDocumentField, fiftyone.Segmentation),
        "regions": (fiftyone.EmbeddedDocumentField, fiftyone.Detections),
        "rank": (fiftyone.IntField, None),
        "score": (fiftyone.FloatField, None),
        "reason": (fiftyone.StringField, None),
        "mask_path": (fiftyone.StringField, None),
        "image_path": (fiftyone.StringField, None),
        "mask_sha256": (fiftyone.StringField, None),
        "tagged_by_audit": (fiftyone.BooleanField, None),
    }
    schema = dataset.get_field_schema()
    for name, (kind, document) in declared.items():
        if name not in schema:
            extra = {"embedded_doc_type": document} if document else {}
            dataset.add_sample_field(name, kind, **extra)
    if "reasons" not in schema:
        dataset.add_sample_field("reasons", fiftyone.ListField, subfield=fiftyone.StringField)
    targets = {number: name for number, name in enumerate(chosen.classes) if number}
    dataset.mask_targets = dict.fromkeys(_LABELS, targets)
    dataset.default_mask_targets = targets
    colors = [
        {"intTarget": number, "color": "#{:02x}{:02x}{:02x}".format(*color)}
        for number, color in enumerate(class_colors(len(chosen.classes)).tolist())
        if number
    ]
    kinds = sorted({region["kind"] for mask in chosen.masks for region in mask.regions})
    boxes = [{"value": kind, "color": _BOX_COLOR} for kind in kinds]
    dataset.app_config.color_scheme = fiftyone.ColorScheme(
        color_by="value",
        opacity=0.6,
        default_mask_targets_colors=colors,
        fields=[
            {"path": "regions", "colorByAttribute": "label", "valueColors": boxes},
            *({"path": name, "maskTargetsColors": colors} for name in _LABELS),
        ],
    )
    dataset.save()


def _arrange(fiftyone: Any, dataset: Any) -> None:
    """What the App shows at first, and the order of its side bar."""
    app = dataset.app_config
    app.active_fields = fiftyone.ActiveFields(paths=["mask", "regions", "score"])
    groups = {group.name: group for group in app.default_sidebar_groups(dataset)}
    first = ["rank", "score", "reasons", "reason"]
    others = groups.pop("primitives").paths + groups.pop("other", groups["labels"]).paths
    rest = [path for path in dict.fromkeys(others) if path not in [*first, *groups["labels"].paths]]
    new = fiftyone.SidebarGroupDocument
    app.sidebar_groups = [
        groups.pop("tags"),
        groups.pop("labels"),
        new(name="audit", paths=first, expanded=True),
        *(new(name=name, paths=group.paths, expanded=False) for name, group in groups.items()),
        new(name="details", paths=rest, expanded=False),
    ]
    dataset.save()


def _fill(fiftyone: Any, sample: Any, mask: CuratedMask, data_root: Path, tag_top: int) -> None:
    """Renew a sample's fields; its tags stay."""
    sample["filepath"] = _absolute(data_root, mask.image)
    sample["mask_path"], sample["image_path"] = mask.mask, mask.image
    sample["mask_sha256"] = mask.sha256
    _point(fiftyone, sample, "mask", _absolute(data_root, mask.mask))
    if mask.prediction is not None:
        _point(fiftyone, sample, "prediction", str(mask.prediction.resolve()))
    if mask.rank is None:
        return
    sample["rank"], sample["score"] = mask.rank, mask.score
    sample["reasons"] = list(mask.reasons)
    for name, value in mask.scores.items():
        sample["score_" + re.sub(r"\W", "_", name)] = value
    sample["regions"] = _regions(fiftyone, sample, mask)
    suspected = mask.rank <= tag_top and mask.score  # at 0 the audit found nothing
    if suspected and not _get(sample, "tagged_by_audit") and not is_tagged(sample):
        sample.tags.append(TAG)
        sample["tagged_by_audit"] = True


def _point(fiftyone: Any, sample: Any, name: str, path: str) -> None:
    """Let a label show a file, without making it anew: it may bear tags."""
    label = _get(sample, name)
    if label is None:
        sample[name] = fiftyone.Segmentation(mask_path=path)
    elif label.mask_path != path:
        label.mask_path = path


def _regions(fiftyone: Any, sample: Any, mask: CuratedMask) -> Any:
    """The suspicious regions as boxes; those that a person tagged keep their tags, or stay."""
    width, height = mask.size
    old = _get(sample, "regions")
    tagged = {
        (item.label, tuple(item.bounding_box)): item
        for item in (old.detections if old is not None else ())
        if item.tags
    }
    found = []
    for region in mask.regions:
        x0, y0, x1, y1 = region["box"]
        box = [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
        before = tagged.pop((region["kind"], tuple(box)), None)
        tags = list(before.tags) if before is not None else []
        found.append(
            fiftyone.Detection(
                label=region["kind"],
                bounding_box=box,
                confidence=region.get("confidence"),
                tags=tags,
            )
        )
    return fiftyone.Detections(detections=[*found, *tagged.values()])


def _get(sample: Any, name: str) -> Any:
    return sample[name] if sample.has_field(name) else None


def _absolute(data_root: Path, inside: str) -> str:
    return str((data_root / inside).absolute())


def _all_tags(sample: Any) -> list[str]:
    """The tags of a sample and of its labels."""
    tags = list(sample.tags or ())
    for name in _LABELS:
        label = _get(sample, name)
        tags += label.tags if label is not None else ()
    regions = _get(sample, "regions")
    for region in regions.detections if regions is not None else ():
        tags += region.tags
    return tags


def is_tagged(sample: Any) -> bool:
    """Whether a sample, or one of its labels, bears the tag."""
    return TAG in _all_tags(sample)


def _save_views(dataset: Any) -> None:
    worst = dataset.sort_by("rank") if dataset.count("rank") else dataset.sort_by("mask_path")
    dataset.save_view(WORST_FIRST, worst, overwrite=True)
    dataset.save_view(TAGGED, dataset.match_tags(TAG), overwrite=True)


def tagged_masks(dataset: Any, data_root: Path) -> list[BadMask]:
    """What is tagged `bad_mask`, on the sample or on one of its labels, worst first.

    A tag that the audit set and a person left is the audit's. A person's reason is the field
    `reason`, or tags that start with `reason:`; where there is none the audit's reasons stand.

    Raises:
        UserError: Tagged masks are missing or have changed since the dataset was built.
    """
    found: list[tuple[float, BadMask]] = []
    faults = []
    for sample in dataset.iter_samples():
        if not is_tagged(sample):
            continue
        try:
            digest = sha256_file(locate_inside(data_root, sample["mask_path"]))
            if digest != sample["mask_sha256"]:
                faults.append(f"{sample['mask_path']!r} has changed since it was shown")
        except UserError as error:
            faults.append(error.message)
        rank = sample["rank"]
        found.append((float("inf") if rank is None else rank, _bad_mask(sample)))
    raise_faults(
        "tagged masks are not what was shown",
        faults,
        "run curate again without --export (tags are kept) and look at them again",
    )
    return [mask for _, mask in sorted(found, key=lambda pair: (pair[0], pair[1].path))]


def _bad_mask(sample: Any) -> BadMask:
    own = _own_reason(sample)
    by_audit = sample["tagged_by_audit"] and TAG in sample.tags and not own
    return BadMask(
        path=sample["mask_path"],
        sha256=sample["mask_sha256"],
        reason=own or "; ".join(sample["reasons"] or ()) or _NO_REASON,
        tagged_by=AUDIT if by_audit else PERSON,
        image=sample["image_path"],
        score=sample["score"],
    )


def _own_reason(sample: Any) -> str:
    """What a person wrote."""
    written = (sample["reason"] or "").strip()
    tags: Iterable[str] = (tag for tag in _all_tags(sample) if tag.lower().startswith(REASON_TAG))
    parts: Sequence[str] = [tag[len(REASON_TAG) :].strip() for tag in tags]
    return written or "; ".join(part for part in dict.fromkeys(parts) if part)
