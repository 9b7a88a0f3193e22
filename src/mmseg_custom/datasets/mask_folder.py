"""A data set of two folders: images and, beside them, masks of the same names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from seglab.utils.errors import UserError


@DATASETS.register_module()
class MaskFolderDataset(BaseSegDataset):
    """Any pair of folders `IMG_DIR/SPLIT` and `MASK_DIR/SPLIT` under one root.

    ```
    data_root/img/train/a.jpg        data_root/labels/train/a.png
    data_root/img/train/sub/b.jpg    data_root/labels/train/sub/b.png
    ```

    A mask is a single-channel 8-bit image whose values are class numbers, 255 where ignored.
    Every sample carries `sample_id`, its image's path relative to `IMG_DIR/SPLIT`, so that
    `a/x.jpg` and `b/x.jpg` stay apart in every result.

    Args:
        data_root: The folder that holds images and masks.
        split: Name of the split's folder in both.
        img_dir: Folder of the images.
        mask_dir: Folder of the masks; the one place to switch label versions
            (`labels`, `labels_sam2`, ...).
        img_suffix: Suffix of the images, or several (`('.jpg', '.png')`); case-insensitive.
        seg_map_suffix: Suffix of the masks.
        **kwargs: As for mmseg's `BaseSegDataset`; `metainfo` gives `classes` and `palette`.

    Raises:
        UserError: A folder is missing or holds no images.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        img_dir: str = "img",
        mask_dir: str = "labels",
        img_suffix: str | Sequence[str] = ".jpg",
        seg_map_suffix: str = ".png",
        **kwargs: Any,
    ) -> None:
        self.split = split
        self._suffixes = (img_suffix,) if isinstance(img_suffix, str) else tuple(img_suffix)
        super().__init__(
            data_root=data_root,
            data_prefix=dict(
                img_path=str(Path(img_dir) / split), seg_map_path=str(Path(mask_dir) / split)
            ),
            img_suffix=self._suffixes[0],
            seg_map_suffix=seg_map_suffix,
            **kwargs,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the split's samples, sorted by their path."""
        images = Path(self.data_prefix["img_path"])
        masks = Path(self.data_prefix["seg_map_path"])
        wanted = {suffix.lower() for suffix in self._suffixes}
        if not images.is_dir():
            raise UserError(f"image folder not found: {images}", "check --data-root and the split")
        files = sorted(path for path in images.rglob("*") if path.suffix.lower() in wanted)
        if not files:
            raise UserError(
                f"no images in {images}", f"its files must end in {' or '.join(sorted(wanted))}"
            )
        return [
            dict(
                img_path=str(path),
                seg_map_path=str(masks / path.relative_to(images).with_suffix(self.seg_map_suffix)),
                sample_id=path.relative_to(images).as_posix(),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for path in files
        ]
