"""What several tools share: arguments, and the checks before any compute."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.utils.paths import PROJECT_ROOT

if TYPE_CHECKING:
    from mmengine.config import Config

#: Light runs that come with the project, inside the folder of runs: the first study's, the lab's.
REFERENCE, LAB_REFERENCE = "reference", "reference_lab"
REFERENCES = (REFERENCE, LAB_REFERENCE)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """`--config`, `--data-root`, `--cfg-options`."""
    parser.add_argument("--config", required=True, help="the config, e.g. configs/lite_....py")
    parser.add_argument(
        "--data-root",
        "--data_root",
        metavar="DIR",
        help="folder with img/ and labels/; replaces the config's",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change the config, e.g. train_cfg.max_epochs=5; +KEY=VALUE adds a new key",
    )


def add_checkpoint_argument(parser: argparse.ArgumentParser) -> None:
    """`--checkpoint`, `--trust-checkpoint`."""
    parser.add_argument(
        "--checkpoint",
        required=True,
        type=Path,
        metavar="FILE",
        help="the weights, .pth or .safetensors",
    )
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="DANGEROUS: unpickle a .pth that holds more than weights. It runs whatever code is in "
        "it: only for a file of whose maker you would run a program",
    )


def add_preflight_argument(parser: argparse.ArgumentParser) -> None:
    """`--skip-preflight`."""
    parser.add_argument(
        "--skip-preflight",
        action="store_true",
        help="do not check config and data first (see `seglab check --list`)",
    )


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """`--device`."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto (default) takes a GPU if torch sees one",
    )


def add_tracking_argument(parser: argparse.ArgumentParser) -> None:
    """`--tracking`."""
    parser.add_argument(
        "--tracking",
        choices=("off", "offline", "online"),
        help="record for ClearML: online sends while it runs, offline keeps everything on disk "
        "to be sent later (default: online if credentials are found and the server answers "
        "within 5 s, else offline; SEGLAB_TRACKING sets another default)",
    )


def tool_command(tool: str, *arguments: object) -> str:
    """The command line that runs a tool, as it works from the current folder."""
    script = PROJECT_ROOT / "src" / "tools" / f"{tool}.py"
    shown = script.relative_to(PROJECT_ROOT) if Path.cwd() == PROJECT_ROOT else script
    return shlex.join(map(str, ["python", shown, *arguments]))


def check_before_compute(config: Config, splits: Sequence[str]) -> None:
    """Check config and data; doubts are printed, faults stop.

    Raises:
        UserError: There are faults; it lists all of them.
    """
    from seglab.data.preflight import raise_on_faults, report, run_preflight

    findings = run_preflight(config, splits)
    raise_on_faults(findings)
    if findings:
        print(report(findings), file=sys.stderr)
