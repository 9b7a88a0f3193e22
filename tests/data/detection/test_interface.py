import pytest

from seglab.data.detection import class_map_for
from seglab.utils.errors import UserError

CLASSES = ("background", "cat", "dog")


def test_the_default_table_follows_the_data_sets_order() -> None:
    assert class_map_for(CLASSES) == {15: 1, 16: 2}
    assert class_map_for(("background", "dog", "cat")) == {15: 2, 16: 1}
    assert class_map_for(("background", "dog")) == {16: 1}


def test_the_table_can_be_changed() -> None:
    assert class_map_for(CLASSES, ["17=dog", "15=none"]) == {16: 2, 17: 2}


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(UserError) as caught:
        class_map_for(CLASSES, ["cat", "x=dog", "17=horse", "18=background", "19="])
    text = str(caught.value)
    for part in ("'cat'", "'x=dog'", "'17=horse'", "'18=background'", "'19='", "15=cat"):
        assert part in text


def test_nothing_to_look_for_is_a_fault() -> None:
    with pytest.raises(UserError, match="none of the classes horse"):
        class_map_for(("background", "horse"))
