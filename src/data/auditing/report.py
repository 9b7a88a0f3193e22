"""What an audit leaves: `audit.json`, `audit.html`, and on request a list of bad masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seglab.data.auditing.job import AuditInput, AuditResult
from seglab.data.auditing.page import audit_page
from seglab.data.auditing.ranking import Verdict, plain_region
from seglab.utils.bad_masks import AUDIT, BadMask, path_inside
from seglab.utils.io_utils import write_json, write_text

AUDIT_FILE, PAGE_FILE = "audit.json", "audit.html"
SCHEMA = 1
DECLARED = (
    "Every mask is judged by models that were trained on other images' masks, never on its own. "
    "Validation and test images are not used."
)
RULES_ONLY = "Judged by rules only, without a model: wrong and missing objects are not found."
_NO_REASON = "ranked by its score alone"


def write_audit(output_dir: Path, asked: AuditInput, result: AuditResult, shown: int) -> list[Path]:
    """Write the ranked list and its page.

    Args:
        output_dir: Where they go.
        asked: What was audited.
        result: From `run_audit`.
        shown: How many masks the page shows.

    Returns:
        The files.
    """
    declared = DECLARED if asked.predictions else RULES_ONLY
    if asked.detector:
        declared += f" Second opinion: {asked.detector.name}. {asked.detector.declared}"
    listed = bad_masks_of(asked, result, len(result.verdicts))
    content = {
        "schema": SCHEMA,
        "split": asked.split,
        "img_dir": asked.img_dir,
        "mask_dir": asked.mask_dir,
        "classes": result.classes,
        "masks": len(result.verdicts),
        "declared": declared,
        "predictions": result.recipes,
        "detector": asked.detector
        and {"name": asked.detector.name, "sha256": asked.detector.sha256},
        "ranking": [
            {
                "rank": place,
                "image": verdict.sample_id,
                "mask": mask.path,
                "sha256": mask.sha256,
                "score": verdict.suspicion,
                "scores": verdict.scores,
                "reasons": verdict.reasons,
                "regions": [plain_region(region) for region in verdict.regions],
            }
            for place, (verdict, mask) in enumerate(
                zip(result.verdicts, listed, strict=True), start=1
            )
        ],
    }
    return [
        write_json(output_dir / AUDIT_FILE, content),
        write_text(output_dir / PAGE_FILE, audit_page(result, listed, shown, declared)),
    ]


def bad_masks_of(asked: AuditInput, result: AuditResult, top: int) -> list[BadMask]:
    """The first `top` masks of the ranking as the audit calls them bad."""
    return [
        BadMask(
            path=path_inside(asked.data_root, result.files[verdict.sample_id].label),
            sha256=str(result.hashes[verdict.sample_id]["label"]),
            reason="; ".join(verdict.reasons) or _NO_REASON,
            tagged_by=AUDIT,
            image=path_inside(asked.data_root, result.files[verdict.sample_id].image),
            score=verdict.suspicion,
        )
        for verdict in result.verdicts[:top]
    ]


def summary(verdicts: Sequence[Verdict], top: int) -> str:
    """The first of the ranking, a line each."""
    return "\n".join(
        f"{place:3d}  {verdict.suspicion:.3f}  {verdict.sample_id}: "
        + ("; ".join(verdict.reasons[:2]) or "-")
        for place, verdict in enumerate(verdicts[:top], start=1)
    )
