"""The journal: what is appended is read back, whatever happens to the process or the disk."""

import errno
import json
import math
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image as Pillow

from seglab.utils.errors import UserError
from seglab.utils.tracking import journal as journal_module
from seglab.utils.tracking.journal import (
    Artifact,
    Configuration,
    ConfusionMatrix,
    End,
    Image,
    Journal,
    JournalTail,
    Parameters,
    Scalar,
    Script,
    SingleValue,
    Start,
    Table,
    Text,
    is_finished,
    read_journal,
)

EVERY_KIND = (
    Start("project/sub", "H1 run", "training", ("H1", "кошка"), "comment", time=1.5),
    Parameters("optimizer", {"lr": 0.1, "nested": {"a": [1, None, True]}}, time=2.5),
    Configuration("config", "a = 1\nb = 'ü'\n", time=3.5),
    Script("https://host/r.git", "main", "abc", "--- a\n+++ b\n", "src", "train.py", time=4.5),
    Scalar("val/Dice", "dog", 81.25, 7, time=5.5),
    SingleValue("mDice", 80.125, time=6.5),
    Table("classes", "val", 7, ("class", "Dice"), (("dog", 1.5), ("cat", None)), time=7.5),
    ConfusionMatrix("pixels", "val", 7, ("a", "b"), ((3.0, 1.0), (0.0, 2.0)), time=8.5),
    Image("best", "1", 7, "best/1.png", time=9.5),
    Artifact("model", "best.pth", {"epoch": "7"}, time=10.5),
    Text("line\nand another \u2028 one", time=11.5),
    End("finished", time=12.5),
)


def add(folder, *entries):
    journal = Journal(folder)
    assert journal.add(*entries)
    journal.close()


def test_every_kind_of_entry_is_read_back_as_it_was(folder):
    add(folder, *EVERY_KIND)
    assert tuple(read_journal(folder)) == EVERY_KIND


def test_an_entry_is_stamped_with_the_time_of_its_making():
    before = time.time()
    assert before <= Text("x").time <= time.time()


def test_numbers_of_numpy_are_plain_numbers(folder):
    add(
        folder,
        Scalar("a", "a", np.float32(0.5), np.int64(3), time=1),
        Scalar("b", "b", np.array(0.25), 4, time=2),
        Table("t", "s", 0, ("n",), ((np.float64(2.5),),), time=3),
    )
    assert read_journal(folder) == [
        Scalar("a", "a", 0.5, 3, time=1),
        Scalar("b", "b", 0.25, 4, time=2),
        Table("t", "s", 0, ("n",), ((2.5,),), time=3),
    ]


def test_numbers_that_are_none_are_left_out(folder):
    add(
        folder,
        Scalar("a", "a", math.nan, 1),
        Scalar("a", "a", math.inf, 2),
        Scalar("a", "a", 1.0, 3),
        SingleValue("b", -math.inf),
        ConfusionMatrix("c", "c", 0, ("x", "y"), ((1, math.nan), (0, 1))),
    )
    scalar, matrix = read_journal(folder)
    assert scalar.step == 3
    assert matrix.matrix[0][0] == 1
    assert math.isnan(matrix.matrix[0][1])


def test_secrets_never_reach_the_journal(folder):
    add(
        folder,
        Script(
            "https://me:s3cr3t@host/r.git", "main", "abc", "+API_KEY = 's3cr3t'", "", "train.py"
        ),
        Parameters(
            "command", {"line": "train.py --token=s3cr3t --lr 1", "db": {"password": "s3cr3t"}}
        ),
        Configuration("config", "secret: s3cr3t\nurl = 'https://s3cr3t@host'"),
        Text("Authorization: Bearer s3cr3t-s3cr3t"),
        Start("p", "n", "training", (), "curl -H 'x' https://u:s3cr3t@h"),
    )
    assert "s3cr3t" not in (folder / "journal.jsonl").read_text()
    script, command, *_ = read_journal(folder)
    assert script.repository == "https://host/r.git"
    assert command.values["line"] == "train.py --token=*** --lr 1"


def test_a_torn_last_line_is_left_out_and_then_cut(folder):
    add(folder, Text("whole", time=1))
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    for torn in (b'{"kind": "te', b"\0" * 100_000, b"x" * 70_000):
        path.write_bytes(whole + torn)
        assert read_journal(folder) == [Text("whole", time=1)]
    add(folder, Text("next", time=2))
    assert read_journal(folder) == [Text("whole", time=1), Text("next", time=2)]


def test_a_journal_that_is_one_torn_line_becomes_empty(folder):
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(b'{"kind"')
    Journal(folder).close()
    assert (folder / "journal.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ('{"kind": "pickle"}', "`kind`"),
        ('{"kind": "text", "time": 1}', "wrong keys for text: text"),
        ('{"kind": "text", "text": "a", "time": 1, "x": 1}', "wrong keys for text: x"),
        ('{"kind": "text", "text": 3, "time": 1}', "`text` is not str"),
        ('{"kind": "text", "text": "a", "time": NaN}', "`time` is not float"),
        ('{"kind": "end", "status": "great", "time": 1}', "`status`"),
        ('{"kind": "scalar", "title": "a", "series": "b", "value": "1", "step": 1, "time": 1}',
         "`value` is not float"),
        ('{"kind": "scalar", "title": "a", "series": "b", "value": 1, "step": 1.5, "time": 1}',
         "`step` is not int"),
        ('{"kind": "table", "title": "a", "series": "b", "step": 1, "columns": ["x"],'
         ' "rows": [[1, 2]], "time": 1}', "as long as `columns`"),
        ('{"kind": "confusion_matrix", "title": "a", "series": "b", "step": 1, "classes": ["x"],'
         ' "matrix": [[1, 2]], "time": 1}', "`matrix`"),
    ],
)  # fmt: skip
def test_damage_is_told_with_its_line(folder, line, why):
    add(folder, Text("a"))
    with (folder / "journal.jsonl").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(UserError) as error:
        read_journal(folder)
    assert f"{folder / 'journal.jsonl'}, line 2" in error.value.message
    assert why in error.value.message


@pytest.mark.parametrize(
    "file", ["../../.ssh/id_rsa", "/etc/passwd", "a/../../b", "", "C:\\x", "a\\..\\b"]
)
def test_a_file_outside_the_run_is_refused(folder, file):
    add(folder, Artifact("a", file))
    with pytest.raises(UserError, match="not a path inside the run's folder"):
        read_journal(folder)


@pytest.mark.parametrize(
    "entry",
    [
        Start("../../../home", "n", "training"),
        Start("p", "..", "training"),
        Artifact("../../x", "a"),
        Image("..", "..", 0, "a.png"),
        Image("a\\..", "b", 0, "a.png"),
    ],
)
def test_a_name_that_climbs_out_of_the_session_is_refused(folder, entry):
    add(folder, entry)
    with pytest.raises(UserError, match="cannot be the name of a folder"):
        read_journal(folder)


def test_no_journal_is_told(folder):
    with pytest.raises(UserError, match="holds no journal.jsonl"):
        read_journal(folder)


def test_a_resumed_run_is_not_finished():
    start, end = Start("p", "n", "training"), End("failed")
    assert not is_finished([])
    assert not is_finished([start, Text("a")])
    assert is_finished([start, Text("a"), end, Text("late")])
    assert not is_finished([start, end, start])


def test_the_tail_reads_each_entry_once_and_only_whole_ones(folder):
    tail = JournalTail(folder)
    assert tail.read_new() == []
    add(folder, Text("a", time=1))
    assert tail.read_new() == [Text("a", time=1)]
    assert tail.read_new() == []
    path = folder / "journal.jsonl"
    with path.open("ab") as stream:
        stream.write(path.read_bytes()[:10])
    assert tail.read_new() == []
    add(folder, Text("b", time=2))  # cuts what is torn
    assert tail.read_new() == [Text("b", time=2)]
    assert tail.lines == 2


def test_two_journals_and_many_threads_share_a_file(folder):
    long = "x" * 20_000

    def work(name):
        journal = Journal(folder)
        for step in range(50):
            journal.add(Scalar(name, "a", step, step), Text(long))
        journal.close()

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = read_journal(folder)
    assert len(entries) == 400
    for number in range(4):
        steps = [e.step for e in entries if isinstance(e, Scalar) and e.title == str(number)]
        assert steps == list(range(50))


def test_entries_are_added_in_one_write(folder, monkeypatch):
    journal = Journal(folder)
    written = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda h, data: written.append(data) or write(h, data))
    journal.add(Text("a"), Text("b" * 1_000_000), Text("c"))
    assert len(written) == 1


def test_a_kill_in_mid_run_keeps_all_that_was_added(folder):
    program = (
        "import os, sys; from pathlib import Path\n"
        "from seglab.utils.tracking.journal import Journal, Scalar\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for step in range(200): journal.add(Scalar('a', 'a', step, step))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    child = subprocess.run([sys.executable, "-c", program, str(folder)], check=False)
    assert child.returncode == -9
    assert [entry.step for entry in read_journal(folder)] == list(range(200))


def test_a_full_disk_costs_entries_and_one_warning(folder, monkeypatch, caplog):
    journal = Journal(folder)
    assert journal.add(Text("before", time=1))
    write = os.write
    # Half of the line fits, as it does on a disk that has just become full.
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[: len(data) // 2]))
    assert not journal.add(Text("lost"))
    assert not journal.add(Text("short", time=1), Text("long" * 100))  # its first line fits
    monkeypatch.setattr(os, "write", write)
    assert journal.add(Text("after", time=2))
    assert read_journal(folder) == [
        Text("before", time=1),
        Text("short", time=1),
        Text("after", time=2),
    ]
    assert len(caplog.records) == 1
    assert os.strerror(errno.ENOSPC) in caplog.text


def test_a_folder_that_cannot_be_made_costs_the_journal_only(tmp_path, caplog):
    (tmp_path / "run").write_text("a file")
    journal = Journal(tmp_path / "run" / "tracking")
    assert not journal.add(Text("a"))
    assert not journal.add_image("a", "b", 0, np.zeros((2, 2, 3), np.uint8))
    journal.close()
    assert len(caplog.records) == 1


def test_a_closed_journal_takes_nothing_more(folder):
    journal = Journal(folder)
    journal.close()
    journal.close()
    assert not journal.add(Text("late"))


def test_an_image_is_kept_pixel_by_pixel(folder):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    journal = Journal(folder)
    assert journal.add_image("best", "cats/1", 3, image[:, ::-1])
    assert journal.add_image("best", "cats_1", 3, image)
    first, second = read_journal(folder)
    assert (first.title, first.series, first.step) == ("best", "cats/1", 3)
    assert first.file != second.file
    assert (np.array(Pillow.open(folder.parent / first.file)) == image[:, ::-1]).all()
    assert (np.array(Pillow.open(folder.parent / second.file)) == image).all()


def test_a_path_that_is_no_unicode_does_not_break_the_journal(folder):
    add(folder, Text("file \udcff.png", time=1))
    assert read_journal(folder) == [Text("file ?.png", time=1)]


def test_a_line_is_json_that_any_program_reads(folder):
    add(folder, Scalar("loss", "loss", 0.5, 1, time=2.0))
    line = json.loads((folder / journal_module.JOURNAL_FILE).read_text())
    assert line == {
        "kind": "scalar", "title": "loss", "series": "loss", "value": 0.5, "step": 1, "time": 2.0,
    }  # fmt: skip


def test_a_journal_that_is_a_link_leads_nowhere(tmp_path, caplog):
    precious = tmp_path / "precious"
    precious.write_bytes(b"first line\nsecond, without an end")
    (tmp_path / "tracking").mkdir()
    (tmp_path / "tracking" / "journal.jsonl").symlink_to(precious)
    journal = Journal(tmp_path / "tracking")
    assert not journal.add(Text("x"))
    assert precious.read_bytes() == b"first line\nsecond, without an end"
    assert "cannot be written" in caplog.text
