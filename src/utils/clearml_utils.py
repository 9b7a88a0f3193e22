"""Reporting to a ClearML task: what seglab's runs send, with the SDK's pitfalls taken care of.

Runs do not use this themselves: they write a journal, and a child process reports it
(`seglab.utils.tracking`). In a notebook or a script of your own:

    task = init_clearml_task("H7 by hand", tags=("H7",), offline=True)
    log_metrics(task, {"loss": 0.31, "val/mDice": 82.4, "val/Dice/dog": 79.9}, step=12)
    log_model(task, "experiments/.../best_val_mDice_epoch_12.safetensors", {"val/mDice": "82.4"})
    task.close()

The SDK is imported when a task is made, not before: it takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from seglab.utils.errors import UserError

#: ClearML's project of all runs.
DEFAULT_PROJECT = "practicum_segmentation"

#: A `clearml.Task`; the SDK has no types.
Task: TypeAlias = Any

# Whatever the SDK could hook itself into. `detect_repository` off: it is slow, hangs at random,
# and would record the repository of the process that reports, not of the one that trained.
_NO_HOOKS = dict.fromkeys(
    (
        "detect_repository", "matplotlib", "tensorflow", "tensorboard", "tensorboardX", "pytorch",
        "xgboost", "catboost", "lightgbm", "fastai", "scikit", "joblib", "megengine", "keras",
        "hydra", "tfdefines", "gradio", "jsonargparse",
    ),
    False,
)  # fmt: skip

# The repository detection keeps `close()` waiting at random, for minutes; a process of its own
# for reporting makes closing take ten seconds.
_SETTINGS = {
    "sdk": {"development": {"vcs_repo_detect_async": False, "report_use_subprocess": False}}
}


def init_clearml_task(
    name: str,
    project: str = DEFAULT_PROJECT,
    task_type: str = "training",
    tags: Sequence[str] = (),
    offline: bool = False,
) -> Task:
    """Make a ClearML task to which only what is reported is sent.

    Nothing is hooked into: no framework, no command line, no console, no environment, no
    repository detection, no resource monitoring, and no question for updates.

    Args:
        name: The task's name.
        project: ClearML's project.
        task_type: "training" or "testing" (any of the SDK's `TaskTypes`).
        tags: The task's tags.
        offline: Whether to write a session to disk instead of talking to a server.

    Returns:
        The `clearml.Task`. Close it with `task.close()`.

    Raises:
        UserError: The SDK is not installed, or it is not offline and has no server.
    """
    try:
        from clearml import Task as ClearMLTask
        from clearml.backend_api.session.defs import MissingConfigError
        from clearml.config import config, config_obj
    except ImportError as error:
        raise UserError(f"ClearML cannot be imported: {error}", "pip install clearml") from error
    config_obj.set_overrides(_SETTINGS)
    config.clear_config_impl()  # what was read before
    ClearMLTask.set_offline(offline)
    try:
        return ClearMLTask.init(
            project_name=project,
            task_name=name,
            task_type=task_type,
            tags=list(tags),
            reuse_last_task_id=False,
            continue_last_task=False,
            output_uri=False,
            auto_connect_arg_parser=False,
            auto_connect_frameworks=dict(_NO_HOOKS),
            auto_resource_monitoring=False,
            auto_connect_streams=False,
        )
    except MissingConfigError as error:
        raise UserError(
            "ClearML has no server to send to",
            "run `clearml-init`, or give offline=True and send the session later",
        ) from error


def set_script(
    task: Task,
    *,
    repository: str,
    branch: str,
    commit: str,
    diff: str,
    working_dir: str,
    entry_point: str,
) -> None:
    """Say which code a task runs, from which ClearML's agent starts it on another machine.

    Args:
        task: A `clearml.Task`.
        repository: The address that git clones from; without a password.
        branch: The branch.
        commit: The commit, 40 hexadecimal digits.
        diff: What was changed since, as `git diff` prints it.
        working_dir: The folder in the repository to start in.
        entry_point: The program, relative to `working_dir`.
    """
    from clearml.backend_api.services import tasks

    if task.data.script is None:  # `Task.set_script` can only change one that is there
        task._update_script(tasks.Script())
    task.set_script(
        repository=repository,
        branch=branch,
        commit=commit,
        diff=diff,
        working_dir=working_dir,
        entry_point=entry_point,
    )


def split_key(key: str) -> tuple[str, str]:
    """The title and the series under which ClearML shows a metric.

    Args:
        key: As seglab and mmengine name metrics: "val/Dice/dog", "val/mDice", "decode.loss_ce".

    Returns:
        (title, series): everything before the last slash and what follows it; without a slash
        the parts of the loss share the title "loss", and any other metric has its own.
    """
    title, slash, series = key.rpartition("/")
    if slash and title and series:
        return title, series
    if "loss" in key:
        return "loss", key
    if key.endswith("lr"):
        return "lr", key
    return key, key


def log_metrics(task: Task, metrics: Mapping[str, float], step: int) -> None:
    """Report scalars, each under the title and series of `split_key`.

    Args:
        task: A `clearml.Task`.
        metrics: Key -> value. NaN and infinite ones are left out; the SDK would show them as 0.
        step: Iteration or epoch.
    """
    logger = task.get_logger()
    for key, value in metrics.items():
        if math.isfinite(value):
            title, series = split_key(key)
            logger.report_scalar(title, series, float(value), int(step))


def log_images(
    task: Task,
    images: Mapping[str, str | Path | npt.NDArray[np.uint8]],
    step: int,
    title: str = "images",
) -> None:
    """Report images.

    Args:
        task: A `clearml.Task`.
        images: Series -> a file, which is kept as it is, or (H, W, 3) uint8 RGB, which the SDK
            stores in the format of its settings, by default as a JPEG.
        step: Iteration or epoch.
        title: Under which title ClearML shows them.
    """
    logger = task.get_logger()
    for series, image in images.items():
        source = {"image": image} if isinstance(image, np.ndarray) else {"local_path": str(image)}
        # By default the SDK keeps the last 100 images of a series and writes over the others.
        logger.report_image(title, series, iteration=step, max_image_history=-1, **source)


def log_table(
    task: Task,
    title: str,
    series: str,
    step: int,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Report a table; None is an empty cell."""
    cells = [["" if cell is None else cell for cell in row] for row in rows]
    task.get_logger().report_table(
        title, series, iteration=step, table_plot=[list(columns), *cells]
    )


def log_confusion_matrix(
    task: Task,
    title: str,
    series: str,
    step: int,
    classes: Sequence[str],
    matrix: Sequence[Sequence[float]],
) -> None:
    """Report a confusion matrix: a row for each true class, the first on top.

    Args:
        task: A `clearml.Task`.
        title: Under which title ClearML shows it.
        series: Its name there.
        step: Iteration or epoch.
        classes: Class names.
        matrix: (C, C) counts or shares; NaN is an empty cell.
    """
    # The SDK's own report_confusion_matrix rounds to float32: counts of pixels exceed its 24 bits.
    cells = [[value if math.isfinite(value) else None for value in row] for row in matrix]
    heatmap = {
        "type": "heatmap",
        "x": list(classes),
        "y": list(classes),
        "z": cells,
        "colorscale": "Blues",
        "texttemplate": "%{z}",
    }
    layout = {
        "title": title,
        "name": series,
        "xaxis": {"title": "predicted"},
        "yaxis": {"title": "true", "autorange": "reversed"},
    }
    task.get_logger().report_plotly(
        title, series, {"data": [heatmap], "layout": layout}, iteration=step
    )


def log_model(task: Task, checkpoint: str | Path, metadata: Mapping[str, str]) -> None:
    """Keep a checkpoint with the task, as the artifact `model`.

    An artifact, not an `OutputModel`: the SDK cannot update one's weights offline.

    Args:
        task: A `clearml.Task`.
        checkpoint: The file.
        metadata: What is to be known about it.

    Raises:
        UserError: There is no such file.
    """
    log_artifact(task, "model", checkpoint, metadata)


def log_artifact(task: Task, name: str, file: str | Path, metadata: Mapping[str, str]) -> None:
    """Keep a file with the task; one of the same name is replaced.

    Raises:
        UserError: There is no such file.
    """
    path = Path(file).absolute()
    if not path.is_file():
        raise UserError(f"there is no file {path}", "give a file that exists")
    task.upload_artifact(
        name, artifact_object=path, metadata=dict(metadata) or None, wait_on_upload=True
    )
