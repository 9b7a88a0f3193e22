"""The threshold of a one-logit model, chosen on val."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score

from seglab.mmseg_custom.engine.inference import load_model, predict_batch
from seglab.mmseg_custom.engine.testing import TestOptions as Options
from seglab.mmseg_custom.engine.testing import test as run_test
from seglab.mmseg_custom.engine.threshold import THRESHOLDS, choose_threshold, threshold_curve
from seglab.tools.choose_threshold import main
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError


def test_every_threshold_is_scored_as_sklearn_scores_it(one_logit: Path, weights: Path) -> None:
    from mmengine.runner import Runner

    config = load_config(one_logit)
    model = load_model(load_config(one_logit), weights, "cpu")
    loader = Runner.build_dataloader(config.val_dataloader)
    curve = threshold_curve(model, loader)
    outputs = [predict_batch(model, [loader.dataset[i]])[0] for i in range(len(loader.dataset))]
    p = np.concatenate([o.seg_logits.data.numpy().ravel() for o in outputs])
    y = np.concatenate([o.gt_sem_seg.data.numpy().ravel() for o in outputs])
    assert 255 in y and curve.images == len(loader.dataset)
    p, y = p[y != 255], y[y != 255]
    for index in range(4, 99, 10):
        predicted = p > THRESHOLDS[index]
        assert curve.dice[index] == pytest.approx(f1_score(y, predicted, zero_division=0))
        assert curve.iou[index] == pytest.approx(jaccard_score(y, predicted, zero_division=0))
    assert curve.dice.argmax() == curve.iou.argmax()


def test_the_chosen_threshold_scores_in_a_test_what_was_promised(
    one_logit: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(one_logit), "--checkpoint", str(weights), "--device", "cpu"]) == 0
    choice = json.loads((weights.parent / "threshold.json").read_text())
    assert choice["split"] == "val" and choice["checkpoint"] == "k.pth"
    assert choice["chosen"]["Dice"] > choice["default"]["Dice"]
    assert choice["default"]["threshold"] == 0.5
    printed = capsys.readouterr().out
    assert f"+model.decode_head.threshold={choice['threshold']}" in printed
    for figures in (choice["chosen"], choice["default"]):
        setting = f"+model.decode_head.threshold={figures['threshold']}"
        config = load_config(one_logit, [setting] if figures["threshold"] != 0.5 else [])
        folder = tmp_path / f"t{figures['threshold']}"
        tested = run_test(config, Options(weights, "val", folder, device="cpu", pictures=0))
        assert tested.metrics["Dice/animal"] == pytest.approx(figures["Dice"], abs=1e-6)
        assert tested.metrics["IoU/animal"] == pytest.approx(figures["IoU"], abs=1e-6)


def test_of_equal_thresholds_the_nearest_to_one_half(one_logit: Path, weights: Path) -> None:
    model = load_model(load_config(one_logit), weights, "cpu")
    torch.nn.init.zeros_(model.decode_head.layers[-1].weight)
    torch.nn.init.constant_(model.decode_head.layers[-1].bias, 20.0)  # all foreground, surely
    from mmengine.runner import Runner

    loader = Runner.build_dataloader(load_config(one_logit).val_dataloader)
    assert threshold_curve(model, loader).to_dict()["threshold"] == 0.5


def test_a_model_without_a_threshold_is_refused(tiny_config: Path, checkpoint: Path) -> None:
    with pytest.raises(UserError, match="a head with 3 logits"):
        choose_threshold(load_config(tiny_config), checkpoint, "cpu")


def test_a_model_that_finds_nothing_is_refused(one_logit: Path, weights: Path) -> None:
    content = torch.load(weights)
    content["state_dict"]["decode_head.layers.2.weight"].zero_()
    content["state_dict"]["decode_head.layers.2.bias"].fill_(-30.0)
    torch.save(content, weights)
    with pytest.raises(UserError, match="no foreground that the model finds"):
        choose_threshold(load_config(one_logit), weights, "cpu")
