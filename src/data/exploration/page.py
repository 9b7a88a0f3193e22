"""The short page in words: what to act on, what to know, and a table of the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seglab.data.exploration.findings import Finding

_FILES_SHOWN = 5
_ROWS_SHOWN = 20


def write_page(
    summary: dict[str, Any], findings: Sequence[Finding], figures: Sequence[Path]
) -> str:
    """The page as Markdown.

    Args:
        summary: What `eda.json` holds of the splits.
        findings: All findings, those to act on first.
        figures: The pictures beside the page.
    """
    act = [finding for finding in findings if finding.action]
    know = [finding for finding in findings if not finding.action]
    splits = summary["splits"]
    lines = ["# A look at the data", "", _overview(splits), "", "## To act on", ""]
    for number, finding in enumerate(act, start=1):
        lines += _item(f"{number}.", finding)
    lines += ["Nothing.", ""] if not act else [""]
    lines += ["## To know", ""]
    for finding in know:
        lines += _item("-", finding)
    lines += ["", "## Figures", "", *_class_table(splits), "", *_split_table(splits), ""]
    if summary["differences"]:
        lines += ["## How the splits differ", "", *_difference_table(summary["differences"]), ""]
    lines += ["## Pictures", ""]
    for figure in figures:
        lines += [f"![{figure.stem.replace('_', ' ')}]({figure.name})", ""]
    return "\n".join(lines)


def _overview(splits: dict[str, Any]) -> str:
    parts = [f"{name}: {s['images']:,} images, {s['masks']:,} masks" for name, s in splits.items()]
    return "; ".join(map(_escape, parts)) + "."


def _item(bullet: str, finding: Finding) -> list[str]:
    text = f"{bullet} {_escape(finding.text)}"
    if finding.action:
        text += f" **{_escape(finding.action)}**"
    listed = [name for name in finding.files if name not in finding.text]
    if not listed:
        return [text]
    shown = ", ".join(f"`{name}`" for name in listed[:_FILES_SHOWN])
    more = ", and more in `eda.json`" if len(listed) > _FILES_SHOWN else ""
    indent = " " * (len(bullet) + 1)
    return [text, f"{indent}Also: {shown}{more}"]


def _class_table(splits: dict[str, Any]) -> list[str]:
    lines = [
        "Area of a class in an image that has it: smallest, quartiles, largest.",
        "",
        "| split | class | % of pixels | % of images | objects | area (pixels) | area (%) |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for split, content in splits.items():
        for name, figures in content["classes"].items():
            areas = [
                _box(figures["area_pixels"], ",.0f"),
                _box(figures["area_percent"], ".3g"),
            ]
            lines.append(
                f"| {_escape(split)} | {_escape(name)} | {figures['pixel_percent']:.2f} "
                f"| {figures['image_percent']:.1f} | {figures['instances']:,} "
                f"| {' | '.join(areas)} |"
            )
    return lines


def _box(quartiles: dict[str, float] | None, form: str) -> str:
    return " / ".join(format(value, form) for value in quartiles.values()) if quartiles else "-"


def _split_table(splits: dict[str, Any]) -> list[str]:
    lines = [
        "| split | sizes | modes | mean RGB | standard deviation | brightness (median) |",
        "|---|---|---|---|---|---:|",
    ]
    for split, content in splits.items():
        color = content["color"]
        sizes = [f"{size} ({count:,})" for size, count in list(content["sizes"].items())[:3]]
        if content["different_sizes"] > len(sizes):
            sizes.append(f"{content['different_sizes'] - len(sizes)} more")
        modes = ", ".join(f"{mode} ({count:,})" for mode, count in content["modes"].items())
        mean, deviation = (" ".join(f"{v:.1f}" for v in color[key]) for key in ("mean", "std"))
        lines.append(
            f"| {_escape(split)} | {', '.join(sizes)} | {modes} | {mean} | {deviation} "
            f"| {color['brightness']['median']:.1f} |"
        )
    return lines


def _difference_table(differences: list[dict[str, Any]]) -> list[str]:
    lines = [
        "Means over images; the intervals hold at 95 % for all rows together. Largest first.",
        "",
        "| figure | splits | first | second | difference | interval | beyond chance |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for row in differences[:_ROWS_SHOWN]:
        unit = f" ({row['unit']})" if row["unit"] else ""
        clear = "yes" if row["beyond_chance"] else "no"
        lines.append(
            f"| {_escape(row['figure'])}{unit} | {_escape(' and '.join(row['splits']))} "
            f"| {row['values'][0]:.2f} | {row['values'][1]:.2f} | {row['difference']:+.2f} "
            f"| {row['low']:+.2f} to {row['high']:+.2f} | {clear} |"
        )
    if len(differences) > _ROWS_SHOWN:
        lines += ["", f"{len(differences) - _ROWS_SHOWN} smaller ones are in `eda.json`."]
    return lines


def _escape(text: str) -> str:
    """Text in which Markdown finds no markup of its own."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text
