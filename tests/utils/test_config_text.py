"""What is written of a config says what the config says, and runs nothing, whatever is in it."""

from pathlib import Path

import pytest
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from seglab.utils.config_text import literal_text, python_text
from seglab.utils.errors import UserError

#: Break out of quotes that are put around a key, and out of what mmengine fills in on loading.
KEYS = ["a': BAIT, 'b", 'a": BAIT, "b', "a=0)\nBAIT\ndict(b", "class", "a/b", "é 1", "\\"]
VALUES = ["{{$NO_SUCH:\"\\'+BAIT+\\'}}", "{{ fileBasename }}", "{{ _base_.a }}", "{{$NO_SUCH:x}}",
          "'''", '"""', "\\", "{{{"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


def filled(text: str, folder: Path) -> str:
    return text.replace("BAIT", f"__import__('pathlib').Path({str(folder / 'victim')!r}).touch()")


@examples(40)
@given(
    keys=st.lists(st.sampled_from(KEYS) | st.text(max_size=6), min_size=1, max_size=3, unique=True),
    values=st.lists(st.sampled_from(VALUES) | st.text(max_size=6), min_size=1, max_size=3),
)
def test_what_is_written_of_a_config_is_the_config(
    folder: Path, keys: list[str], values: list[str]
) -> None:
    keys = [f"x{filled(key, folder)}" for key in keys]  # mmengine has names of its own
    values = [filled(value, folder) for value in values]
    config = Config({"part": dict.fromkeys(keys, values), "list": [{keys[0]: {"a": values}}]})
    wanted = config.to_dict()
    for text in (python_text(config), literal_text(wanted)):
        try:
            (folder / "config.py").write_text(text, encoding="utf-8")
        except UnicodeEncodeError:  # half a character
            continue
        assert Config.fromfile(folder / "config.py").to_dict() == wanted
    assert not (folder / "victim").exists()


def test_mmengines_own_text_runs_what_a_key_says(tmp_path: Path) -> None:
    import seglab.mmseg_custom  # noqa: F401 - puts ours in its place
    from seglab.utils import config_text

    config = Config({"a": {filled(KEYS[0], tmp_path): 1}})
    (tmp_path / "ours.py").write_text(config.pretty_text)
    Config.fromfile(tmp_path / "ours.py")
    assert not (tmp_path / "victim").exists()
    (tmp_path / "theirs.py").write_text(config_text._mmengine_text.fget(config))
    Config.fromfile(tmp_path / "theirs.py")
    assert (tmp_path / "victim").exists()  # the bait works


def test_harmless_configs_are_written_as_mmengine_writes_them() -> None:
    config = Config({"model": {"type": "A", "keys": {"backbone.layer1": 1}}, "x": [1, (2, 3)]})
    assert python_text(config).startswith("model = dict(")


@pytest.mark.parametrize("key", ["a b", "x=1\nimport os\ny", "class", ""])
def test_what_is_no_name_is_not_written_as_one(key: str) -> None:
    with pytest.raises(UserError, match="no names"):
        literal_text({key: 1})
