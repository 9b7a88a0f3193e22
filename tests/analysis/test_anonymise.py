"""What a published run says about the machine it was made on: nothing."""

import getpass
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seglab.analysis.anonymise import Anonymiser, has_absolute_path, is_absolute
from seglab.utils.paths import PROJECT_ROOT

DATA = "/mnt/big disk/pets"


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> Anonymiser:
    monkeypatch.setattr(getpass, "getuser", lambda: "alice")
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-box-7")
    return Anonymiser([DATA, "/data/coco", "relative"], ["x /home/bob/y", "C:\\Users\\carol\\z"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{PROJECT_ROOT}/configs/h1.py", "configs/h1.py"),
        (f"{DATA}/img/val/a b.jpg", "DATA_ROOT/img/val/a b.jpg"),
        ("/data/coco", "DATA_ROOT"),
        ("/home/alice/x.pth", "x.pth"),
        ("--data-root=/data/coco/img", "--data-root=DATA_ROOT/img"),
        ("cd /tmp/x && python '/opt/run it/train.py'", "cd x && python 'run it/train.py'"),
        ("PATH=/usr/bin:/home/alice/bin", "PATH=bin:bin"),
        ("file:///home/alice/x.png", "x.png"),
        ("C:\\Users\\alice\\x.pth", "x.pth"),
        ("/home/alice", "USER"),
        ("at gpu-box-7, alice@gpu-box-7", "at HOST, USER@HOST"),
        ("runs/alice/7 and bob/8 and carol\\9", "runs/USER/7 and USER/8 and USER\\9"),
        # These are no paths, or not absolute ones.
        ("https://download.openmmlab.com/x.pth", "https://download.openmmlab.com/x.pth"),
        ("open-mmlab://resnet50_v1c", "open-mmlab://resnet50_v1c"),
        ("IoU/cat and/or ../shared/x, 1 / 2", "IoU/cat and/or ../shared/x, 1 / 2"),
        ("Linux-6.1-x86_64", "Linux-6.1-x86_64"),
        ("alice", "alice"),
        ("", ""),
        ("/", "/"),
    ],
)
def test_texts(clean: Anonymiser, text: str, expected: str) -> None:
    assert clean.text(text) == expected


def test_a_class_keeps_its_name_even_if_a_user_bears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "cat")
    assert Anonymiser(keep=["cat"]).text("Dice/cat") == "Dice/cat"
    assert Anonymiser().text("runs/cat/x") == "runs/USER/x"


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise OSError("no user")

    monkeypatch.setattr(getpass, "getuser", none)
    assert Anonymiser().text("a/b") == "a/b"


def test_nested_data_keeps_everything_but_texts(clean: Anonymiser) -> None:
    data = {"a": [1, 2.5, None, True, "/tmp/x"], "/tmp/k": {"b": "no"}}
    assert clean.data(data) == {"a": [1, 2.5, None, True, "x"], "k": {"b": "no"}}


def test_python_is_cleaned_token_by_token(clean: Anonymiser) -> None:
    source = (
        "a = dict(root='/data/coco', n=1, t=(1, 2))  # from /home/alice/x\n"
        "b = '''/home/alice\n/x'''\nc = b'raw'\nd = 6 /2\nurl = 'https://a.b/c'\n"
    )
    cleaned = clean.python(source)
    assert "alice" not in cleaned and "/data" not in cleaned
    names: dict[str, object] = {}
    exec(cleaned, names)
    assert names["a"] == {"root": "DATA_ROOT", "n": 1, "t": (1, 2)}
    assert names["d"] == 3.0 and names["c"] == b"raw" and names["url"] == "https://a.b/c"
    with pytest.raises(SyntaxError):
        clean.python("a = (")


@given(st.lists(st.text("ab/ .:=~\\C'\"(-", max_size=12), max_size=3).map(" ".join))
@example("/\\\\C")  # what is left of the first path begins like another
def test_nothing_absolute_is_left(text: str) -> None:
    cleaned = Anonymiser(["/a/b"]).text(text)
    assert not has_absolute_path(cleaned), (text, cleaned)


def test_is_absolute() -> None:
    assert is_absolute("/a b/c") and is_absolute("C:/x") and is_absolute("\\\\server\\share")
    for text in ("a/b", "/a --b /c", "", "//", "https://x", "../x"):
        assert not is_absolute(text)
