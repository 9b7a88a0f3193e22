"""Real networks resume exactly from the middle of an epoch, with and without worker processes."""

from pathlib import Path

import pytest
from resuming import assert_equal_ends, make_starts_quick, run, stop_at
from yapf.yapflib import yapf_api

#: Small crops of small images: what is tested is the state, not the speed.
SMALL = """
_base_ = [{base!r}]
train_dataloader = dict(batch_size=4, num_workers={workers}, dataset=dict(data_root={data!r}))
val_dataloader = dict(batch_size=4, num_workers={workers}, dataset=dict(data_root={data!r}))
train_cfg = dict(max_epochs=2)
# Three steps an epoch: the fourth is the first of the second epoch.
default_hooks = dict(checkpoint=dict(every_n_steps=4, interval=2))
model = dict({model})
"""
SEGFORMER_B0 = """
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(embed_dims=32, num_layers=[2, 2, 2, 2], init_cfg=None),
    decode_head=dict(in_channels=[32, 64, 160, 256]),
"""
LITE = "data_preprocessor=dict(size=(64, 64))"
CROPS = [
    "train_dataloader.dataset.pipeline.2.scale=(64,64)",
    "train_dataloader.dataset.pipeline.3.crop_size=(64,64)",
]


@pytest.fixture(autouse=True)
def quick_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """See `make_starts_quick`."""
    monkeypatch.setattr(yapf_api, "FormatCode", yapf_api.FormatCode)
    make_starts_quick()


def config_of(name: str, workers: int, data: Path, folder: Path, root: Path) -> Path:
    base, model = {
        "SegFormer-B0": ("exp2_segformer_b2_256x256.py", SEGFORMER_B0),
        "lite": ("lite_fpn_effnetlite2_256x256.py", LITE),
    }[name]
    text = SMALL.format(
        base=str(root / "configs" / base), workers=workers, data=str(data), model=model
    )
    path = folder / f"workers_{workers}.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["SegFormer-B0", "lite"])
def test_a_kill_in_the_middle_of_an_epoch(
    name: str, tiny_data: Path, tmp_path: Path, project_root: Path
) -> None:
    configs = {n: config_of(name, n, tiny_data, tmp_path, project_root) for n in (0, 2)}
    undisturbed = run(configs[0], tmp_path / "undisturbed", CROPS)
    for workers, config in configs.items():
        stop_at(undisturbed, "epoch_1_step_1.pth", tmp_path / f"run_{workers}")
        resumed = run(config, tmp_path / f"run_{workers}", CROPS, resume=True)
        assert_equal_ends(undisturbed, resumed)
