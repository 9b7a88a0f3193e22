from __future__ import annotations

import pytest

from seglab.data.preflight import run_preflight

# The sound config: 4 images in batches of 2 for 10 epochs, that is 20 iterations.


def find(make_config, *schedulers, **changes):
    cfg = make_config(**changes)
    cfg.param_scheduler = list(schedulers)
    return [(f.code, f.severity) for f in run_preflight(cfg)]


FAULT, DOUBT = "fault", "doubt"
TOO_LONG = [("schedule-too-long", FAULT)]
NEVER_STARTS = [("schedule-never-starts", FAULT)]
ENDS_EARLY = [("schedule-ends-early", DOUBT)]
POLY = {"type": "PolyLR", "eta_min": 0.0, "by_epoch": False}
COSINE = {"type": "CosineAnnealingLR", "eta_min": 0.0}
WARMUP = {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False}


@pytest.mark.parametrize(
    ("schedulers", "expected"),
    [
        ([POLY | {"end": 160_000}], TOO_LONG),
        ([POLY | {"end": 22}], TOO_LONG),
        ([POLY | {"end": 21}], []),  # rounding
        ([POLY | {"end": 20}], []),
        ([POLY], []),  # mmengine fills in the end
        ([POLY | {"end": 9}], ENDS_EARLY),
        ([WARMUP | {"end": 1500}, POLY | {"begin": 1500, "end": 160_000}], TOO_LONG + NEVER_STARTS),
        ([WARMUP | {"end": 5}, POLY | {"begin": 5, "end": 20}], []),
        ([WARMUP | {"end": 5}], []),  # a warm-up and a constant rate
        ([COSINE | {"end": 10}], []),
        ([COSINE | {"end": 20}], TOO_LONG),
        ([COSINE | {"T_max": 20}], TOO_LONG),
        ([COSINE | {"begin": 2, "T_max": 8}], []),
        ([COSINE | {"begin": 10, "end": 20}], NEVER_STARTS),
        ([COSINE | {"end": 10, "convert_to_iter_based": True}], []),
        ([{"type": "MultiStepLR", "milestones": [6, 8]}], []),
        ([{"type": "MultiStepLR", "milestones": [8, 16]}], TOO_LONG),
        ([{"type": "StepLR", "step_size": 3}], []),
        ([{"type": "StepLR", "step_size": 30}], TOO_LONG),
        ([{"type": "WarmupDecayLR", "warmup_ratio": 0.1, "by_epoch": True}], []),
        ([{"type": "ReduceOnPlateauLR", "monitor": "mDice"}], []),
    ],
)
def test_schedules_of_an_epoch_based_run(make_config, schedulers, expected):
    assert sorted(find(make_config, *schedulers)) == sorted(expected)


ITERATIONS = {
    "train_cfg": {
        "_delete_": True,
        "type": "IterBasedTrainLoop",
        "max_iters": 20,
        "val_interval": 5,
    }
}


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (POLY | {"end": 20}, []),
        (POLY | {"end": 160_000}, TOO_LONG),
        (COSINE, [("schedule-never-steps", FAULT)]),
        (COSINE | {"end": 10, "convert_to_iter_based": True}, []),
        (COSINE | {"end": 20, "convert_to_iter_based": True}, TOO_LONG),
        ({"type": "WarmupDecayLR", "by_epoch": False}, []),
    ],
)
def test_schedules_of_an_iteration_based_run(make_config, scheduler, expected):
    assert find(make_config, scheduler, **ITERATIONS) == expected


def test_message_names_scheduler_end_and_length(make_config):
    cfg = make_config()
    cfg.param_scheduler = [WARMUP | {"end": 5}, POLY | {"begin": 5, "end": 160_000}]
    (finding,) = run_preflight(cfg)
    for word in ("param_scheduler[1] (PolyLR)", "needs 160000 iterations", "after 20:"):
        assert word in finding.message
    assert "20" in finding.fix


def test_drop_last_shortens_the_run(make_config):
    """4 images in batches of 3: 20 steps, or 10 with drop_last."""
    changes = {"train_dataloader.batch_size": 3, "train_dataloader.drop_last": True}
    assert find(make_config, POLY | {"end": 20}, **changes) == TOO_LONG
    assert find(make_config, POLY | {"end": 10}, **changes) == []


def test_unknown_length_says_nothing(make_config):
    cfg = make_config()
    cfg.param_scheduler = [POLY | {"end": 160_000}]
    cfg.train_dataloader.dataset.type = "ADE20KDataset"
    assert [f.code for f in run_preflight(cfg)] == ["unchecked-dataset"]


def test_schedulers_of_several_optimizers_and_a_single_dict(make_config):
    cfg = make_config()
    cfg.param_scheduler = POLY | {"end": 99}
    (finding,) = run_preflight(cfg)
    assert "param_scheduler (PolyLR)" in finding.message
    cfg.param_scheduler = {"encoder": [POLY], "decoder": [POLY | {"end": 99}]}
    (finding,) = run_preflight(cfg)
    assert "param_scheduler.decoder[0] (PolyLR)" in finding.message


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"eta_min": 1e-3}, True),  # equal to the learning rate
        ({"eta_min": 1e-2}, True),
        ({"eta_min": 9e-4}, False),
        ({"eta_min_ratio": 1.0}, True),
        ({"eta_min_ratio": 0.1}, False),
    ],
)
@pytest.mark.parametrize("kind", ["PolyLR", "CosineAnnealingLR", "WarmupDecayLR"])
def test_eta_min(make_config, kind, options, found):
    expected = [("eta-min", FAULT)] if found else []
    assert find(make_config, {"type": kind, **options}) == expected


def test_eta_min_message_and_other_parameters(make_config):
    cfg = make_config()
    cfg.param_scheduler = [{"type": "PolyLR", "eta_min": 1e-3}]
    (finding,) = run_preflight(cfg)
    assert "eta_min = 0.001" in finding.message
    assert "learning rate 0.001" in finding.message
    assert "1e-05" in finding.fix
    cfg.param_scheduler = [{"type": "PolyMomentum", "eta_min": 0.5}]
    assert run_preflight(cfg) == []


@pytest.mark.parametrize(
    ("factor", "found"), [(0.1, True), (0.0, False), (1.0, False), (10.0, False)]
)
def test_eta_min_of_a_parameter_group(make_config, factor, found):
    keys = {"backbone": {"lr_mult": factor}, "norm": {"decay_mult": 0.0}}
    changes = {"optim_wrapper.paramwise_cfg": {"custom_keys": keys}}
    expected = [("eta-min-group", DOUBT)] if found else []
    assert find(make_config, {"type": "PolyLR", "eta_min": 1e-4}, **changes) == expected


def test_no_steps(make_config):
    changes = {"train_dataloader.batch_size": 8, "train_dataloader.drop_last": True}
    assert find(make_config, **changes) == [("no-steps", FAULT)]
    assert find(make_config, **{"train_dataloader.batch_size": 8}) == []


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        ({"val_interval": 10}, []),
        ({"val_interval": 11}, [("validated-once", DOUBT)]),
        ({"val_begin": 10}, []),
        ({"val_begin": 11}, [("never-validated", FAULT)]),
        ({"_delete_": True, "max_iters": 20}, [("validated-once", DOUBT)]),  # default 1000
        ({"_delete_": True, "max_iters": 20, "val_interval": 20}, []),
    ],
)
def test_validation_falls_inside_the_run(make_config, loop, expected):
    assert find(make_config, train_cfg=loop) == expected
    assert find(make_config, train_cfg=loop, val_cfg=None) == []


@pytest.mark.parametrize(
    ("loop", "scheduler", "falls"),
    [
        ({"by_epoch": False, "max_iters": 8}, COSINE | {"end": 2}, False),
        ({"by_epoch": True, "max_epochs": 2}, POLY | {"eta_min": 0.1}, False),
        ({"by_epoch": True, "max_epochs": 2}, POLY | {"end": 160_000}, False),
        ({"by_epoch": True, "max_epochs": 2}, POLY, True),
    ],
)
def test_mmengine_bears_out_that_the_rate_never_falls(tmp_path, loop, scheduler, falls):
    """The faults named here are silent: mmengine trains on, at the first learning rate."""
    import torch
    from mmengine.hooks import Hook
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Model(BaseModel):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def forward(self, x, **_kwargs):
            return {"loss": self.layer(x).sum()}

    rates = []

    class Record(Hook):
        def after_train_iter(self, runner, **_kwargs):
            rates.append(runner.optim_wrapper.get_lr()["lr"][0])

    Runner(
        Model(),
        str(tmp_path),
        train_dataloader={
            "batch_size": 1,
            "dataset": torch.ones(4, 1),
            "sampler": {"type": "DefaultSampler"},
        },
        train_cfg=loop,
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        param_scheduler=[scheduler],
        custom_hooks=[Record()],
        default_hooks={"checkpoint": None},
        log_level="ERROR",
        default_scope="mmengine",
        experiment_name=tmp_path.name,
    ).train()
    assert len(rates) == 8
    assert (rates[-1] < 0.02) is falls
    if not falls:
        assert rates == pytest.approx([0.1] * 8, rel=1e-3)
