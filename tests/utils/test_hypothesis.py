from pathlib import Path

import pytest

from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.hypothesis import Hypothesis, parse_hypothesis

PARENT = """hypothesis = dict(
    id="P", question="p?", change="none", expects={"mDice": "+", "Dice/dog": "+"}
)
model = dict(depth=1)
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    return write(tmp_path, "parent", PARENT)


def test_a_child_states_its_own_claim_and_inherits_none(parent: Path) -> None:
    child = write(
        parent.parent,
        "child",
        '_base_ = ["parent.py"]\n'
        'hypothesis = dict(id="C", parent="P", expects=dict(mDice="-"), change="a " "b")\n',
    )
    stated = parse_hypothesis(load_config(child).hypothesis, child)
    assert stated == Hypothesis("C", "P", "", "a b", {"mDice": "-"})


def test_a_child_that_says_nothing_tests_its_file_name_against_the_parent(parent: Path) -> None:
    child = write(parent.parent, "child", '_base_ = ["parent.py"]\nmodel = dict(depth=2)\n')
    assert load_config(child).hypothesis == Hypothesis("child", "P").to_dict()
    lonely = write(parent.parent, "lonely", "model = dict(depth=2)\n")
    assert load_config(lonely).hypothesis == Hypothesis("lonely").to_dict()


def test_a_stage_is_stated_by_each_config_itself(parent: Path) -> None:
    head = '_base_ = ["parent.py"]\n'
    claim = 'hypothesis = dict(id="C", parent="P", change="a", expects={}, stage="improved")\n'
    child = write(parent.parent, "child", head + claim)
    assert parse_hypothesis(load_config(child).hypothesis, child).stage == "improved"
    grandchild = write(parent.parent, "grandchild", '_base_ = ["child.py"]\n')
    assert "stage" not in load_config(grandchild).hypothesis


def test_a_stored_config_keeps_it(parent: Path, tmp_path: Path) -> None:
    config = load_config(parent)
    python = write(tmp_path, "config", config.pretty_text)
    assert load_config(python).hypothesis == config.hypothesis
    stored = tmp_path / "config.json"
    config.dump(stored)
    assert load_config(stored).hypothesis == config.hypothesis


def test_a_run_without_a_hypothesis_is_named_after_its_config(tmp_path: Path) -> None:
    stored = write(tmp_path, "config", 'hypothesis_name = "mine"\n')
    assert load_config(stored).hypothesis.id == "mine"


@pytest.mark.parametrize("text", ["dict(id=NAME)", "make()", "dict(**other)", "[x for x in y]"])
def test_a_computed_hypothesis_is_refused(tmp_path: Path, text: str) -> None:
    head = 'NAME = "a"\nother = dict(id="b")\ny = []\n\ndef make():\n    return {"id": "c"}\n\n'
    path = write(tmp_path, "computed", f"{head}hypothesis = {text}\n")
    with pytest.raises(UserError, match="computed.*\n.*write its values out"):
        load_config(path)


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        (None, ["NoneType"]),
        ({}, ["id must be"]),
        ({"id": " "}, ["id must be"]),
        ({"id": "a", "parent": "a"}, ["names itself"]),
        ({"id": "a", "parent": 3, "question": 4}, ["parent must be", "question must be text"]),
        ({"id": "a", "stage": "last"}, ["stage is 'last'", "'improved'"]),
        ({"id": "a", "stage": ["own"]}, ["stage is ['own']"]),
        ({"id": "a", "expect": {}}, ["unknown key 'expect'"]),
        ({"id": "a", "expects": "mDice"}, ["expects must be a dict"]),
        ({"id": 1, "expects": {"mDice": "up", "aAcc": "+"}}, ["id must", "use '+', '-' or '='"]),
    ],
)
def test_every_fault_is_named(value: object, faults: list[str]) -> None:
    with pytest.raises(UserError) as error:
        parse_hypothesis(value, "configs/x.py")
    assert "configs/x.py" in str(error.value) and "fix:" in str(error.value)
    for fault in faults:
        assert fault in str(error.value)
    assert "aAcc" not in str(error.value)
