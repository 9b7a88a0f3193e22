from __future__ import annotations

import runpy
import string

import pytest

from seglab.data.preflight.faults import FAULTS, describe_kinds, make_finding


def test_codes_are_unique_kebab_case_and_every_kind_has_a_fix():
    codes = [kind.code for kind in FAULTS]
    assert len(set(codes)) == len(codes)
    for kind in FAULTS:
        assert set(kind.code) <= {*string.ascii_lowercase, *string.digits, "-"}
        assert kind.severity in ("fault", "doubt")
        assert kind.message
        assert kind.fix


def test_table_has_one_row_of_four_cells_for_each_kind():
    rows = describe_kinds().splitlines()[2:]
    assert len(rows) == len(FAULTS)
    for kind, row in zip(FAULTS, rows, strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells == [
            f"`{kind.code}`",
            "stops" if kind.severity == "fault" else "warns",
            kind.message,
            kind.fix,
        ]


def test_module_prints_the_table(capsys):
    runpy.run_module("seglab.data.preflight", run_name="__main__")
    assert capsys.readouterr().out.endswith(describe_kinds())


@pytest.mark.parametrize(
    ("number", "listing"),
    [(1, "(1): f0"), (5, "(5): f0, f1, f2, f3, f4"), (42, "(42): f0, f1, f2, f3, f4 and 37 more")],
)
def test_long_lists_are_cut_in_the_message_but_not_in_files(tmp_path, number, listing):
    names = [f"f{index}" for index in range(number)]
    files = [tmp_path / name for name in names]
    finding = make_finding("unreadable-image", files, names, split="train")
    assert finding.message.endswith(listing)
    assert finding.files == tuple(str(path) for path in files)
