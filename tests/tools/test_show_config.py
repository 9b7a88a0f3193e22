"""A resolved config on the screen: complete, and nothing of it built or run."""

import json
import sys
from pathlib import Path

import pytest
from hostile import python_that_touches

from seglab.tools.show_config import main
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_both_forms_say_the_same_as_the_config(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--config", tiny_config, "--cfg-options", "train_cfg.max_epochs=7")
    expected = load_config(tiny_config, ["train_cfg.max_epochs=7"]).to_dict()
    (tmp_path / "shown.py").write_text(shown(capsys, *options))
    assert load_config(tmp_path / "shown.py").to_dict() == expected
    (tmp_path / "shown.json").write_text(shown(capsys, *options, "--format", "json"))
    again = load_config(tmp_path / "shown.json").to_dict()
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(expected))
    assert again["model"]["data_preprocessor"]["size"] == (64, 64)


def test_a_part_and_a_file(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--config", tiny_config, "--key")
    assert shown(capsys, *options, "train_cfg.max_epochs") == "2\n"
    assert json.loads(shown(capsys, *options, "param_scheduler.0", "--format", "json"))["type"]
    out = tmp_path / "new" / "part.json"
    assert shown(capsys, *options, "model.backbone", "--format", "json", "--output", out) == ""
    assert json.loads(out.read_text())["type"] == "TimmBackbone"
    with pytest.raises(UserError, match="is there already"):
        main([*map(str, options), "model", "--output", str(out)])
    with pytest.raises(UserError, match=r"--key: .* no key 'model\.bakbone'") as caught:
        main([*map(str, options), "model.bakbone"])
    assert caught.value.fix == "did you mean model.backbone?"


def test_nothing_is_built(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Names of classes, weights and data that are nowhere are shown as they stand.
    options = ("model.type=NoSuchModel", "train_dataloader.dataset.type=NoSuchDataset")
    text = shown(
        capsys, "--config", tiny_config, "--data-root", "/nowhere", "--cfg-options", *options
    )
    assert "NoSuchModel" in text and "NoSuchDataset" in text and "/nowhere" in text
    assert not (tmp_path / "experiments").exists()


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_a_config_that_is_data_runs_nothing(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    (tmp_path / "bait.py").write_text(python_that_touches(victim))
    monkeypatch.syspath_prepend(tmp_path)
    content = {
        "model": {"type": "os.system", "command": f"touch {victim}"},
        "custom_imports": {"imports": ["bait"]},
        "note": "{{$HOME:none}} {{ fileDirname }}",
    }
    path = tmp_path / f"hostile{suffix}"
    path.write_text(json.dumps(content))
    text = shown(capsys, "--config", path)
    assert "os.system" in text
    kept = tmp_path / "kept.py"
    kept.write_text(text)  # text is text, also for whoever loads what is shown
    assert load_config(kept).note == content["note"]
    path.write_text(json.dumps({**content, "_base_": ["bait.py"]}))
    with pytest.raises(UserError, match="names bases"):
        main(["--config", str(path)])
    assert not victim.exists() and "bait" not in sys.modules


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "a: !!python/object/apply:builtins.open [VICTIM, w]", "no YAML of plain values"),
        ("a.yaml", "a: [1", "no YAML of plain values"),
        ("a.yaml", "- 1", "holds no keys with values"),
        ("a.yaml", "1: 2", "holds no keys with values"),
        ("a.json", "[1]", "holds no keys with values"),
        ("a.json", "{", "is not valid JSON"),
        ("a.json", '{"filename": 1}', "filename"),
        ("a.json", '{"a":' * 5000 + "1" + "}" * 5000, ""),
        ("a.json", '{"a":' * 300 + "1" + "}" * 300, ""),
    ],
)
def test_damaged_data_is_refused_in_words(
    tmp_path: Path, name: str, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = tmp_path / "victim"
    path = tmp_path / name
    path.write_text(text.replace("VICTIM", str(victim)))
    try:
        main(["--config", str(path)])
    except UserError as error:
        assert words in error.message and str(path) in error.message
    else:
        assert not words
    assert not victim.exists()
