"""The demo: draw toy data, train on it, test, and say where to look."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from seglab.tools.common import tool_command
from seglab.utils.paths import PROJECT_ROOT
from seglab.utils.result_files import CONFIG_JSON
from seglab.utils.script import new_parser

CONFIG = "configs/toy_fpn_effnetlite0_128x128.py"
EXAMPLES = """\
  make demo
  seglab demo --output-dir /tmp/demo
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab demo`."""
    parser = new_parser(
        "demo",
        "Draw a synthetic cats-and-dogs data set, train the toy config on it, score it on data\n"
        "it has not seen, and print where to look. A few minutes on two CPU cores.",
        EXAMPLES,
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=PROJECT_ROOT / "experiments" / "demo",
        metavar="DIR",
        help="where the run goes, in a folder named by the time (default experiments/demo)",
    )
    parser.add_argument(
        "--data-root",
        "--data_root",
        type=Path,
        default=PROJECT_ROOT / "data" / "toy",
        metavar="DIR",
        help="where the toy data goes (default data/toy)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seglab.data import make_toy
    from seglab.tools import test, train

    run = args.output_dir / time.strftime("%Y%m%d_%H%M%S")
    data = ["--data-root", str(args.data_root)]
    print("1/3  drawing the toy data set")
    if code := make_toy.main(["--out", str(args.data_root)]):
        return code
    print("\n2/3  training")
    if code := train.main(["--config", CONFIG, "--work-dir", str(run), *data]):
        return code
    print("\n3/3  testing on images it has not seen")
    checkpoint = max(run.glob("best_*.safetensors"), key=lambda path: path.stat().st_mtime)
    tested = ["--config", CONFIG, "--checkpoint", str(checkpoint), "--split", "test", *data]
    if code := test.main(tested):
        return code
    command = tool_command("predict", "--config", run / CONFIG_JSON, "--checkpoint", checkpoint)
    print(
        f"\nlook at:\n"
        f"  {args.data_root / 'contact_sheet.png'}   the data\n"
        f"  {run / 'training_curves.png'}   how it learned\n"
        f"  {run / 'test_test' / 'test_overview.png'}   best and worst predictions\n"
        f"then try your own images:\n  {command} --input YOUR_IMAGES --output-dir predictions"
    )
    return 0


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
