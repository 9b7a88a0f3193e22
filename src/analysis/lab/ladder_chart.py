"""The picture of what each choice of the lab's scoring is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seglab.analysis.lab.ladder import LABS, OURS, Ladder
from seglab.utils.figures import new_figure, plain, save_figure, shorten
from seglab.utils.lab_scores import ROW_IDS

#: Okabe-Ito colours and markers: told apart by colour-blind readers, and in print.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
_NAMES = {
    OURS: "ours",
    "border": "the border is\nbackground",
    "train_images": "the training\nimages",
    "train_size": "training's\nsize",
    "augmented": "augmented",
    LABS: "mean of batches:\nthe lab's",
}


def plot_ladders(ladders: Mapping[str, Ladder], class_name: str, path: str | Path) -> Path:
    """Draw the IoU of every model from the honest score to the lab's, one change a step.

    Args:
        ladders: Model -> its steps.
        class_name: The class whose IoU it is.
        path: The PNG to write.

    Returns:
        The path.
    """
    steps = [name for name in ROW_IDS if any(ladder.step(name) for ladder in ladders.values())]
    figure = new_figure(9.0, 4.6)
    axis = figure.subplots()
    for index, (name, ladder) in enumerate(ladders.items()):
        places = [steps.index(step.id) for step in ladder.steps]
        values = [step.figures["IoU"] for step in ladder.steps]
        axis.plot(
            places,
            values,
            color=_COLORS[index % len(_COLORS)],
            marker=_MARKERS[index % len(_MARKERS)],
            linestyle="-" if index < len(_COLORS) else "--",
            label=plain(shorten(name, 24)),
            linewidth=1.8,
        )
    axis.set_xticks(range(len(steps)), [_NAMES[name] for name in steps], fontsize=9.5)
    axis.set_ylabel(plain(f"IoU of {shorten(class_name, 24)}, %"))
    axis.grid(axis="y", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    columns = min(len(ladders), 5)
    figure.legend(loc="outside lower center", ncols=columns, frameon=False)
    return save_figure(figure, path)
