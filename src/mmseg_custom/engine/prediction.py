"""Segment images of any origin and write masks and overlays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import mmcv
from mmengine.config import Config
from PIL import Image
from tqdm import tqdm

from seglab.mmseg_custom.engine.inference import ImageSegmenter, LabelArray, load_model
from seglab.mmseg_custom.engine.run_setup import select_device
from seglab.utils.config_utils import dataset_metainfo
from seglab.utils.errors import UserError
from seglab.utils.image_limits import open_image
from seglab.utils.io_utils import atomic_path, require_writable
from seglab.utils.paths import IMAGE_SUFFIXES, output_path
from seglab.utils.visualization_utils import class_colors, overlay_mask


def find_images(inputs: Sequence[Path], output_dir: Path | None = None) -> dict[Path, Path]:
    """List the images among files and folders.

    Args:
        inputs: Image files, and folders that are searched with their subfolders.
        output_dir: Where results will go; images in it are left out.

    Returns:
        The output name (relative, without suffix) of each image, in order.

    Raises:
        UserError: An input does not exist, there is no image, or two would have one name.
    """
    missing = [str(path) for path in inputs if not path.exists()]
    if missing:
        raise UserError(f"input not found: {', '.join(missing)}", "check --input")
    names: dict[Path, Path] = {}
    for given in inputs:
        if given.is_dir():
            found = [p for p in sorted(given.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
            if output_dir is not None:
                results = output_dir.resolve()
                found = [p for p in found if not p.resolve().is_relative_to(results)]
            names |= {path: path.relative_to(given).with_suffix("") for path in found}
        else:
            names[given] = Path(given.stem)
    if not names:
        raise UserError(
            f"no images in {', '.join(map(str, inputs))}",
            "images end in " + ", ".join(sorted(IMAGE_SUFFIXES)),
        )
    owners: dict[Path, Path] = {}
    clashes = [
        f"{path} and {owners[name]}"
        for path, name in names.items()
        if owners.setdefault(name, path) != path
    ]
    if clashes:
        raise UserError(
            f"two images would write the same mask: {'; '.join(clashes)}",
            "predict them in two runs with two --output-dir",
        )
    return names


def _check_readable(images: Sequence[Path]) -> None:
    faults = []
    for path in tqdm(images, desc="checking", unit="image", delay=1, leave=False):
        try:
            with open_image(path) as image:
                image.load()
        except UserError as error:
            faults.append(error.message)
        except Exception as error:  # Pillow's decoders raise almost anything on damaged files
            faults.append(f"{path} ({error})")
    if faults:
        raise UserError(
            f"{len(faults)} of {len(images)} images cannot be read:\n    " + "\n    ".join(faults),
            "mend, shrink or remove them",
        )


def _trained_size(config: Config) -> tuple[int, int] | None:
    """(width, height) of the training images, from the data preprocessor's (height, width)."""
    size = config.model.get("data_preprocessor", {}).get("size")
    return (int(size[1]), int(size[0])) if size else None


def _check_free(targets: Sequence[Path], overwrite: bool) -> None:
    """Refuse to write over files: a folder of masks may be somebody's labels."""
    existing = [str(path) for path in targets if path.exists()]
    if existing and not overwrite:
        raise UserError(
            f"{len(existing)} results exist already, e.g. {existing[0]}",
            "give another --output-dir, or add --overwrite",
        )


def _save_image(path: Path, pixels: LabelArray) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def predict_images(
    config: Config,
    checkpoint: Path,
    images: Mapping[Path, Path],
    output_dir: Path,
    device: str = "auto",
    native_size: bool = False,
    overwrite: bool = False,
    trust: bool = False,
) -> int:
    """Segment images and write `masks/NAME.png` and `overlays/NAME.png`.

    Args:
        config: The config the checkpoint was trained with.
        checkpoint: The weights.
        images: From `find_images`.
        output_dir: Where the results go.
        device: 'auto', 'cpu' or 'cuda'.
        native_size: Do not scale images to the size of training.
        overwrite: Replace results that exist.
        trust: Unpickle a checkpoint that holds more than weights.

    Returns:
        The number of images.

    Raises:
        UserError: An image cannot be read (all such are listed), or the checkpoint does not fit.
    """
    targets = {
        kind: {
            path: output_path(output_dir / kind, f"{name.as_posix()}.png")
            for path, name in images.items()
        }
        for kind in ("masks", "overlays")
    }
    _check_free([path for each in targets.values() for path in each.values()], overwrite)
    _check_readable(list(images))
    model = load_model(config, checkpoint, select_device(device), trust)
    require_writable(output_dir, "--output-dir")
    segment = ImageSegmenter(model, None if native_size else _trained_size(config))
    metainfo = dataset_metainfo(config)
    palette = class_colors(len(metainfo["classes"]), metainfo.get("palette"))
    for path in tqdm(images, desc="predicting", unit="image"):
        labels = segment(path)
        _save_image(targets["masks"][path], labels)
        # Read as the model read it: orientation flags in the file are applied by both.
        image = mmcv.imread(str(path), channel_order="rgb")
        overlay = overlay_mask(image, labels, palette)
        _save_image(targets["overlays"][path], overlay)
    return len(images)
