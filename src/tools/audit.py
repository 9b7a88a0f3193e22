"""Which masks are bad? Out-of-fold training, scores and the ranked list in one command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.data.audit import (
    add_detector_arguments,
    add_output_arguments,
    audit_and_write,
    check_outputs,
    chosen_detector,
)
from seglab.tools.common import add_config_arguments, add_device_argument
from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from mmengine.config import Config

    from seglab.data.preflight.split_folder import SplitFolder

EXAMPLES = """\
  python src/tools/audit.py --config configs/lite_fpn_effnetlite2_256x256.py
  seglab audit --config configs/lite_fpn_effnetlite2_256x256.py --folds 3 --epochs 10 \\
      --write-bad-masks 25
  seglab audit --config configs/lite_fpn_effnetlite2_256x256.py --seeds 0 1
  seglab audit --config configs/lite_fpn_effnetlite2_256x256.py --detector yolov8x-seg.pt
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `seglab audit`."""
    parser = new_parser(
        "audit",
        "Rank the train masks of a config, the most suspicious first. Each mask is judged by a\n"
        "model that was trained on the other folds, for a fixed short schedule. Finished\n"
        "predictions are kept and not made again; src/data/audit.py judges from them alone.",
        EXAMPLES,
    )
    add_config_arguments(parser)
    add_device_argument(parser)
    add = parser.add_argument
    add("--folds", type=int, default=5, help="number of folds (default: %(default)s)")
    add("--epochs", type=int, default=12, help="epochs of each fold (default: %(default)s)")
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        help="seeds; predictions of several are averaged (default: 0)",
    )
    add(
        "--cache-dir",
        type=Path,
        default=Path("supplementary/oof"),
        metavar="DIR",
        help="where the predictions are kept (default: %(default)s)",
    )
    add_detector_arguments(parser)
    add_output_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_outputs(args)
    check_numbers(args)
    from seglab.data.auditing.job import AuditInput, check_files
    from seglab.data.auditing.photographs import find_photographs, list_samples
    from seglab.mmseg_custom.engine.out_of_fold import FoldOptions, predict_out_of_fold
    from seglab.utils.config_outputs import require_own_outputs
    from seglab.utils.config_utils import class_names, load_config

    config = load_config(args.config, args.cfg_options, args.data_root)
    require_own_outputs(config, args.cfg_options)
    classes = class_names(config)
    folder = trained_folder(config, args.split)
    asked = AuditInput(
        folder.root,
        folder.subfolder,
        folder.img_dir,
        folder.mask_dir,
        ignore_index=folder.ignore_index,
        img_suffixes=folder.img_suffixes,
        detector=chosen_detector(args, classes, args.device),
    )
    check_files(asked, classes)  # before hours of training
    together = [group.files for group in find_photographs(list_samples(folder))]
    caches = tuple(
        predict_out_of_fold(
            config,
            args.cache_dir,
            FoldOptions(args.folds, args.epochs, seed, args.device),
            together,
        )
        for seed in dict.fromkeys(args.seeds)
    )
    return audit_and_write(replace(asked, predictions=caches), args)


def check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers that cannot work.

    Raises:
        UserError: There are such; it names all.
    """
    from seglab.utils.errors import UserError

    faults = [
        f"--{name} {value} is less than {least}"
        for name, values, least in (
            ("folds", [args.folds], 2),
            ("epochs", [args.epochs], 1),
            ("seeds", args.seeds, 0),
        )
        for value in values
        if value < least
    ]
    if faults:
        raise UserError("; ".join(faults), "mend the command line")


def trained_folder(config: Config, split: str) -> SplitFolder:
    """The folders of the split that a config trains on.

    Raises:
        UserError: It trains on another split, or on something else than one plain folder.
    """
    from seglab.data.preflight.folders import find_folders
    from seglab.data.preflight.pet_folder import PetFolder
    from seglab.utils.errors import UserError
    from seglab.utils.oxford_pet import folders_hint

    found, _ = find_folders(config, "train")
    names = ", ".join(folder.subfolder for folder in found) or "none of its folders"
    if [folder.subfolder for folder in found] != [split]:
        raise UserError(
            f"--split {split}: the config trains on {names}",
            "only masks that are trained on can be predicted out of fold",
        )
    (folder,) = found
    if isinstance(folder, PetFolder):
        raise UserError(
            "the audit judges folders of masks; the config trains on trimaps of Oxford-IIIT Pet",
            folders_hint(folder.root, "species")
            + "\n  audit a config with MaskFolderDataset, such as "
            "configs/lite_fpn_effnetlite2_oxford_species.py",
        )
    faults = [
        f"train_dataloader.dataset.{key}"
        for key, stands in (
            ("seg_map_suffix", folder.mask_suffix != ".png"),
            ("reduce_zero_label", folder.reduce_zero_label),
            ("indices", folder.indices is not None),
        )
        if stands
    ]
    if faults:
        raise UserError(
            f"the audit judges every mask of a folder, as PNG with background 0; the config sets "
            f"{', '.join(faults)}",
            "audit a config without",
        )
    return folder


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
