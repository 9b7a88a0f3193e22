"""Which model is chosen, and what is said of its rivals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seglab.analysis.report.choice import choose

MakeRun = Callable[..., Path]
Edit = Callable[..., None]


@pytest.fixture
def choice_of(
    make_run: MakeRun, compared: Callable[..., Any], edit: Edit, tmp_path: Path
) -> Callable[..., Any]:
    """`choice_of(A=(skill, parameters, seconds), ...)`; a missing figure is None."""

    def choose_from(device: str = "cpu", **runs: tuple[float, Any, Any]) -> Any:
        folders = []
        for name, (skill, parameters, seconds) in runs.items():
            folder = make_run(tmp_path / name, name, skill=skill, images=60)

            def cost(record: Any, p: Any = parameters, s: Any = seconds, n: str = name) -> None:
                record |= {"parameters": p, "seconds": s}
                if n == "B":
                    record["sessions"][0]["device"] = device

            edit(folder / "run.json", cost)
            folders.append(folder)
        return choose(compared(folders))

    return choose_from


def test_the_highest_is_chosen_and_a_clear_loser_is_called_worse(
    choice_of: Callable[..., Any],
) -> None:
    choice = choice_of(A=(0.6, 10, 10.0), B=(0.9, 1000, 100.0), C=(0.7, 20, 10.0))
    assert choice.id == "B" and [rival.id for rival in choice.rivals] == ["A", "C"]
    assert all(rival.shown_worse and rival.cheaper for rival in choice.rivals)
    assert choice.rival("A").lead.value > choice.rival("C").lead.value > 0
    assert choice.frugal is None


def test_a_cheaper_one_that_is_not_shown_to_be_worse_is_named(
    choice_of: Callable[..., Any],
) -> None:
    choice = choice_of(A=(0.8, 50, 10.0), B=(0.8, 500, 10.0), C=(0.8, 20, 90.0), D=(0.4, 1, 1.0))
    others = {"A", "B", "C"} - {choice.id}
    assert not any(choice.rival(name).shown_worse for name in others)
    assert choice.rival("D").shown_worse
    cheaper = {n for n in others if choice.costs[n].parameters < choice.costs[choice.id].parameters}
    assert {rival.id for rival in choice.rivals if rival.cheaper} == cheaper | {"D"}
    expected = min(cheaper, key=lambda name: choice.costs[name].parameters, default=None)
    assert choice.frugal == expected


@pytest.mark.parametrize(
    ("cost", "device", "cheaper"),
    [
        ((100, 10.0), "cpu", True),  # as many parameters, clearly faster
        ((100, 85.0), "cpu", False),  # hardly faster
        ((100, 10.0), "cuda", False),  # faster on another device
        ((99, 900.0), "cuda", True),  # fewer parameters
        ((101, 1.0), "cpu", False),
        ((None, 1.0), "cpu", False),  # not known
        ((100, None), "cpu", False),
    ],
)
def test_what_counts_as_cheaper(
    choice_of: Callable[..., Any], cost: tuple[Any, Any], device: str, cheaper: bool
) -> None:
    choice = choice_of(A=(0.9, 100, 100.0), B=(0.5, *cost), device=device)
    assert choice.id == "A" and choice.rival("B").cheaper is cheaper


def test_leads_are_corrected_over_all_rivals(choice_of: Callable[..., Any]) -> None:
    choice = choice_of(A=(0.9, 1, 1.0), B=(0.895, 1, 1.0), C=(0.893, 1, 1.0))
    leads = sorted((rival.lead for rival in choice.rivals), key=lambda lead: lead.p_value)
    assert leads[0].adjusted_p == pytest.approx(min(1.0, 2 * leads[0].p_value))


def test_one_alone_has_no_rival(choice_of: Callable[..., Any]) -> None:
    choice = choice_of(A=(0.9, 1, 1.0))
    assert (choice.id, choice.rivals, choice.frugal) == ("A", (), None)
