"""What an audit leaves: `audit.json`, `audit.html`, and on request `bad_mask_paths.json`."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from seglab.data.auditing.job import AuditInput, AuditResult, read_mask
from seglab.data.auditing.ranking import Verdict, plain_region
from seglab.utils.errors import UserError
from seglab.utils.io_utils import write_json, write_text
from seglab.utils.masks import ImageArray, class_colors, overlay_mask

AUDIT_FILE, PAGE_FILE, BAD_MASKS_FILE = "audit.json", "audit.html", "bad_mask_paths.json"
_OUTLINE = (213, 94, 0)
DECLARED = (
    "Every mask is judged by models that were trained on other images' masks, never on its own. "
    "Validation and test images are not used."
)
RULES_ONLY = "Judged by rules only, without a model: wrong and missing objects are not found."
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Mask audit</title>
<style>
body {{ font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem;
 padding: 0 1rem; color: #1c1c1c; }}
section {{ border-top: 1px solid #bbb; padding: 1rem 0; }}
img {{ max-width: 100%; }}
h2 {{ font-size: 1rem; overflow-wrap: anywhere; }}
</style></head><body>
<h1>Mask audit</h1>
<p>{count} masks, the most suspicious {shown} shown. {declared}
Left: image with the suspicious regions outlined; right: the mask over it. {legend}</p>
{body}
</body></html>
"""


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
    content = {
        "schema": 1,
        "split": asked.split,
        "classes": result.classes,
        "masks": len(result.verdicts),
        "declared": declared,
        "predictions": result.recipes,
        "ranking": [
            {
                "rank": place,
                "image": verdict.sample_id,
                "mask": _relative(asked, verdict.sample_id),
                "score": verdict.suspicion,
                "scores": verdict.scores,
                "reasons": verdict.reasons,
                "regions": [plain_region(region) for region in verdict.regions],
            }
            for place, verdict in enumerate(result.verdicts, start=1)
        ],
    }
    return [
        write_json(output_dir / AUDIT_FILE, content),
        write_text(output_dir / PAGE_FILE, _page(result, shown, declared)),
    ]


def write_bad_masks(folder: Path, asked: AuditInput, result: AuditResult, top: int) -> Path:
    """Write the first `top` masks of the ranking as `bad_mask_paths.json`; returns its path."""
    masks = [
        {
            "path": _relative(asked, verdict.sample_id),
            "sha256": result.hashes[verdict.sample_id]["label"],
            "reason": "; ".join(verdict.reasons) or "ranked by its score alone",
            "score": verdict.suspicion,
            "tagged_by": "audit",
        }
        for verdict in result.verdicts[:top]
    ]
    return write_json(folder / BAD_MASKS_FILE, {"schema": 1, "masks": masks})


def _relative(asked: AuditInput, sample_id: str) -> str:
    """The mask's path relative to the data root."""
    inside = Path(asked.mask_dir, asked.split, sample_id).with_suffix(".png")
    return inside.as_posix()


def _page(result: AuditResult, shown: int, declared: str) -> str:
    sections = [
        _section(place, verdict, result)
        for place, verdict in enumerate(result.verdicts[:shown], start=1)
    ]
    colors = class_colors(len(result.classes))
    legend = ", ".join(
        f'<span style="color: rgb{tuple(int(v) for v in color)}">&#9632;</span> {html.escape(name)}'
        for name, color in list(zip(result.classes, colors, strict=True))[1:]
    )
    return _PAGE.format(
        count=len(result.verdicts),
        shown=len(sections),
        declared=html.escape(declared),
        legend=legend,
        body="\n".join(sections),
    )


def _section(place: int, verdict: Verdict, result: AuditResult) -> str:
    files = result.files[verdict.sample_id]
    picture = _picture(files.image, files.label, verdict, len(result.classes))
    name = html.escape(verdict.sample_id)
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in verdict.reasons)
    return (
        f"<section><h2>{place}. {name} (score {verdict.suspicion:.3f})</h2>"
        f'<img alt="{name}: regions outlined, and the mask" src="{picture}">'
        f"<ul>{reasons or '<li>no single reason stands out</li>'}</ul></section>"
    )


def _picture(image: Path, label: Path, verdict: Verdict, classes: int) -> str:
    """Outlined image and mask side by side, as a data URI."""
    try:
        with Image.open(image) as opened:
            photograph = np.asarray(opened.convert("RGB"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read image {image}: {error}", "restore it") from error
    mask = read_mask(label)
    if photograph.shape[:2] != mask.shape:
        raise UserError(f"{image} and its mask are of different size", "mend the mask")
    painted = overlay_mask(photograph, mask, class_colors(classes))
    outlined = [_outline(picture, verdict) for picture in (photograph, painted)]
    buffer = io.BytesIO()
    Image.fromarray(np.hstack(outlined)).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _outline(picture: ImageArray, verdict: Verdict) -> ImageArray:
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    for region in verdict.regions:
        x0, y0, x1, y1 = region.box
        draw.rectangle((x0 - 1, y0 - 1, x1, y1), outline=_OUTLINE, width=2)
    return np.asarray(canvas)


def summary(verdicts: Sequence[Verdict], top: int) -> str:
    """The first of the ranking, a line each."""
    return "\n".join(
        f"{place:3d}  {verdict.suspicion:.3f}  {verdict.sample_id}: "
        + ("; ".join(verdict.reasons[:2]) or "-")
        for place, verdict in enumerate(verdicts[:top], start=1)
    )
