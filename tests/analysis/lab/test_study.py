"""The configs of the study are read as text, without running them."""

from pathlib import Path

from seglab.analysis.lab.study import CONFIGS, read_study, story_places
from seglab.utils.hypothesis import Hypothesis

CHILD = '_base_ = ["base.py"]\nhypothesis = dict(id="C", parent="B", stage="improved")\n'


def test_the_projects_study() -> None:
    study = read_study()
    ids = [config.hypothesis.id for config in study]
    assert ids[:2] == ["Lab-R34", "Lab-B0"] and ids[-2:] == ["Lab-CNN", "Lab-CNN+"]
    stages = [config.hypothesis.stage for config in study]
    assert stages == sorted(stages, key=("baseline", "improved", "own").index)
    assert len(study) == len([*CONFIGS.glob("lab_*.py"), *CONFIGS.glob("unet_*.py")])
    weights = {config.hypothesis.id: config.downloaded for config in study}
    assert weights["Lab-R34"] == weights["Lab-R34+"] == "resnet34"
    assert weights["Lab-B4"] == "mit_b4"
    assert weights["U-Lite"] is weights["Lab-CNN"] is None


def test_the_file_is_not_run_and_what_it_inherits_is_found(tmp_path: Path) -> None:
    trap = f'open({str(tmp_path / "ran")!r}, "w")\n'
    (tmp_path / "base.py").write_text(f'{trap}model = dict(pretrained="smp:x", depth=1 + 1)\n')
    (tmp_path / "child.py").write_text(trap + CHILD)
    (study,) = read_study(tmp_path)
    assert study.hypothesis.id == "C" and not (tmp_path / "ran").exists()
    # The base's model is computed: what it starts from is not known.
    assert study.pretrained is None
    (tmp_path / "base.py").write_text('model = dict(pretrained="smp:x")\n')
    assert read_study(tmp_path)[0].downloaded == "x"
    (tmp_path / "child.py").write_text(f"{CHILD}model = dict(pretrained=None)\n")
    assert read_study(tmp_path)[0].pretrained is None


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(CHILD.replace('["base.py"]', '"absent.py"'))
    (tmp_path / "broken.py").write_text("hypothesis = dict(\n")
    (tmp_path / "computed.py").write_text("hypothesis = make()\n")
    (tmp_path / "other.py").write_text('hypothesis = dict(id="H", parent=None)\n')
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "nul.py").write_text("a = 1\0\n")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "circle.py").write_text(CHILD.replace("base.py", "circle.py"))
    (tmp_path / "mixed.py").write_text(CHILD.replace('"base.py"', '3, "mmseg::x.py"'))
    assert [config.path.stem for config in read_study(tmp_path)] == ["child", "mixed"]
    assert read_study(tmp_path / "no_folder") == ()


def test_the_order_of_a_story_follows_stages_and_parents() -> None:
    claims = [
        Hypothesis("B+", "B", stage="improved"),
        Hypothesis("A+", "A", stage="improved"),
        Hypothesis("X", "A", stage="own"),
        Hypothesis("B", "A", stage="baseline"),
        Hypothesis("A", None, stage="baseline"),
        Hypothesis("P", "Q", stage="own"),
        Hypothesis("Q", "P", stage="own"),  # a circle ends
    ]
    places = story_places(claims)
    ordered = sorted(places, key=lambda name: places[name])
    assert ordered[:5] == ["A", "B", "A+", "B+", "X"] and set(ordered[5:]) == {"P", "Q"}
