"""Print a resolved config: `python src/tools/show_config.py --config C`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seglab.tools.common import add_config_arguments
from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/show_config.py --config configs/lite_fpn_effnetlite2_256x256.py
  seglab show-config --config RUN/config.json --key train_dataloader.dataset.pipeline
  seglab show-config --config configs/h1_deeplabv3plus_r50_d8_256x256.py --format json \\
      --output h1.json
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab show-config`."""
    parser = new_parser(
        "show-config",
        "Print what a config says once its bases and overrides are in it. Nothing of it is built:\n"
        "no model, no data set, no folder. A Python config is code, and loading one runs it; a\n"
        ".json or .yaml config is data, and nothing in it is run.",
        EXAMPLES,
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--key", metavar="KEY", help="only this part, e.g. model.decode_head or param_scheduler.0"
    )
    parser.add_argument(
        "--format",
        choices=("python", "json"),
        default="python",
        help="python (default), or json, which test and predict take as --config",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write it there, a new file, and print nothing"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seglab.utils.config_utils import load_config
    from seglab.utils.errors import UserError
    from seglab.utils.io_utils import write_text

    if args.output and args.output.exists():
        raise UserError(f"--output {args.output} is there already", "name a new file")
    content = load_config(args.config, args.cfg_options, args.data_root).to_dict()
    text = _formatted(_part(content, args.key) if args.key else content, args.format, args.key)
    if args.output:
        write_text(args.output, text)
    else:
        print(text, end="")
    return 0


def _part(content: Any, key: str) -> Any:
    """What a config has under a dotted key.

    Raises:
        UserError: There is no such key.
    """
    from seglab.utils.config_utils import require_key

    require_key(content, key, "--key")
    for step in key.split("."):
        content = content[int(step) if isinstance(content, list | tuple) else step]
    return content


def _formatted(content: Any, form: str, key: str | None) -> str:
    import json
    import pprint

    from seglab.utils.config_text import literal_text
    from seglab.utils.io_utils import to_plain

    if form == "json":
        return json.dumps(to_plain(content), indent=2, ensure_ascii=False) + "\n"
    if key is None:
        return literal_text(content)
    return f"{pprint.pformat(content, width=100, sort_dicts=False)}\n"


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
