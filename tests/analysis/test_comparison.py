"""Rows, pairs, families and verdicts, against figures computed here from the matrices alone."""

import copy
import dataclasses
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglab.analysis.comparison import Comparison, compare
from seglab.analysis.run_folder import Run, load_run
from seglab.analysis.verdict import Outcome
from seglab.utils.errors import UserError

MakeRun = Callable[..., Path]
QUICK = 2000


def read(folders: Sequence[Path]) -> list[Run]:
    return [load_run(folder, "val") for folder in folders]


def mean_dice(run: Run, ids: Sequence[str] | None = None) -> float:
    """mDice over summed pixels, with loops: the independent reference."""
    total = [[0.0] * 3 for _ in range(3)]
    for sample_id, matrix in zip(run.results.sample_ids, run.results.matrices, strict=True):
        if ids is None or sample_id in ids:
            for i in range(3):
                for j in range(3):
                    total[i][j] += float(matrix[i][j])
    dice = []
    for i in range(3):
        size = sum(total[i]) + sum(row[i] for row in total)
        dice.append(200 * total[i][i] / size)
    return sum(dice) / 3


@pytest.fixture
def runs(family: list[Path]) -> list[Run]:
    return read(family)


@pytest.fixture
def comparison(runs: list[Run]) -> Comparison:
    return compare(runs, resamples=QUICK)


def test_rows_hold_the_figures_of_their_runs(comparison: Comparison, runs: list[Run]) -> None:
    assert [row.id for row in comparison.rows] == ["H1", "H2", "H3"]
    for row, run in zip(comparison.rows, runs, strict=True):
        estimate = row.estimates["mDice"]
        assert estimate.value == pytest.approx(mean_dice(run), abs=1e-9)
        assert estimate.interval.low < estimate.value < estimate.interval.high
        for key in comparison.keys:
            assert row.estimates[key].value == pytest.approx(run.figures[key], abs=1e-9)
    assert comparison.keys == (
        "mDice", "mIoU", "aAcc", "Dice/background", "Dice/cat", "Dice/dog"
    )  # fmt: skip
    assert comparison.best("mDice") == ("H2",)
    assert len(comparison.sample_ids) == 24 and comparison.split == "val"


def test_every_run_is_compared_with_its_parent(comparison: Comparison, runs: list[Run]) -> None:
    assert [(p.before, p.after, p.is_parent) for p in comparison.pairs] == [
        ("H1", "H2", True), ("H1", "H3", True)
    ]  # fmt: skip
    expected = mean_dice(runs[1]) - mean_dice(runs[0])
    assert comparison.pairs[0].differences["mDice"].value == pytest.approx(expected, abs=1e-9)
    assert comparison.pair("H1") is None and comparison.pair("H2") is comparison.pairs[0]


def test_the_verdicts_are_those_the_runs_were_made_for(comparison: Comparison) -> None:
    h2, h3 = comparison.pairs
    assert h2.verdict.outcome is Outcome.SUPPORTED
    assert h3.verdict.outcome is Outcome.UNDECIDED
    assert [judgement.key for judgement in h3.verdict.judgements] == ["Dice/cat"]


def reference_holm(p_values: list[float]) -> list[float]:
    """Holm (1979) by its definition."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def test_each_family_is_corrected_by_itself_over_all_pairs(comparison: Comparison) -> None:
    h2, h3 = comparison.pairs
    assert h2.families == {
        "mDice": "confirmatory",
        "Dice/background": "exploratory",
        "Dice/cat": "exploratory",
        "Dice/dog": "exploratory",
    }
    assert h3.families["Dice/cat"] == "confirmatory" and h3.families["mDice"] == "exploratory"
    for kind, size in (("confirmatory", 2), ("exploratory", 6)):
        members = [
            pair.differences[key]
            for pair in comparison.pairs
            for key, family in pair.families.items()
            if family == kind
        ]
        assert len(members) == size
        adjusted = reference_holm([member.p_value for member in members])
        assert [member.adjusted_p for member in members] == pytest.approx(adjusted)
    assert math.isnan(h2.differences["mIoU"].adjusted_p)


def test_a_hypothesis_that_expects_nothing_is_confirmatory_in_mdice(
    make_run: MakeRun, tmp_path: Path
) -> None:
    folders = [
        make_run(tmp_path / "a", "H1"),
        make_run(tmp_path / "b", {"id": "B", "parent": "H1"}),
    ]
    (pair,) = compare(read(folders), resamples=QUICK).pairs
    assert pair.families["mDice"] == "confirmatory" and pair.verdict.outcome is None


def test_without_its_parent_a_run_stands_beside_the_first_and_is_not_judged(
    runs: list[Run],
) -> None:
    result = compare(runs[1:], resamples=QUICK)  # H2 and H3, both children of H1
    (pair,) = result.pairs
    assert result.reference == "H2"
    assert (pair.before, pair.after, pair.is_parent) == ("H2", "H3", False)
    assert pair.verdict.outcome is None and "parent H1 is not among" in pair.verdict.sentence
    assert pair.families["mDice"] == "confirmatory" and pair.families["Dice/cat"] == "exploratory"


def test_the_order_of_the_runs_does_not_turn_a_child_into_a_parent(runs: list[Run]) -> None:
    result = compare([runs[1], runs[0]], resamples=QUICK)
    assert [row.id for row in result.rows] == ["H2", "H1"]
    assert [(pair.before, pair.after) for pair in result.pairs] == [("H1", "H2")]
    assert result.reference == "H1"  # a child is no yardstick while its parent is there


def test_a_reference_may_be_named(make_run: MakeRun, tmp_path: Path, runs: list[Run]) -> None:
    other = load_run(make_run(tmp_path / "x", "X", skill=0.6), "val")
    result = compare([*runs, other], reference="H2", resamples=QUICK)
    pairs = [(pair.before, pair.after) for pair in result.pairs]
    assert pairs == [("H1", "H2"), ("H1", "H3"), ("H2", "X")]  # H2 against H1 is one pair, not two
    with pytest.raises(UserError, match="--reference H9"):
        compare(runs, reference="H9")


def test_a_single_run_has_figures_and_no_pair(runs: list[Run]) -> None:
    result = compare(runs[:1], resamples=QUICK)
    assert result.pairs == () and result.best("mDice") == ("H1",)


def test_seeds_are_taken_together(make_run: MakeRun, tmp_path: Path, family: list[Path]) -> None:
    h2 = {"id": "H2", "parent": "H1", "change": "more", "expects": {"mDice": "+"}}
    more = [
        make_run(tmp_path / f"{number}", hypothesis, seed, skill=skill)
        for number, (hypothesis, seed, skill) in enumerate(
            [("H1", 1, 0.71), ("H1", 2, 0.69), (h2, 1, 0.84), (h2, 2, 0.86)]
        )
    ]
    runs = read([*family[:2], *more])
    with pytest.raises(UserError, match="--seeds"):
        compare(runs)
    result = compare(runs, by_seed=True, resamples=QUICK)
    assert [len(row.runs) for row in result.rows] == [3, 3] and result.by_seed
    first = [run for run in runs if run.id == "H1"]
    value = sum(map(mean_dice, first)) / 3
    assert result.row("H1").estimates["mDice"].value == pytest.approx(value, abs=1e-9)
    assert result.pairs[0].differences["mDice"].seeds_covered
    assert result.pairs[0].verdict.outcome is Outcome.SUPPORTED


def test_other_data_is_refused_and_forced_data_is_marked(
    make_run: MakeRun, tmp_path: Path, runs: list[Run]
) -> None:
    other = load_run(make_run(tmp_path / "x", "X", images=10, data_seed=3), "val")
    with pytest.raises(UserError) as caught:
        compare([runs[0], other])
    assert "14 images only in H1" in caught.value.message
    assert "10 label files that differ" in caught.value.message and "--force" in caught.value.fix
    result = compare([runs[0], other], force=True, resamples=QUICK)
    assert len(result.forced) == 3
    assert set(result.sample_ids) == set(other.results.sample_ids)
    value = result.row("H1").estimates["mDice"].value
    assert value == pytest.approx(mean_dice(runs[0], result.sample_ids), abs=1e-9)
    # Alike runs are not marked, forced or not.
    assert compare(runs, force=True, resamples=QUICK).forced == ()


def test_nothing_in_common_is_refused_even_if_forced(
    make_run: MakeRun, tmp_path: Path, runs: list[Run]
) -> None:
    other = load_run(make_run(tmp_path / "x", "X"), "val")
    names = tuple(f"z/{name}" for name in other.results.sample_ids)
    provenance = copy.deepcopy(other.provenance)
    files = provenance["data"]["files"]
    provenance["data"]["files"] = {f"z/{name}": hashes for name, hashes in files.items()}
    results = dataclasses.replace(other.results, sample_ids=names)
    other = dataclasses.replace(other, results=results, provenance=provenance)
    with pytest.raises(UserError, match="no image in common"):
        compare([runs[0], other], force=True)


def test_what_cannot_be_tested_leaves_the_verdict_open(make_run: MakeRun, tmp_path: Path) -> None:
    stated = {"id": "H2", "parent": "H1", "expects": {"mDice": "+", "mBoundaryIoU": "+"}}
    folders = [
        make_run(tmp_path / "a", "H1", skill=0.6),
        make_run(tmp_path / "b", stated, skill=0.9),
    ]
    result = compare(read(folders), resamples=QUICK)
    assert result.pairs[0].verdict.outcome is Outcome.UNDECIDED
    assert any("H2 expects mBoundaryIoU" in note for note in result.notes)
    wrong: dict[str, Any] = {"id": "H3", "parent": "H1", "expects": {"mDise": "+"}}
    folders[1] = make_run(tmp_path / "c", wrong)
    with pytest.raises(UserError) as caught:
        compare(read(folders))
    assert "'mDise'" in caught.value.message and "did you mean 'mDice'" in caught.value.fix


def test_an_expected_figure_beyond_the_table_is_tested(make_run: MakeRun, tmp_path: Path) -> None:
    stated = {"id": "H2", "parent": "H1", "expects": {"Recall/cat": "-"}}
    folders = [
        make_run(tmp_path / "a", "H1", skill=0.6),
        make_run(tmp_path / "b", stated, skill=0.9),
    ]
    (pair,) = compare(read(folders), resamples=QUICK).pairs
    assert pair.families["Recall/cat"] == "confirmatory"
    assert pair.verdict.outcome is Outcome.NOT_SUPPORTED


def test_the_split_that_chose_the_checkpoints_is_declared(
    comparison: Comparison, make_run: MakeRun, tmp_path: Path
) -> None:
    assert comparison.selected == ("H1", "H2", "H3")
    folder = make_run(tmp_path / "t", "H1", split="test")  # chosen on val
    assert compare([load_run(folder, "test")], resamples=QUICK).selected == ()


def test_equal_figures_are_both_best(make_run: MakeRun, tmp_path: Path, runs: list[Run]) -> None:
    twin = dataclasses.replace(
        runs[0], hypothesis=dataclasses.replace(runs[0].hypothesis, id="Twin")
    )
    assert compare([runs[0], twin], resamples=QUICK).best("mDice") == ("H1", "Twin")


def test_the_config_difference_is_that_of_the_pair(make_run: MakeRun, tmp_path: Path) -> None:
    wrapper = {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 0.1}}
    folders = [
        make_run(tmp_path / "a", "H1"),
        make_run(tmp_path / "b", {"id": "H2", "parent": "H1"}, config={"optim_wrapper": wrapper}),
    ]
    (pair,) = compare(read(folders), resamples=QUICK).pairs
    assert [(c.key, c.before, c.after) for c in pair.changes] == [
        ("optim_wrapper.optimizer.lr", 0.0005, 0.1)
    ]


def test_the_same_seed_gives_the_same_comparison(runs: list[Run], comparison: Comparison) -> None:
    again = compare(runs, resamples=QUICK)
    other = compare(runs, resamples=QUICK, seed=1)
    intervals = [
        result.pairs[0].differences["mDice"].interval for result in (comparison, again, other)
    ]
    assert intervals[0] == intervals[1] != intervals[2]


def test_four_runs_of_120_images_are_quick(make_run: MakeRun, tmp_path: Path) -> None:
    names: list[Any] = ["H1", *({"id": f"H{n}", "parent": "H1"} for n in (2, 3, 4))]
    runs = read([make_run(tmp_path / str(n), name, images=120) for n, name in enumerate(names)])
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        result = compare(runs)
        seconds.append(time.perf_counter() - start)
    assert len(result.pairs) == 3 and result.resamples == 10_000
    assert np.median(seconds) < 2.0  # 0.3 s on a free core; the tests may share it


def test_nothing_heavy_is_imported() -> None:
    modules = ("run_folder", "run_search", "comparison", "comparison_files", "export")
    imports = ", ".join(f"seglab.analysis.{name}" for name in modules)
    code = (
        f"import sys, seglab.tools.compare, seglab.tools.export_run, {imports}; "
        "print([m for m in ('torch', 'mmengine', 'mmcv', 'mmseg') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
