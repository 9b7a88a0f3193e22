"""The package as it is installed: complete, light to import, one program under three names."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import seglab
from seglab.tools.main import COMMANDS, main


def test_every_package_is_listed(project_root: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    settings = tomllib.loads((project_root / "pyproject.toml").read_text())
    listed = set(settings["tool"]["setuptools"]["packages"])
    source = project_root / "src"
    found = {
        ".".join(["seglab", *path.parent.relative_to(source).parts])
        for path in source.rglob("__init__.py")
    }
    assert listed == found


def test_no_tool_shadows_a_module(project_root: Path) -> None:
    # `test` is the one exception: it is what people type, and run_script takes the folder out
    # of the search path.
    names = {path.stem for path in (project_root / "src" / "tools").glob("*.py")}
    assert names & set(sys.stdlib_module_names) <= {"__init__", "test"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, seglab; print([m for m in ('torch', 'mmengine', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SCRIPTS = ["train", "test", "predict", "check", "compare", "report", "export-run", "demo", "audit"]
SCRIPTS += ["repair-gain", "runs", "upload-results-to-clearml", "choose-threshold", "lab-report"]
SCRIPTS += ["show-config", "convert-checkpoint", "replay"]


def test_scripts_are_the_tools(project_root: Path) -> None:
    assert set(SCRIPTS) == {n for n, (m, _) in COMMANDS.items() if m.startswith("seglab.tools.")}


@pytest.mark.parametrize("command", SCRIPTS)
def test_three_ways_are_one_program_from_any_folder(
    command: str, project_root: Path, tmp_path: Path
) -> None:
    module = command.replace("-", "_")
    ways = [
        [sys.executable, str(project_root / "src" / "tools" / f"{module}.py"), "--help"],
        [sys.executable, "-m", f"seglab.tools.{module}", "--help"],
        [str(Path(sys.executable).with_name("seglab")), command, "--help"],
    ]
    outputs = [
        subprocess.run(way, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for way in ways
    ]
    assert outputs[0] == outputs[1] == outputs[2]
    assert "examples:" in outputs[0]


@pytest.mark.parametrize("command", [*COMMANDS])
def test_help_answers_quickly(command: str) -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(
            [str(Path(sys.executable).with_name("seglab")), command, "--help"],
            capture_output=True,
            check=True,
        )
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5


def test_main_lists_commands_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)
    assert main(["--version"]) == 0
    assert seglab.__version__ in capsys.readouterr().out
    assert main(["trian"]) == 2
    assert "unknown command 'trian'" in capsys.readouterr().err
