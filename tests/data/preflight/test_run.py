from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from PIL import Image

from seglab.data.preflight import FAULTS, raise_on_faults, report, run_preflight
from seglab.utils.errors import UserError

from .conftest import config_dict, dataset_dict, draw_mask, write_pair


def codes(findings):
    return [finding.code for finding in findings]


def test_everything_is_reported_at_once(root, make_config):
    (root / "labels/train/a.png").unlink()
    (root / "img/train/b.jpg").write_bytes(b"")
    draw_mask(7).save(root / "labels/train/c.png")
    draw_mask(1).convert("RGB").save(root / "labels/val/e.png")
    cfg = make_config(**{"train_dataloader.batch_size": 3})
    cfg.model.decode_head.loss_decode = {"type": "DiceLoss"}
    cfg.model.auxiliary_head.loss_decode[0].class_weight = [1.0]
    cfg.param_scheduler = [{"type": "PolyLR", "eta_min": 1.0, "end": 99}]
    findings = run_preflight(cfg)
    assert set(codes(findings)) == {
        "missing-mask",
        "unreadable-image",
        "label-out-of-range",
        "rgb-mask",
        "activation-mismatch",
        "class-weight-length",
        "batch-of-one",
        "schedule-too-long",
        "eta-min",
    }
    text = report(findings)
    for finding in findings:
        assert f"[{finding.code}]: {finding.message}\n  fix: {finding.fix}" in text
    assert text.startswith("preflight: 9 faults, 0 doubts\n")
    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, reverse=True)  # faults first
    with pytest.raises(UserError) as error:
        raise_on_faults(findings)
    assert error.value.message == text
    assert "--skip-preflight" in error.value.fix


def test_every_file_is_named_where_that_is_asked_for(root, make_config):
    spoilt = []
    for index in range(8):
        _, mask = write_pair(root, "train", f"bad{index}", seed=50 + index, label=1)
        spoilt.append(mask)
        draw_mask(100 + index).save(spoilt[-1])
    findings = run_preflight(make_config())
    short, long = report(findings), report(findings, every_case=True)
    assert "and 3 more" in short and "bad7.png" not in short
    assert short.endswith("seglab check --all-files names every file")
    assert [path for path in spoilt if f"{path.name} (value" not in long] == []
    assert "--all-files" not in long
    with pytest.raises(UserError, match=r"bad7.png \(value 107\)"):
        raise_on_faults(findings, every_case=True)


def test_doubts_do_not_stop(root, make_config):
    draw_mask(0).save(root / "labels/train/a.png")
    findings = run_preflight(make_config())
    assert codes(findings) == ["uniform-mask"]
    raise_on_faults(findings)
    assert report([]) == "preflight: 0 faults, 0 doubts"


def test_the_schedule_is_checked_only_when_training(make_config):
    cfg = make_config()
    cfg.param_scheduler = [{"type": "PolyLR", "eta_min": 1.0}]
    assert codes(run_preflight(cfg, ("val",))) == []
    assert codes(run_preflight(cfg, ("train",))) == ["eta-min"]


def test_class_count_is_checked_when_testing(make_config):
    cfg = make_config(**{"val_dataloader.dataset.metainfo.classes": ("background", "pet")})
    assert "class-count" in codes(run_preflight(cfg, ("val",)))


def test_a_config_with_nothing_in_it():
    assert codes(run_preflight(Config({}))) == ["missing-dataloader"] * 2


def test_faults_in_the_data_do_not_hide_those_in_the_config(root, make_config):
    cfg = make_config(**{"train_dataloader.dataset.data_root": str(root / "none")})
    cfg.param_scheduler = [{"type": "PolyLR", "eta_min": 1.0}]
    assert codes(run_preflight(cfg)) == ["missing-root", "eta-min"]


def test_preflight_imports_neither_torch_nor_mmseg():
    """`--help` and the table answer at once."""
    code = "import sys, seglab.data.preflight; print({'torch', 'mmseg', 'cv2'} & {*sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def break_mask(path):
    path.write_bytes(path.read_bytes()[:-25])


def drop(path):
    path.unlink()


def recolour(path):
    Image.open(path).convert("RGB").save(path)


def relabel(path):
    Image.fromarray(np.where(np.asarray(Image.open(path)) > 0, 9, 0).astype(np.uint8)).save(path)


def crop(path):
    Image.open(path).crop((0, 0, 15, 16)).save(path)


SPOILERS = {
    "unreadable-mask": break_mask,
    "missing-mask": drop,
    "rgb-mask": recolour,
    "label-out-of-range": relabel,
    "size-mismatch": crop,
}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(faults=st.lists(st.sampled_from([None, *SPOILERS]), min_size=6, max_size=6))
def test_each_spoiled_file_is_reported_once_under_its_fault(tmp_path_factory, faults):
    """Whatever is spoiled together: exactly the spoiled files are named, each by its fault."""
    root = tmp_path_factory.mktemp("set")
    expected: dict[str, set[str]] = {}
    for index, fault in enumerate(faults):
        image, mask = write_pair(root, "train", f"n{index}", index, 1 + index % 2)
        if fault:
            SPOILERS[fault](mask)
            named = image if fault in ("missing-mask", "size-mismatch") else mask
            expected.setdefault(fault, set()).add(str(named))
    findings = run_preflight(Config(config_dict(root)), ("train",))
    found = {f.code: set(f.files) for f in findings if f.severity == "fault"}
    assert found == expected


def test_every_kind_of_the_table_is_made_by_some_check():
    """A kind without a check would be a promise in the documentation that nothing keeps."""
    from pathlib import Path

    import seglab.data.preflight as package

    sources = sorted(Path(package.__file__).parent.glob("*.py"))
    text = "".join(path.read_text() for path in sources if path.name != "faults.py")
    assert [kind.code for kind in FAULTS if f'"{kind.code}"' not in text] == []


@pytest.mark.shared
def test_real_data_has_no_fault_and_the_one_known_doubt(shared_dir, tmp_path):
    cfg = Config(config_dict(tmp_path))
    for split in ("train", "val"):
        root = shared_dir / "data" / "pets_coco"
        cfg[f"{split}_dataloader"].dataset = dataset_dict(root, split)
    cfg.train_dataloader.batch_size = 8
    start = time.perf_counter()
    (finding,) = run_preflight(cfg)
    seconds = time.perf_counter() - start
    print(f"318 pairs in {seconds:.2f} s")
    assert finding.code == "conflicting-masks"
    assert [path.rpartition("/")[2] for path in finding.files] == [
        "000000481212_908.jpg",
        "000000481212_908_1.jpg",
    ]
    assert seconds < 3
