"""Repeat a training step whose loss was not finite: `python src/tools/replay.py FILE`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.tools.common import add_device_argument
from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from seglab.mmseg_custom.engine.captured_step import Replay

EXAMPLES = """\
  python src/tools/replay.py experiments/lite/20260102_030405/not_finite_step.pth
  seglab replay RUN/not_finite_step.pth --device cuda
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab replay`."""
    parser = new_parser(
        "replay",
        "Repeat the step at which a training stopped because its loss or its gradient was not\n"
        "finite: the same batch, weights and random numbers. Tells what the losses are, which\n"
        "layer gave the first value that is not finite, and what the images and labels hold.\n\n"
        "The file is read as data; nothing in it is executed.",
        EXAMPLES,
    )
    parser.add_argument("file", type=Path, help="not_finite_step.pth of a run's folder")
    add_device_argument(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seglab.mmseg_custom.engine.captured_step import replay_step
    from seglab.utils.devices import choose_device

    _tell(replay_step(args.file, choose_device(args.device)))
    return 0


def _tell(replay: Replay) -> None:
    from seglab.utils.errors import visible
    from seglab.utils.pretty_printer import print_key_values

    facts = replay.facts
    where = f"epoch {facts['epoch']}, step {facts['step']}"
    print(visible(f"{where}: the {facts['what']} was {facts['text']}"))
    print_key_values("\nnow", {name: f"{value:g}" for name, value in replay.losses.items()})
    first = replay.first_module or "none"
    print(visible(f"\nfirst layer with values that are not finite: {first}"))
    shown = ", ".join(replay.gradients[:5]) or "none"
    print(visible(f"gradients that are not finite: {len(replay.gradients)} ({shown})"))
    print("\nthe batch:")
    for (path, low, high), labels in zip(replay.images, replay.labels, strict=True):
        values = ", ".join(map(str, labels))
        print(visible(f"  {path}: values {low:g} to {high:g}, labels {values}"))


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
