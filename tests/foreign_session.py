"""Makes an offline session with ClearML's SDK alone, as anybody's script does: run in a process."""

import sys
import zipfile
from pathlib import Path

import numpy as np


def rewrite(source: Path, target: Path, **changes) -> Path:
    """A copy of a session's zip with another content of some members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            change = changes.get(name.replace(".", "_"))
            new.writestr(name, change(content) if change else content)
    return target


def main(folder: Path) -> None:
    """Write `folder/offline/offline-....zip`, which `CLEARML_CACHE_DIR` has to name as well."""
    from clearml import Task

    task = Task.init(
        project_name="some body/sub",
        task_name="odd # name 1/2 ä",
        tags=["theirs"],
        auto_connect_frameworks=False,
        auto_resource_monitoring=False,
        auto_connect_arg_parser=False,
        auto_connect_streams=False,
        reuse_last_task_id=False,
    )
    logger = task.get_logger()
    for step in range(700):
        logger.report_scalar("loss", "train", 1 / (1 + step), step)
    for step in range(3):
        image = np.full((16, 16, 3), 80 * step, dtype=np.uint8)
        logger.report_image("seen", "odd #? name", step, image=image)
    logger.report_table("per class", "val", 0, table_plot=[["class", "Dice"], ["cat", 1.0]])
    logger.report_single_value("mDice", 88.0)
    logger.report_text("a line of the console")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure()
    plt.imshow(np.zeros((4, 4)))
    logger.report_matplotlib_figure("figure", "shown", figure, iteration=0)
    task.connect({"lr": 0.1, "nested": {"depth": 2}}, name="optimizer")
    task.connect_configuration({"a": {"b": 1}}, name="config")
    weights = folder / "weights.pth"
    weights.write_bytes(bytes(range(256)) * 800)
    task.upload_artifact("weights", str(weights), metadata={"epoch": "3"}, wait_on_upload=True)
    task.upload_artifact("figures", {"mDice": 88.0}, wait_on_upload=True)
    task.flush(wait_for_uploads=True)
    task.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
