"""What `--deterministic` costs: steps of training with it and without it, in turns.

Three copies of each model take the same steps in one process, turn about: one deterministic, two
not, whose ratio shows the noise. The images and labels are drawn at random in the config's size,
so no data are needed; loading them is not part of it. What the report says holds for the device
it names. Run `python benchmarks/determinism_cost.py`, on a GPU with `--device cuda`.
"""

from __future__ import annotations

import argparse
import copy
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from tqdm import tqdm

from seglab.mmseg_custom.engine.determinism import repeatable
from seglab.mmseg_custom.engine.inference import build_model
from seglab.utils.config_utils import class_names, load_config
from seglab.utils.devices import choose_device
from seglab.utils.io_utils import write_text
from seglab.utils.paths import PROJECT_ROOT

CONFIGS = (
    "lite_fpn_effnetlite2_256x256",
    "unet_lite",
    "h1_deeplabv3plus_r50_d8_256x256",
    "exp2_segformer_b2_256x256",
)


@dataclass(frozen=True)
class Cost:
    """Seconds of each step, and whether both ways led to the same weights.

    Attributes:
        deterministic, plain, again: (steps,) seconds; the last two without determinism.
        same: Whether the weights are equal to the last bit after all steps.
    """

    deterministic: np.ndarray
    plain: np.ndarray
    again: np.ndarray
    same: bool


def draw_batch(config: Config, size: int) -> dict[str, Any]:
    """A batch of noise in the size the config trains on."""
    height, width = config.model.data_preprocessor.size
    draw = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(size):
        labels = torch.randint(
            0, len(class_names(config)), (1, height // 8, width // 8), generator=draw
        )
        blocks = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
        sample = SegDataSample(metainfo={"img_shape": (height, width)})
        sample.gt_sem_seg = PixelData(data=blocks)
        samples.append(sample)
    images = [
        torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=draw)
        for _ in samples
    ]
    return {"inputs": images, "data_samples": samples}


def step(model: Any, optimizer: torch.optim.Optimizer, batch: dict[str, Any], seed: int) -> None:
    """One step of training."""
    torch.manual_seed(seed)  # dropout
    packed = model.data_preprocessor(copy.deepcopy(batch), True)
    total, _ = model.parse_losses(model(**packed, mode="loss"))
    optimizer.zero_grad()
    total.backward()
    optimizer.step()


def measure(name: str, batch_size: int, steps: int, device: str) -> Cost:
    """Take the steps of one config in turns."""
    config = load_config(PROJECT_ROOT / "configs" / f"{name}.py")
    torch.manual_seed(0)
    first = build_model(config).to(device).train()
    models = [first, copy.deepcopy(first), copy.deepcopy(first)]
    optimizers = [torch.optim.SGD(model.parameters(), lr=1e-3) for model in models]
    batch = draw_batch(config, batch_size)
    seconds: list[list[float]] = [[], [], []]
    for number in tqdm(range(steps + 1), desc=name, leave=False):
        turn = [0, 1, 2] if number % 2 else [2, 1, 0]
        for which in turn:
            with repeatable(which == 0, device):
                began = time.perf_counter()
                step(models[which], optimizers[which], batch, number)
                if device != "cpu":
                    torch.cuda.synchronize()
                seconds[which].append(time.perf_counter() - began)
    pairs = zip(models[0].state_dict().values(), models[1].state_dict().values(), strict=True)
    same = all(torch.equal(a, b) for a, b in pairs)
    return Cost(*(np.array(taken[1:]) for taken in seconds), same)  # the first step warms up


def row(name: str, cost: Cost) -> str:
    """A line of the report's table."""

    def ratio(of: np.ndarray, to: np.ndarray) -> str:
        low, middle, high = np.percentile(of / to, (25, 50, 75))
        return f"{middle:.3f} ({low:.3f} to {high:.3f})"

    figures = (ratio(cost.deterministic, cost.plain), ratio(cost.again, cost.plain))
    milliseconds = 1000 * np.median(cost.plain)
    return (
        f"| {name} | {milliseconds:.0f} | {' | '.join(figures)} | {'yes' if cost.same else 'no'} |"
    )


def report(rows: Sequence[str], args: argparse.Namespace, device: str) -> str:
    """The report as Markdown."""
    where = torch.cuda.get_device_name() if device != "cpu" else f"CPU, {args.threads} thread(s)"
    return "\n".join(
        [
            "# What `--deterministic` costs",
            "",
            "Written by `benchmarks/determinism_cost.py`; do not edit. The time of a training "
            "step with it over the same step without it, measured in turns in one process: the "
            "median and the middle half of the ratios. Without : without is the noise.",
            "",
            f"Device: {where}; torch {torch.__version__}, {platform.machine()}; batches of "
            f"{args.batch} random images, {args.steps} steps each. It says nothing about other "
            "devices.",
            "",
            "| config | ms a step | with : without | without : without | same weights both ways |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> int:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", nargs="+", default=CONFIGS, metavar="NAME")
    parser.add_argument("--batch", type=int, default=4, help="images in a batch (default 4)")
    parser.add_argument("--steps", type=int, default=30, help="steps of each copy (default 30)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument(
        "--out", type=Path, default=PROJECT_ROOT / "reports" / "determinism_cost.md"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    rows = [row(name, measure(name, args.batch, args.steps, device)) for name in args.configs]
    text = report(rows, args, device)
    print(text)
    write_text(args.out, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
