"""Documents that are generated are up to date (`make docs` writes them)."""

from pathlib import Path

import pytest

from seglab.analysis.comparison import compare
from seglab.analysis.lab.build import write_lab_report
from seglab.analysis.lab.story import tell_story
from seglab.analysis.lab.study import read_study
from seglab.analysis.report.build import write_report
from seglab.analysis.report.writing import ReportFiles
from seglab.analysis.run_search import find_runs
from seglab.data.preflight.__main__ import document
from seglab.tools.common import LAB_REFERENCE, REFERENCES
from seglab.utils.bad_masks import BAD_MASKS_FILE, read_bad_masks


def test_the_list_of_findings(project_root: Path) -> None:
    assert (project_root / "reports" / "preflight.md").read_text() == document()


def test_a_clone_makes_the_report_again_from_the_reference_runs(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_root)
    folders = sorted(Path("experiments/reference").iterdir())
    assert len(folders) >= 3
    require_committed(write_report(compare(find_runs(folders, "val")), tmp_path), project_root)


def test_a_clone_makes_the_labs_report_again_from_its_reference_runs(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_root)
    folders = sorted(Path("experiments", LAB_REFERENCE).iterdir())
    runs = find_runs(folders, "test")
    files = write_lab_report(tell_story(runs, read_study()), tmp_path)
    require_committed(files, project_root)
    # Both models of each kind, with two seeds or more, scored both ways.
    assert {"U-Lite", "U-Lite+", "Lab-CNN", "Lab-CNN+"} <= {run.id for run in runs}
    for name in {run.id for run in runs}:
        assert {0, 1} <= {run.seed for run in runs if run.id == name}
    assert "Not scored the lab's way" not in files.markdown.read_text()


def require_committed(files: ReportFiles, project_root: Path) -> None:
    """The document in the repository is the one that was just made, its pictures by name."""
    committed = project_root / "reports" / files.markdown.name
    assert files.markdown.read_text() == committed.read_text()
    assert {path.name for path in files.pictures.iterdir()} == {
        path.name for path in (committed.parent / files.pictures.name).iterdir()
    }


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_runs_hold_no_weights_no_photographs_and_no_machine(
    project_root: Path, name: str
) -> None:
    files = list((project_root / "experiments" / name).rglob("*.*"))
    assert {path.suffix for path in files} == {".json", ".jsonl", ".csv", ".npz", ".py", ".png"}
    charts = {"confusion_matrix", "reliability", "distribution", "training_curves"}
    for path in files:
        if path.suffix == ".png":
            assert path.stem.removeprefix("val_").removeprefix("test_") in charts
        elif path.suffix != ".npz":
            assert str(project_root.parent) not in path.read_text()
            assert "/home/" not in path.read_text()


@pytest.mark.shared
def test_the_list_of_bad_masks_fits_the_real_masks(project_root: Path, shared_dir: Path) -> None:
    listed = read_bad_masks(project_root / BAD_MASKS_FILE, shared_dir / "data/pets_coco")
    assert len({mask.path for mask in listed}) == len(listed) > 0
    assert all(mask.path.startswith("labels/train/") and mask.reason for mask in listed)
