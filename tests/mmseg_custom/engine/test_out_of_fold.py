"""Out-of-fold predictions: really trained, on tiny images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.mmseg_custom.engine import out_of_fold
from seglab.mmseg_custom.engine.out_of_fold import (
    FoldOptions,
    assign_folds,
    join_groups,
    predict_out_of_fold,
)
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.prediction_cache import INDEX_FILE, load_probabilities, read_index


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=4, max_size=60), st.integers(2, 4), st.integers(0, 99))
def test_identical_images_share_a_fold(hashes: list[int], folds: int, seed: int) -> None:
    images = {f"{number:03d}.jpg": str(value) for number, value in enumerate(hashes)}
    if len(set(hashes)) < folds:
        with pytest.raises(UserError, match="different images"):
            assign_folds(images, folds, seed)
        return
    chosen = assign_folds(images, folds, seed)
    assert list(chosen) == sorted(images)
    assert set(chosen.values()) == set(range(folds))
    for one in images:
        assert all(chosen[one] == chosen[o] for o in images if images[o] == images[one])


def test_folds_are_equal_in_size_and_follow_the_seed() -> None:
    images = {f"{number}.jpg": str(number) for number in range(50)}
    chosen = assign_folds(images, 5, 0)
    assert np.bincount(list(chosen.values())).tolist() == [10] * 5
    assert chosen == assign_folds(images, 5, 0)
    assert chosen != assign_folds(images, 5, 1)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 20), min_size=4, max_size=30),
    st.lists(st.sets(st.integers(0, 29), max_size=4), max_size=5),
    st.integers(0, 99),
)
def test_what_belongs_together_shares_a_fold(
    hashes: list[int], groups: list[set[int]], seed: int
) -> None:
    images = {f"{number:03d}.jpg": str(value) for number, value in enumerate(hashes)}
    together = [tuple(f"{number:03d}.jpg" for number in group) for group in groups]
    names = join_groups(images, together)
    # Reference: spread names over both kinds of links until nothing changes.
    linked = [{k for k in images if images[k] == value} for value in set(images.values())]
    linked += [{k for k in group if k in images} for group in together]
    expected = {key: key for key in images}
    for _ in images:
        for link in linked:
            lowest = min((expected[k] for k in link), default="")
            expected.update(dict.fromkeys(link, lowest))
    for one in images:
        for other in images:
            assert (names[one] == names[other]) == (expected[one] == expected[other])
    if len(set(names.values())) >= 2:
        chosen = assign_folds(names, 2, seed)
        assert all(len({chosen[k] for k in link}) <= 1 for link in linked)


def test_identical_files_alone_leave_the_folds_as_they_were() -> None:
    images = {f"{number:02d}.jpg": str(number // 2 + number % 3) for number in range(40)}
    exact = [[k for k in images if images[k] == value] for value in set(images.values())]
    assert join_groups(images, exact) == images
    # The division depends on who shares a name, not on the names.
    renamed = {key: f"x{value}" for key, value in images.items()}
    assert assign_folds(renamed, 4, 7) == assign_folds(images, 4, 7)
    # Of the version before photographs were passed in: seed 0, five folds, no duplicates.
    plain = {f"{number}.jpg": str(number) for number in range(10)}
    assert list(assign_folds(plain, 5, 0).values()) == [2, 4, 2, 4, 0, 0, 1, 3, 3, 1]


def test_whatever_decides_the_predictions_names_the_cache(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_fold, "_finish_fold", lambda *_: None)
    config = load_config(tiny_config)

    def folder(**options: object) -> Path:
        return predict_out_of_fold(config, tmp_path, FoldOptions(**options))  # type: ignore[arg-type]

    usual = folder()
    others = [
        folder(scales=(1.0,)),
        folder(scales=(1.0, 2.0)),
        folder(folds=3),
        folder(epochs=2),
        folder(seed=1),
    ]
    assert len({usual, *others}) == 6
    assert read_index(others[1]).recipe["scales"] == [1.0, 2.0]
    assert folder(device="cpu") == usual, "where it is computed changes nothing"


def test_each_image_is_predicted_by_a_model_that_never_saw_it(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(tiny_config)
    options = FoldOptions(folds=2, epochs=1, device="cpu")
    seen: list[list[int]] = []
    real = out_of_fold.fold_config

    def watch(whole, trained_on, held_out, settings_):  # type: ignore[no-untyped-def]
        seen.append(list(trained_on))
        made = real(whole, trained_on, held_out, settings_)
        assert not set(trained_on) & set(held_out)
        assert made.val_dataloader.dataset.split == "train"
        assert made.train_cfg.val_interval == 1
        assert "HistoryEarlyStoppingHook" not in str(made.custom_hooks)
        return made

    monkeypatch.setattr(out_of_fold, "fold_config", watch)
    folder = predict_out_of_fold(config, tmp_path, options)
    assert len(seen) == 2
    index = read_index(folder)
    ids = list(index.folds)
    for fold, trained_on in enumerate(seen):
        assert {ids[n] for n in trained_on} == {k for k, v in index.folds.items() if v != fold}
    for sample_id in ids:
        chances = load_probabilities(folder, sample_id)
        assert chances.shape[0] == 3
        np.testing.assert_allclose(chances.sum(0), 1, atol=2e-3)
    assert not (folder / "runs").exists()

    predict_out_of_fold(config, tmp_path, options)
    assert len(seen) == 2, "a finished cache is not made again"
    (folder / INDEX_FILE).unlink()
    lost = next(key for key, fold in index.folds.items() if fold == 1)
    (folder / "samples" / f"{lost}.npz").unlink()
    assert predict_out_of_fold(config, tmp_path, options) == folder
    assert len(seen) == 3, "only the unfinished fold is trained again"
    assert load_probabilities(folder, lost).shape[0] == 3
    same = [[ids[0]]]
    assert predict_out_of_fold(config, tmp_path, options, same) == folder
    assert len(seen) == 3, "nothing besides identical files: the same cache"
    across = [
        next(key for key, fold in index.folds.items() if fold == wanted) for wanted in range(2)
    ]
    joined = predict_out_of_fold(config, tmp_path, options, [across])
    assert joined != folder
    folds = read_index(joined).folds
    assert folds[across[0]] == folds[across[1]]
    shutil.rmtree(folder)
