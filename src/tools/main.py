"""The `seglab` command: it hands over to the tool that is named."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from seglab.utils.script import run_tool

#: Command -> module with `main(argv)`, and what it does in a line.
COMMANDS = {
    "train": ("seglab.tools.train", "train one config"),
    "test": ("seglab.tools.test", "score a checkpoint on a split, with pictures"),
    "choose-threshold": (
        "seglab.tools.choose_threshold",
        "choose the threshold of a one-logit model on val",
    ),
    "replay": ("seglab.tools.replay", "repeat a step whose loss was not finite"),
    "predict": ("seglab.tools.predict", "segment any images with a checkpoint"),
    "check": ("seglab.tools.check", "check a config and its data before any compute"),
    "show-config": ("seglab.tools.show_config", "print a resolved config; nothing is built"),
    "audit": ("seglab.tools.audit", "rank the train masks, the most suspicious first"),
    "curate": ("seglab.data.curate", "look through the masks in FiftyOne and tag the bad ones"),
    "clean-bad-masks": ("seglab.data.clean_bad_masks", "repair listed masks; accept or reject"),
    "repair-gain": ("seglab.tools.repair_gain", "did repaired masks help? train both, compare"),
    "runs": ("seglab.tools.runs", "list the local runs, or show them in TensorBoard"),
    "compare": ("seglab.tools.compare", "which hypothesis won, by how much, could it be chance"),
    "report": ("seglab.tools.report", "write the report from run folders"),
    "lab-report": ("seglab.tools.lab_report", "write the report of the study on Oxford-IIIT Pet"),
    "convert-checkpoint": (
        "seglab.tools.convert_checkpoint",
        "make weights to share (safetensors) of a .pth",
    ),
    "export-run": ("seglab.tools.export_run", "copy a run's light form, for committing"),
    "upload-results-to-clearml": (
        "seglab.tools.upload_results_to_clearml",
        "send runs on disk to a ClearML server",
    ),
    "demo": ("seglab.tools.demo", "draw toy data, train, test, and show where to look"),
    "eda": ("seglab.data.eda", "look at a data set: shares, areas, duplicates, splits"),
    "prepare-oxford-pet": (
        "seglab.data.prepare_oxford_pet",
        "download Oxford-IIIT Pet, or unpack and check it",
    ),
    "prepare-coco-pets": ("seglab.data.prepare_coco_pets", "cut cats and dogs out of COCO"),
    "make-toy": ("seglab.data.make_toy", "draw the synthetic cats-and-dogs data set"),
}


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return (
        "usage: seglab COMMAND [options]\n\n"
        "Semantic-segmentation experiments on small, badly labelled data sets.\n\n"
        "commands:\n" + "\n".join(lines) + "\n\n`seglab COMMAND --help` explains each; "
        "`python src/tools/COMMAND.py` is the same program\n"
        "with _ for -; eda, curate, clean-bad-masks, make-toy and prepare-* are in src/data."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `seglab`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else "--help"
    if command in {"-h", "--help"}:
        print(_usage())
        return 0
    if command == "--version":
        from seglab import __version__

        print(f"seglab {__version__}")
        return 0
    if command not in COMMANDS:
        print(f"error: unknown command {command!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(COMMANDS[command][0])
    return run_tool(module.main, arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
