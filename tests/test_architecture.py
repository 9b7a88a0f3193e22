"""The house rules that a program can check."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
FILES = sorted(SOURCE.rglob("*.py"))
#: Which layers a layer may import.
ALLOWED = {
    "utils": {"utils"},
    "data": {"data", "utils"},
    "analysis": {"analysis", "utils"},
    "mmseg_custom": {"mmseg_custom", "utils"},
    "tools": {"tools", "analysis", "data", "mmseg_custom", "utils"},
}


def imported_layers(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "seglab":
                names = [f"seglab.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "seglab" and len(parts) > 1 and parts[1] in ALLOWED:
                yield parts[1]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_dependencies_point_one_way(path: Path) -> None:
    layer = path.relative_to(SOURCE).parts[0]
    if layer in ALLOWED:
        assert set(imported_layers(path)) <= ALLOWED[layer]


def test_the_rule_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("from seglab.tools import main\nfrom seglab import data\nimport seglab.utils")
    assert set(imported_layers(path)) == {"tools", "data", "utils"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 430
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            # The body without its docstring and signature: what a reader has to follow.
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= 45, f"{node.name} has {lines} lines"
