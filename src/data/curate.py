"""Look at the masks in FiftyOne, tag the bad ones, and write the list of them."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seglab.utils.errors import visible
from seglab.utils.paths import PROJECT_ROOT, resolve_input
from seglab.utils.script import new_parser

if TYPE_CHECKING:
    from seglab.data.curation.dataset import Built
    from seglab.data.curation.samples import CuratedSet

DESCRIPTION = """\
Look at the masks of a split in FiftyOne's App, tag the bad ones, and write their list. Install
FiftyOne once with `make curation`. Without it, tick the masks in audit.html instead.

  1. build and look    give --audit to see the most suspicious masks first, with the reasons
  2. tag               in the App, select samples, press the tag icon, and add the tag bad_mask;
                       a tag like `reason: the dog is missing` says why
  3. close             Ctrl-C in this terminal; tags are kept
  4. export            the same command with --export FILE writes what is tagged bad_mask

Images and masks are only read. The dataset stays in the database: the next call brings it up to
date and keeps every tag a person made. --tag-top N tags the first N of the audit for you (once:
what you untag stays untagged); the list says of each mask whether the audit or a person tagged it.
"""
EXAMPLES = """\
  python src/data/curate.py --audit supplementary/audit/audit.json --data_root data/pets_coco \\
      --predictions supplementary/oof/0123456789ab
  python src/data/curate.py --data_root data/pets_coco --split val
  python src/data/curate.py --data_root data/pets_coco --export bad_mask_paths.json
  python src/data/curate.py --audit supplementary/audit/audit.json --data_root data/pets_coco \\
      --tag-top 25 --no-app
"""
_NAMED = 10


def build_parser() -> argparse.ArgumentParser:
    """The command line of this program."""
    parser = new_parser("curate", DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("--data-root", "--data_root", type=Path, required=True, help="holds img/ and labels/")
    add("--audit", type=Path, metavar="FILE", help="audit.json; default: all masks of the split")
    add("--split", help="the split to look at (default: the audit's, or else train)")
    add("--img-dir", "--img_dir", default="img", help="image folder (default: %(default)s)")
    add("--mask-dir", "--mask_dir", default="labels", help="mask folder (default: %(default)s)")
    add(
        "--predictions",
        type=Path,
        metavar="DIR",
        help="out-of-fold predictions, or a folder of PNGs of class numbers named as the masks",
    )
    add("--config", type=Path, help="config that names the classes (default: the audit does)")
    add(
        "--tag-top",
        "--tag_top",
        type=int,
        default=0,
        metavar="N",
        help="tag the first N of the audit's list as bad_mask",
    )
    add("--export", type=Path, metavar="FILE", help="write what is tagged, without the App")
    add("--overwrite", action="store_true", help="replace the --export file if it exists")
    add("--no-app", "--no_app", action="store_true", help="build the dataset only")
    add("--port", type=int, default=5151, help="of the App on 127.0.0.1 (default: %(default)s)")
    add("--name", help="name of the dataset (default: made of data root, mask folder and split)")
    add(
        "--database",
        type=Path,
        default=PROJECT_ROOT / ".cache" / "fiftyone",
        metavar="DIR",
        help="where FiftyOne keeps its data (default: .cache/fiftyone in the project)",
    )
    return parser


def check_arguments(args: argparse.Namespace) -> Path:
    """Refuse what cannot work, before anything is started; returns the data root.

    Raises:
        UserError: An argument is wrong, the extra is not installed, the port is busy, or the file
            to write exists.
    """
    from seglab.data.curation.fiftyone_start import require_fiftyone, require_port
    from seglab.utils.bad_masks import require_free
    from seglab.utils.errors import UserError
    from seglab.utils.io_utils import require_writable

    root = resolve_input(args.data_root)
    faults = [] if root.is_dir() else [f"--data-root {args.data_root} is no folder"]
    if args.tag_top < 0:
        faults.append(f"--tag-top {args.tag_top} is no number of masks")
    if args.tag_top and not args.audit:
        faults.append("--tag-top needs --audit: the list is the audit's")
    if args.audit and args.config:
        faults.append("--config: the audit names the classes")
    if faults:
        raise UserError("; ".join(faults), "mend the command line")
    if args.export:
        require_free(args.export, args.overwrite)
        require_writable(args.export.absolute().parent, "--export: the folder")
    require_fiftyone()
    if not (args.export or args.no_app):
        require_port(args.port)
    require_writable(args.database, "--database")
    return root


def choose_masks(args: argparse.Namespace, root: Path, name: str) -> CuratedSet:
    """The masks to show, with their predictions."""
    from dataclasses import replace

    from seglab.data.curation.samples import (
        masks_of_audit,
        masks_of_split,
        with_predictions,
        with_sizes,
    )

    if args.audit:
        chosen = masks_of_audit(resolve_input(args.audit), root, args.split)
    else:
        chosen = masks_of_split(root, args.split or "train", args.img_dir, args.mask_dir)
    if args.config:
        from seglab.utils.config_utils import dataset_metainfo, load_config

        names = tuple(dataset_metainfo(load_config(args.config))["classes"])
        chosen = replace(chosen, classes=names)
    if args.predictions:
        folder = hashlib.sha256(name.encode()).hexdigest()[:16]  # a name may hold any letters
        painted = args.database / "predictions" / folder
        chosen = with_predictions(chosen, resolve_input(args.predictions), painted)
    return with_sizes(chosen, root)


def dataset_name(args: argparse.Namespace, root: Path) -> str:
    """The dataset's name: the same for the same folders, whatever else is asked."""
    if args.name:
        return str(args.name)
    split, mask_dir = args.split or "train", args.mask_dir
    if args.audit:
        from seglab.utils.io_utils import read_json

        content = read_json(resolve_input(args.audit))
        if isinstance(content, dict):
            split, mask_dir = content.get("split", split), content.get("mask_dir", mask_dir)
    masks, part = Path(str(mask_dir)), Path(str(split))  # `labels/` is `labels`
    digest = hashlib.sha256(f"{root.resolve()}\n{masks}\n{part}".encode()).hexdigest()[:8]
    return f"seglab-{root.resolve().name}-{masks.name}-{part.name}-{digest}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    args = build_parser().parse_args(argv)
    root = check_arguments(args)
    name = dataset_name(args, root)
    only_export = args.export and not (args.audit or args.predictions)
    chosen = None if only_export else choose_masks(args, root, name)
    from seglab.data.curation.fiftyone_start import start_fiftyone

    fiftyone = start_fiftyone(args.database)
    if chosen is None:
        dataset = load(fiftyone, name)
    else:
        from seglab.data.curation.dataset import build_dataset

        built = build_dataset(fiftyone, name, chosen, root, args.tag_top)
        report(built, name)
        dataset = built.dataset
    if args.export:
        export(dataset, root, args.export, args.overwrite)
    elif not args.no_app:
        show(fiftyone, dataset, args.port)
        print(f"{tagged_count(dataset)} tagged bad_mask; write them with --export FILE")
    return 0


def load(fiftyone: Any, name: str) -> Any:
    """The dataset that an earlier call built.

    Raises:
        UserError: There is none.
    """
    from seglab.utils.errors import UserError

    if not fiftyone.dataset_exists(name):
        raise UserError(
            f"there is no dataset {name}: nothing can be tagged yet",
            "build it first: the same command without --export",
        )
    return fiftyone.load_dataset(name)


def report(built: Built, name: str) -> None:
    """Say what was built, and what a person has to know of earlier tags."""
    print(f"dataset {name}: {len(built.dataset)} masks, {built.added} of them new")
    for masks, what in (
        (built.changed, "tagged masks have changed since they were tagged; look again"),
        (built.unlisted, "tagged masks are not listed any more; they were kept"),
    ):
        if masks:
            more = f" and {len(masks) - _NAMED} more" if len(masks) > _NAMED else ""
            print(visible(f"note: {len(masks)} {what}: {', '.join(masks[:_NAMED])}{more}"))


def export(dataset: Any, root: Path, path: Path, overwrite: bool) -> None:
    """Write what is tagged, and say how many a person tagged."""
    from seglab.data.curation.dataset import tagged_masks
    from seglab.utils.bad_masks import PERSON, write_bad_masks

    masks = tagged_masks(dataset, root)
    write_bad_masks(path, masks, overwrite)
    by_person = sum(mask.tagged_by == PERSON for mask in masks)
    print(f"{len(masks)} bad masks, {by_person} tagged by a person; written: {path}")


def tagged_count(dataset: Any) -> int:
    """How many samples bear the tag."""
    from seglab.data.curation.dataset import is_tagged

    dataset.reload()
    return sum(is_tagged(sample) for sample in dataset.iter_samples())


def show(fiftyone: Any, dataset: Any, port: int) -> None:
    """Open the App and wait for Ctrl-C."""
    from seglab.data.curation.dataset import TAG, WORST_FIRST
    from seglab.data.curation.fiftyone_start import ADDRESS

    session = fiftyone.launch_app(
        view=dataset.load_saved_view(WORST_FIRST),
        color_scheme=dataset.app_config.color_scheme,
        port=port,
        address=ADDRESS,
    )
    print(
        f"the App: http://{ADDRESS}:{port}/datasets/{dataset.slug}?view={WORST_FIRST}\n"
        f"tag bad masks `{TAG}` (select samples, tag icon); then press Ctrl-C here and run the\n"
        "same command with --export bad_mask_paths.json. Tags are kept when you close.",
        flush=True,
    )
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        session.close()


if __name__ == "__main__":
    from seglab.utils.script import run_script

    run_script(main)
