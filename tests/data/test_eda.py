"""The command line of the look at the data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seglab.data import eda
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json


def test_both_spellings_and_what_is_printed(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for root, out in (("--data_root", "--output_dir"), ("--data-root", "--output-dir")):
        folder = tmp_path / out
        assert eda.main([root, str(tiny_data), "--split", "all", out, str(folder)]) == 0
        printed = capsys.readouterr().out
        assert "21 masks in " in printed
        assert str(folder / "eda.md") in printed
        content = read_json(folder / "eda.json")
        assert list(content["splits"]) == ["test", "train", "val"]
        assert content["classes"] == ["background", "class_1", "class_2"]


def test_names_and_colours_of_a_config(tiny_data: Path, tiny_config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--data-root", str(tiny_data), "--config", str(tiny_config)]
    assert eda.main([*arguments, "--output-dir", str(out)]) == 0
    assert read_json(out / "eda.json")["classes"] == ["background", "cat", "dog"]


def test_all_faults_of_the_command_line_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--data-root", str(tmp_path / "no"), "--output-dir", str(tmp_path / "file")]
    with pytest.raises(UserError) as caught:
        eda.main([*arguments, "--tiny", "100", "--ignore-index", "256"])
    for part in ("no is no folder", "file is a file", "--tiny 100", "--ignore-index 256"):
        assert part in str(caught.value)


def test_it_starts_without_torch(tiny_data: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from seglab.data import eda;"
        f"eda.main(['--data-root', {str(tiny_data)!r}, '--output-dir', {str(tmp_path / 'o')!r}]);"
        "print(sorted({'torch', 'mmengine', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]")


def test_the_script_is_the_command(project_root: Path, tmp_path: Path) -> None:
    script = str(project_root / "src" / "data" / "eda.py")
    command = str(Path(sys.executable).with_name("seglab"))
    outputs = [
        subprocess.run(way, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for way in ([sys.executable, script, "--help"], [command, "eda", "--help"])
    ]
    assert outputs[0] == outputs[1]
    assert "examples:" in outputs[0]
