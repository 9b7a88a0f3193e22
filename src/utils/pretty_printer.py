"""Tables and facts on the screen: coloured in a terminal, plain text everywhere else."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from seglab.utils.errors import visible

_PER_CLASS = ("Dice", "IoU", "Acc", "Precision", "Recall")


def metrics_table(
    metrics: Mapping[str, float | None],
    class_names: Sequence[str],
    title: str = "",
    prefix: str = "",
) -> Table:
    """The table of a split's metrics, in percent with two decimals: each class, then the mean.

    Args:
        metrics: Percentages as `seglab.utils.test_utils.aggregate_metrics` names them. A figure
            that is missing or NaN (None where it was read from JSON: a class the split does not
            have) is a dash.
        class_names: The C class names.
        title: Above the table.
        prefix: What stands before each key, for example `val/`.
    """

    def cell(key: str) -> Text:
        value = metrics.get(f"{prefix}{key}")
        return Text("-" if value is None or math.isnan(value) else f"{value:.2f}")

    table = Table(title=_text(title) if title else None, title_justify="left")
    table.add_column("class", no_wrap=True)
    for name in _PER_CLASS:
        table.add_column(name, justify="right", no_wrap=True)
    for class_name in class_names:
        table.add_row(_text(class_name), *(cell(f"{name}/{class_name}") for name in _PER_CLASS))
    table.add_section()
    table.add_row(Text("mean"), *(cell(f"m{name}") for name in _PER_CLASS), style="bold")
    table.caption = Text.assemble("pixel accuracy (aAcc) ", cell("aAcc"))
    counted = metrics.get(f"{prefix}classes/mDice")
    if counted is not None and counted < len(class_names):
        table.caption.append(f"\nmDice and mIoU over {counted:.0f} of {len(class_names)} classes")
    return table


def print_metrics(
    metrics: Mapping[str, float | None],
    class_names: Sequence[str],
    title: str = "",
    prefix: str = "",
    stream: TextIO | None = None,
) -> None:
    """Print the table of `metrics_table` to `stream` (None: standard output)."""
    _console(stream).print(metrics_table(metrics, class_names, title, prefix))


def print_table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[tuple[str, bool]]],
    stream: TextIO | None = None,
) -> None:
    """Print a table of texts: names at the left, figures at the right.

    Args:
        title: Above the table; none if empty.
        header: The columns' names.
        rows: For each cell its text, and whether it stands out: bold, with a star before it.
        stream: None for standard output.
    """
    table = Table(title=_text(title) if title else None, title_justify="left")
    for index, name in enumerate(header):
        justify: Literal["right", "left"] = "right" if index else "left"
        table.add_column(_text(name), justify=justify, overflow="fold")  # a path is not cut off
    for row in rows:
        table.add_row(
            *(_text(f"*{text}" if best else text, "bold" if best else "") for text, best in row)
        )
    _console(stream).print(table)


def print_paragraphs(title: str, texts: Sequence[str], stream: TextIO | None = None) -> None:
    """Print sentences below a title, one entry a line; nothing without any."""
    if texts:
        console = _console(stream)
        console.print(_text(title, "bold"))
        for text in texts:
            console.print(Padding(_text(text), (0, 0, 0, 4), expand=False))


def print_key_values(title: str, values: Mapping[str, Any], stream: TextIO | None = None) -> None:
    """Print facts one a line, their values in a column; long values (paths) are not broken."""
    console = _console(stream)
    console.print(_text(title, "bold"), soft_wrap=True)
    width = max((len(key) for key in values), default=0)
    for key, value in values.items():
        console.print(_text(f"  {key:<{width}}  {value}"), soft_wrap=True)


def _text(text: str, style: str = "") -> Text:
    """Text that is shown, not obeyed: neither by rich nor by the terminal."""
    return Text(visible(text), style)


def _console(stream: TextIO | None) -> Console:
    """A console that writes colours and control codes to terminals only."""
    stream = stream or sys.stdout
    # A log file has no width: nothing may be cut off in it.
    return _Console(file=stream, highlight=False, width=None if stream.isatty() else 10_000)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave a reader that has gone (`| head`) to the program; rich would exit with code 1."""
        raise
