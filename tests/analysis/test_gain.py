"""The sentence and the data of a pair that differs in its train masks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seglab.analysis.comparison import Comparison, compare
from seglab.analysis.gain import gain_content, gain_document, gain_sentence
from seglab.analysis.run_folder import load_run
from seglab.utils.io_utils import to_plain

CHILD = {"id": "H1+fixed", "parent": "H1", "expects": {"mDice": "+"}}


@pytest.fixture
def compared(make_run: Callable[..., Path], tmp_path: Path) -> Callable[..., list[Comparison]]:
    """Compares H1 with H1+fixed of some skill: two seeds together, then each alone."""

    def build(skill: float, run_seeds: tuple[int, ...] = (0, 1)) -> list[Comparison]:
        runs = []
        for seed in run_seeds:
            for hypothesis, own in (("H1", 0.8), (CHILD, skill)):
                folder = tmp_path / f"{skill}_{len(runs)}"
                make_run(folder, hypothesis, seed, skill=own)
                runs.append(load_run(folder, "val"))
        alone = [compare(runs[n : n + 2], resamples=1000) for n in range(0, len(runs), 2)]
        return [compare(runs, by_seed=True, resamples=1000), *alone]

    return build


@pytest.mark.parametrize(
    ("skill", "sign", "words"),
    [(0.97, "+", "it rose: the other masks helped"), (0.5, "-", "it fell: the other masks did")],
)
def test_it_says_which_way_it_went(
    compared: Callable[..., list[Comparison]], skill: float, sign: str, words: str
) -> None:
    both, *alone = compared(skill)
    sentence = gain_sentence(both)
    value = both.pairs[0].differences["mDice"].value
    assert sentence.startswith(f"val mDice changed by {sign}{abs(value):.2f} points [{sign}")
    assert f"over 2 seeds and 24 images: {words}" in sentence
    content = gain_content(both, dict(enumerate(alone)), {"masks": 3})
    assert json.loads(json.dumps(to_plain(content)))["sentence"] == sentence
    each = [item["mDice"]["value"] for item in content["per_seed"]]
    assert sum(each) / 2 == pytest.approx(value)


def test_the_document_holds_the_sentence_and_every_seed(
    compared: Callable[..., list[Comparison]],
) -> None:
    both, *alone = compared(0.97)
    masks = {"masks": 40, "changed": 8, "pixels": 1000, "changed_pixels": 25}
    document = gain_document(both, dict(enumerate(alone)), masks)
    assert gain_sentence(both) in document
    assert "8 of 40 train masks differ between the two, in 2.50 % of all pixels." in document
    for seed, one in enumerate(alone):
        before, after = (row.estimates["mDice"].value for row in one.rows)
        assert f"| {seed} | {before:.2f} | {after:.2f} | +" in document


def test_what_may_be_chance_is_undecided(compared: Callable[..., list[Comparison]]) -> None:
    both, *_ = compared(0.805)
    assert "undecided, this may be chance" in gain_sentence(both)
    assert "with 80 % probability on these 24 images" in gain_sentence(both)
    equal, *_ = compared(0.8, (0,))
    assert "over 1 seed and 24 images: undecided" in gain_sentence(equal)
