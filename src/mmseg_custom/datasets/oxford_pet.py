"""The Oxford-IIIT Pet data set in its official layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from seglab.utils import oxford_pet as pets
from seglab.utils.errors import raise_faults
from seglab.utils.masks import class_colors


@DATASETS.register_module()
class OxfordPetDataset(BaseSegDataset):
    """Oxford-IIIT Pet as its authors lay it out; nothing is converted on disk.

    ```
    data_root/images/NAME.jpg
    data_root/annotations/{list,trainval,test}.txt
    data_root/annotations/trimaps/NAME.png        1 animal, 2 background, 3 border
    ```

    The trimap is turned into labels while it is loaded (mmseg's `LoadAnnotations` follows each
    sample's `label_map`). Every sample carries `sample_id`, its file's name in `images`.

    Args:
        data_root: The folder that holds `images` and `annotations`.
        split: 'train', 'val', 'trainval' or 'test'. Train and val are a fixed part of the
            official trainval, stratified by breed (`seglab.utils.oxford_pet.val_names`).
        mode: 'binary' (background, animal), 'species' (background, cat, dog) or 'trimap'
            (background, animal, border).
        border: What the border between animal and background counts as: 'ignore' (it is not
            trained on and not scored), 'foreground' or 'background'. In mode 'trimap' it is a
            class of its own.
        exclude: Names of images to leave out, such as `Bengal_1`; the others stay in their splits.
        **kwargs: As for mmseg's `BaseSegDataset`; `metainfo` gives other class names or colours.

    Raises:
        UserError: An option is unknown or does not fit the others, or the lists are missing,
            damaged or disagree; says everything at once.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        mode: str = "binary",
        border: str = "ignore",
        exclude: str | Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        metainfo = dict(kwargs.pop("metainfo", None) or {})
        faults = pets.option_faults(split, mode, border, metainfo.get("classes", ()))
        raise_faults("the data set cannot be built", faults, "correct these in the config")
        self.split, self.mode, self.border = split, mode, border
        self.exclude = pets.as_names(exclude)
        metainfo.setdefault("classes", pets.MODES[mode])
        metainfo.setdefault("palette", class_colors(len(metainfo["classes"])).tolist())
        super().__init__(
            data_root=data_root,
            data_prefix=dict(img_path=pets.IMAGES, seg_map_path=pets.TRIMAPS),
            img_suffix=pets.IMAGE_SUFFIX,
            seg_map_suffix=pets.TRIMAP_SUFFIX,
            metainfo=metainfo,
            **kwargs,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the split's samples, sorted by name."""
        root = Path(self.data_root)
        lists = pets.read_lists(root)
        raise_faults(
            f"the lists of {root} cannot be used",
            [*lists.faults, *lists.unknown(self.exclude)],
            "unpack annotations.tar.gz again (seglab prepare-oxford-pet does it)",
        )
        images, trimaps = (Path(self.data_prefix[key]) for key in ("img_path", "seg_map_path"))
        return [
            dict(
                img_path=str(images / (pet.name + self.img_suffix)),
                seg_map_path=str(trimaps / (pet.name + self.seg_map_suffix)),
                sample_id=pet.name + self.img_suffix,
                label_map=pets.label_map(self.mode, self.border, pet.species),
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for pet in lists.split(self.split, self.exclude)
        ]
