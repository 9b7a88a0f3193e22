"""`lab_scores.json`: one checkpoint scored honestly and the lab's way, step by step between them.

The lab that the configs on Oxford-IIIT Pet go back to scored on its own training images, at the
size of training, with augmentation on, the border as background, and averaged the IoU of batches.
The rows of the file change one of these after the other (`seglab.mmseg_custom.engine.lab_scoring`
makes them). What the file needs of a config, and how it is read, is here: neither needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import read_json
from seglab.utils.result_files import LAB_SCORES_FILE, METRICS_FILE
from seglab.utils.schemas import validate

#: Figure of a row -> the published figure of the honest score that it is; NAME is the class.
FIGURES = {
    "IoU": "IoU/NAME",
    "image_mean_IoU": "image_mean/IoU/NAME",
    "pixel_accuracy": "aAcc",
}
#: The rows in their order. Those that would change nothing are left out.
ROW_IDS = ("ours", "border", "train_images", "train_size", "augmented", "lab")
_AGAIN = "run `seglab test --reproduce-lab` again, or delete the file"


def honest_figures(metrics: Mapping[str, float | None], name: str) -> dict[str, float | None]:
    """The figures of a class among those of a test, by their names in a row.

    Args:
        metrics: The `metrics` of `test_metrics.json`.
        name: The class.

    Returns:
        Percentages, see `FIGURES`.
    """
    return {key: metrics[published.replace("NAME", name)] for key, published in FIGURES.items()}


def describe_row(scores: Mapping[str, Any], index: int) -> str:
    """How a row was scored: the first in full, the others by what they change.

    Args:
        scores: The file's content.
        index: Position in its `rows`.
    """
    row = scores["rows"][index]
    border = {"ignore": "ignored"}.get(row["border"], f"as {row['border']}")
    names = ", ".join(scores["augmentation"])
    return {
        "ours": f"honest: {row['split']} images, border {border}",
        "border": f"+ border {border}",
        "train_images": f"+ on the {row['split']} images",
        "train_size": "+ in the size of training",
        "augmented": f"+ augmented ({names})",
        "lab": f"the lab's way: + averaged over batches of {scores['batch_size']}",
    }[row["id"]]


def require_lab_config(config: Any, split: str) -> None:
    """Make sure that a config can be scored the lab's way.

    Args:
        config: A resolved config.
        split: 'val' or 'test', which is scored honestly.

    Raises:
        UserError: Its data are not Oxford-IIIT Pet in mode binary; says everything at once.
    """
    faults = []
    for loader in (f"{split}_dataloader", "train_dataloader"):
        dataset = (config.get(loader) or {}).get("dataset") or {}
        kind, mode = dataset.get("type"), dataset.get("mode", "binary")
        if kind is None:
            faults.append(f"the config has no {loader}")
        elif getattr(kind, "__name__", str(kind)).rpartition(".")[2] != "OxfordPetDataset":
            faults.append(f"{loader}: the data set is {kind}")
        elif mode != "binary":
            faults.append(f"{loader}: mode is {mode!r}")
    # Of other batches (a batch_sampler's) there is no mean as the lab took it.
    size = (config.get("train_dataloader") or {"batch_size": 1}).get("batch_size")
    if not isinstance(size, int) or size < 1:
        faults.append(f"train_dataloader: batch_size is {size!r}")
    raise_faults(
        f"--reproduce-lab: {config.filename} cannot be scored the lab's way, which is defined for "
        "OxfordPetDataset in mode 'binary'",
        faults,
        "leave --reproduce-lab out, or take a config such as configs/unet_lite.py",
    )


def read_lab_scores(test_folder: Path) -> dict[str, Any] | None:
    """Read the lab's scores of a test.

    Args:
        test_folder: Folder of the test's results, with a sound `test_metrics.json`.

    Returns:
        The file's content, as `lab_scores.schema.json` describes it; None where there is none.

    Raises:
        UserError: It is damaged, or is not of the test beside it.
    """
    path = test_folder / LAB_SCORES_FILE
    if not path.is_file():
        return None
    content = read_json(path)
    validate("lab_scores", content, path, _AGAIN)
    scores: dict[str, Any] = content
    beside = read_json(test_folder / METRICS_FILE)
    ours, ids = scores["rows"][0], [row["id"] for row in scores["rows"]]
    # Sorted as in `ROW_IDS`: no row twice, and the honest one first.
    if ids != [name for name in ROW_IDS if name in ids] or {ids[0], ids[-1]} != {"ours", "lab"}:
        raise UserError(f"{path}: the rows are {', '.join(ids)}", _AGAIN)
    name, metrics = scores["class"], beside.get("metrics") or {}
    expected = {key: metrics.get(each.replace("NAME", name)) for key, each in FIGURES.items()}
    if {key: ours[key] for key in FIGURES} != expected or ours["images"] != beside.get("images"):
        raise UserError(f"{path} is of another test than {METRICS_FILE} beside it", _AGAIN)
    return scores
