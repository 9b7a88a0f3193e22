"""Messages are what they say: nothing in them is obeyed, and none hides in another's traceback."""

import pytest
from torch._utils import ExceptionWrapper

from seglab.utils.errors import UserError, visible
from seglab.utils.image_limits import TooLargeError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07a.jpg", r"\x1b[2J\x1b]0;owned\x07a.jpg"),
        ("a\rb", r"a\rb"),
        ("a\n  b\tc", "a\n  b\tc"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\udcff", r"\udcff"),
        ("\x9b31m", r"\x9b31m"),
        ("é 猫 🐈", "é 猫 🐈"),
    ],
)
def test_a_terminal_obeys_nothing_of_a_message(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert str(UserError(f"no image: {text}", text)) == f"no image: {shown}\n  fix: {shown}"


@pytest.mark.parametrize("kind", [UserError, TooLargeError])
def test_what_a_loading_process_says_is_said_again(kind: type[UserError]) -> None:
    try:
        raise kind("a.jpg: Error: torn\n    and more", "mend it") from ValueError("deep down")
    except UserError:
        wrapper = ExceptionWrapper(where="in DataLoader worker process 3")
    with pytest.raises(kind) as caught:
        wrapper.reraise()
    assert caught.value.message == "a.jpg: Error: torn\n    and more"
    assert caught.value.fix == "mend it"
