"""The notebook runs from top to bottom, on a copy of nothing but itself."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient


def test_the_notebook_is_committed_without_outputs(project_root: Path) -> None:
    notebook = nbformat.read(project_root / "notebook.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)


def test_the_notebook_runs(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("SEGLAB_TOY", str(tmp_path / "toy"))
    monkeypatch.setenv("SEGLAB_NOTEBOOK_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SEGLAB_NOTEBOOK_EPOCHS", "1")
    notebook = nbformat.read(project_root / "notebook.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    images = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(images) == 7
    assert next((tmp_path / "runs").glob("*/test_test/test_metrics.json")).is_file()
