"""Make weights to share of a .pth: `python src/tools/convert_checkpoint.py FILE.pth`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seglab.utils.script import new_parser

EXAMPLES = """\
  python src/tools/convert_checkpoint.py old_run/best_val_mDice_epoch_12.pth
  seglab convert-checkpoint segformer_mit-b0_512x512_160k_ade20k.pth --output-dir weights
  seglab convert-checkpoint RUN/epoch_80.pth --config RUN/config.py --output-dir weights
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab convert-checkpoint`."""
    parser = new_parser(
        "convert-checkpoint",
        "Convert .pth files of torch, mmengine or mmseg to what people share: the weights as\n"
        "NAME.safetensors, the facts that the file tells (classes, epoch, its SHA-256) as\n"
        "NAME.json, a checksum as NAME.safetensors.sha256. Optimizer states and configs stay\n"
        "behind. Nothing in the file is executed, and the file stays as it is.",
        EXAMPLES,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="the checkpoints")
    parser.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="default: beside each checkpoint"
    )
    parser.add_argument(
        "--config",
        metavar="CONFIG",
        help="the config they were trained with: refuse weights that do not fit its model, and "
        "add the model and the config's hash to the facts",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    from tqdm import tqdm

    from seglab.utils.checkpoint_conversion import check_conversions, convert, output_path
    from seglab.utils.errors import raise_faults
    from seglab.utils.io_utils import require_writable

    files: list[Path] = args.files
    faults = check_conversions(files, args.output_dir)
    raise_faults("nothing was converted", faults, "correct the paths; nothing is ever overwritten")
    more = _check_contents(files, args.config)
    if args.output_dir:
        require_writable(args.output_dir, "--output-dir")
    for source in tqdm(files, desc="converting", unit="file", disable=len(files) < 2):
        target = output_path(source, args.output_dir)
        facts = convert(source, target, more)
        left = f"; left out: {', '.join(facts['left_out'])}" if facts["left_out"] else ""
        tqdm.write(f"{target}: {facts['tensors']} tensors, {facts['parameters']} numbers{left}")
    return 0


def _check_contents(files: Sequence[Path], config_file: str | None) -> dict[str, Any]:
    """Read every checkpoint, and see that it fits the config's model if there is one.

    Returns:
        The facts that the config adds.
    """
    from seglab.utils.checkpoint_conversion import read_for_conversion
    from seglab.utils.errors import raise_faults, tried

    model, more = _from_config(config_file) if config_file else (None, {})
    faults: list[str] = []

    def check(file: Path) -> None:
        from seglab.utils.checkpoint_utils import load_weights_into

        weights, _ = read_for_conversion(file)
        if model is not None:
            load_weights_into(model, {"state_dict": weights}, file)

    for file in files:
        tried(lambda file=file: check(file), faults)  # type: ignore[misc]
    raise_faults(
        "nothing was converted",
        faults,
        "give files that hold only weights and plain values, with the config they belong to",
    )
    return more


def _from_config(config_file: str) -> tuple[Any, dict[str, Any]]:
    """A config's model, and the facts that the config adds."""
    from seglab.mmseg_custom.engine.inference import build_model
    from seglab.mmseg_custom.engine.provenance import config_sha256
    from seglab.mmseg_custom.engine.weight_facts import model_facts
    from seglab.utils.config_utils import class_names, load_config

    config = load_config(config_file)
    facts = {
        **model_facts(config),
        "classes": list(class_names(config)),
        "config_sha256": config_sha256(config),
    }
    return build_model(config), facts


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
