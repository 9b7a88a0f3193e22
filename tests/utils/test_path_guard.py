"""No name that data gives leaves the folder that it belongs to."""

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from seglab.utils.errors import UserError
from seglab.utils.paths import name_fault, output_path
from seglab.utils.prediction_cache import probabilities_path

#: Pieces of which attacks are made, and plain words.
PIECES = st.one_of(
    st.sampled_from(
        ["..", ".", "/", "//", "\\", "C:", "C:\\", "~", "\0", "link", "loop", "file", "sub", " ",
         "a", "é", "\u202e", "\ud800", "con", "x" * 300, "\\\\server\\share", "%2e%2e", "\n", "-rf"]
    ),
    st.text(max_size=6),
)  # fmt: skip
NAMES = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=8).map("/".join),
                  st.lists(PIECES, max_size=8).map("".join))  # fmt: skip

WORDS = st.from_regex(r"[A-Za-z0-9_é][A-Za-z0-9_.é -]{0,20}", fullmatch=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with links in it: out, around in a circle, and to a folder inside."""
    root = tmp_path_factory.mktemp("guard")
    out = root / "out"
    (out / "sub").mkdir(parents=True)
    (root / "outside").mkdir()
    (out / "link").symlink_to(root / "outside")
    (out / "loop").symlink_to(out / "loop")
    (out / "inner").symlink_to(out / "sub")
    (out / "file").write_text("x")
    (out / "leaving.png").symlink_to(root / "outside" / "victim.png")
    return out


@settings(
    max_examples=int(os.environ.get("SEGLAB_FUZZ_EXAMPLES", "400")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=NAMES)
@example(name="link/x.png")
@example(name="sub/../../outside/x.png")
@example(name="leaving.png")
@example(name="")
def test_what_passes_is_inside_and_everything_else_is_refused(folder: Path, name: str) -> None:
    try:
        path = output_path(folder, name)
    except UserError as error:
        assert error.fix and len(error.message) < 1000
        return
    real = os.path.realpath(path)
    assert os.path.commonpath([real, os.path.realpath(folder)]) == os.path.realpath(folder)
    assert real != os.path.realpath(folder)
    assert "\0" not in name and not name.startswith("/") and ".." not in name.split("/")


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(
        st.from_regex(r"[A-Za-z0-9_é][A-Za-z0-9_.é -]{0,20}", fullmatch=True),
        min_size=1,
        max_size=5,
    )
)
def test_plain_names_pass(parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    name = "/".join(parts)
    assert name_fault(name) == ""
    folder = tmp_path_factory.getbasetemp()
    assert output_path(folder, name) == folder / PurePosixPath(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/passwd", "is absolute"),
        ("C:\\x", "is absolute"),
        ("C:/x", "is absolute"),
        ("\\x", "is absolute"),
        ("\\\\server\\share\\x", "is absolute"),
        ("a/../b", "leads upwards"),
        ("a\\..\\b", "leads upwards"),
        ("..", "leads upwards"),
        ("a\0b", "NUL"),
        ("", "names no file"),
        (".", "names no file"),
        ("\ud800", ""),
        ("x" * 256, "is longer"),
        ("é" * 128, "is longer"),  # bytes count
        ("/".join(["x" * 200] * 21), "is longer"),
        ("link/x", "through a link"),
        ("leaving.png", "through a link"),
        ("loop/x", ""),
    ],
)
def test_each_kind_of_attack_is_named(folder: Path, name: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        output_path(folder, name)
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["x" * 255, "a:b.png", "..a/b..", "a b/.c", "inner/x", "con"])
def test_odd_but_harmless_names(folder: Path, name: str) -> None:
    assert output_path(folder, name) == folder / name


def test_the_folder_itself_may_be_a_link_or_not_there_yet(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "there").symlink_to(folder)
    assert output_path(tmp_path / "there", "x.png") == tmp_path / "there" / "x.png"
    assert output_path(tmp_path / "new" / "deep", "x.png") == tmp_path / "new" / "deep" / "x.png"


def test_predictions_stay_in_their_cache(tmp_path: Path) -> None:
    assert probabilities_path(tmp_path, "a/x.jpg") == tmp_path / "samples" / "a" / "x.jpg.npz"
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "a").symlink_to("/tmp")
    for name in ("a/x.jpg", "../x", "/x", "x" * 260):
        with pytest.raises(UserError, match="leads out of"):
            probabilities_path(tmp_path, name)
