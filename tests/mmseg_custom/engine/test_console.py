"""What is kept from the screen, and that it was harmless."""

import io
import logging
from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from PIL import Image

from seglab.mmseg_custom.engine.console import quiet_console
from seglab.mmseg_custom.engine.inference import load_model
from seglab.mmseg_custom.engine.testing import evaluate
from seglab.utils.config_utils import load_config

SAID = "Image shapes are different in the batch"


def test_the_screen_gets_news_and_a_file_everything(tmp_path: Path) -> None:
    logger = logging.getLogger("seglab.test_console")
    logger.setLevel(logging.DEBUG)
    screen, file = io.StringIO(), tmp_path / "x.log"
    logger.addHandler(logging.StreamHandler(screen))
    logger.addHandler(logging.FileHandler(file))
    quiet_console(logger)
    quiet_console(logger)
    logger.warning(f"{SAID}.")
    logger.warning("x will be deprecated in future")
    logger.info("progress")
    logger.warning("a loss is infinite")
    assert screen.getvalue() == "a loss is infinite\n"
    assert len(file.read_text().splitlines()) == 4


def test_photographs_of_several_sizes_are_scored_as_one_by_one(
    one_logit: Path, balanced: Path, pets: Path, mmseg_scope: None
) -> None:
    for index, path in enumerate(sorted((pets / "images").iterdir())):
        size = (24 + 5 * (index % 4), 18 + 7 * (index % 3))
        for each in (path, pets / "annotations" / "trimaps" / f"{path.stem}.png"):
            with Image.open(each) as image:
                image.resize(size, Image.Resampling.NEAREST).save(each)
    logger = MMLogger.get_current_instance()
    screen, all_of_it = (logging.StreamHandler(io.StringIO()) for _ in range(2))
    logger.addHandler(screen)
    matrices = []
    try:
        for batch_size in (6, 1):
            config = load_config(
                one_logit, [f"test_dataloader.batch_size={batch_size}"], data_root=pets
            )
            model = load_model(config, balanced, "cpu")
            if all_of_it not in logger.handlers:  # after the model, so that nothing is kept from it
                logger.addHandler(all_of_it)
            _, results = evaluate(model, Runner.build_dataloader(config.test_dataloader, seed=0))
            matrices.append(results.matrices)
    finally:
        logger.removeHandler(screen)
        logger.removeHandler(all_of_it)
    assert SAID in all_of_it.stream.getvalue() and SAID not in screen.stream.getvalue()
    assert len(np.unique(matrices[0].sum(axis=(1, 2)))) > 3  # photographs of many sizes
    assert matrices[0].sum(axis=0).min() > 0  # and predictions of both kinds
    # Convolutions round differently for other batches: a pixel at the threshold may change sides.
    assert np.abs(matrices[0] - matrices[1]).max() <= 1


@pytest.mark.shared
def test_real_photographs_are_scored_as_one_by_one(
    one_logit: Path, balanced: Path, shared_dir: Path, mmseg_scope: None
) -> None:
    config = load_config(one_logit, [], shared_dir / "data" / "oxford_pet_sample")
    model = load_model(config, balanced, "cpu")
    config.test_dataloader.dataset.indices = 6
    matrices = []
    for batch_size in (6, 1):
        config.test_dataloader.batch_size = batch_size
        loader = Runner.build_dataloader(config.test_dataloader, seed=0)
        matrices.append(evaluate(model, loader)[1].matrices)
    pixels = matrices[0].sum(axis=(1, 2))
    assert len(np.unique(pixels)) > 3 and matrices[0].sum(axis=0).min() > 0
    assert (np.abs(matrices[0] - matrices[1]).max(axis=(1, 2)) / pixels).max() < 1e-4
