"""Put the lab's report together and write it."""

from __future__ import annotations

from pathlib import Path

from seglab.analysis.comparison_tables import cautions
from seglab.analysis.lab.conclusions import conclusions, summary
from seglab.analysis.lab.model_sections import (
    baseline_section,
    hypotheses_section,
    improved_section,
)
from seglab.analysis.lab.own_section import own_section
from seglab.analysis.lab.scoring_section import scoring_section
from seglab.analysis.lab.story import Story
from seglab.analysis.reading import READING
from seglab.analysis.report.context import Pictures
from seglab.analysis.report.making import making_section
from seglab.analysis.report.markdown import bold, bullets, say
from seglab.analysis.report.writing import ReportFiles, assemble, write_document

NAME = "lab_report"
TITLE = "The lab on Oxford-IIIT Pet: baselines, improvements, a network of one's own"
#: What a sentence about two models means that no verdict stands behind.
_BESIDE = (
    "of two models beside each other: the 95 % interval of the difference in IoU lies on one side "
    "of zero. That is about this one difference, not corrected for how many are looked at, and no "
    "verdict on a hypothesis."
)


def write_lab_report(story: Story, output_dir: str | Path, title: str = TITLE) -> ReportFiles:
    """Write the lab's report as Markdown and as one HTML page.

    The same runs give the same Markdown, byte for byte.

    Args:
        story: From `tell_story`.
        output_dir: Made if need be. The report of an earlier time is replaced, as a whole.
        title: Of the document.

    Returns:
        The paths of the files.

    Raises:
        UserError: Something cannot be written; nothing was changed then.
    """

    def composed(pictures: Pictures) -> str:
        return compose(story, pictures, title)

    return write_document(output_dir, NAME, title, composed)


def compose(story: Story, pictures: Pictures, title: str) -> str:
    """The report as Markdown; draws its pictures on the way."""
    warnings = cautions(story.comparison)
    lead = [*([bullets(warnings)] if warnings else []), *summary(story)]
    chapters = [
        ("Summary", lead),
        ("How it is scored", scoring_section(story, pictures)),
        ("Baselines", baseline_section(story)),
        ("Hypotheses", hypotheses_section(story)),
        ("Improved", improved_section(story)),
        ("A network of one's own", own_section(story)),
        ("Conclusions", conclusions(story, pictures)),
        ("How to read it", [_reading(), *_notes(story)]),
        ("How it was made", making_section(story.comparison)),
    ]
    return assemble(title, chapters)


def _reading() -> str:
    words = {**READING, "above, below, better, worse": _BESIDE}
    return bullets(
        say("{name}: {text}", name=bold(name), text=text) for name, text in words.items()
    )


def _notes(story: Story) -> list[str]:
    notes = story.comparison.notes
    return ["What else differs between the runs:", bullets(notes)] if notes else []
