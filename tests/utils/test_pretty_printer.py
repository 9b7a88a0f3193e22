import io
import math

from seglab.utils.pretty_printer import (
    print_key_values,
    print_metrics,
    print_paragraphs,
    print_table,
)

NAMES = ("background", "cat", "[red]dog")
METRICS = {
    "aAcc": 96.109,
    "mDice": 90.006,
    "mIoU": 83.2,
    "mAcc": 88.8,
    "Dice/background": 98.994,
    "Dice/cat": 81.015001,
    "Dice/[red]dog": math.nan,
    "Precision/cat": 77.777,
    "Recall/cat": None,
    "classes/mDice": 2.0,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def printed(**options):
    stream = io.StringIO()
    print_metrics(METRICS, NAMES, stream=stream, **options)
    return stream.getvalue()


def row_of(text, start):
    (line,) = [line for line in text.splitlines() if line.strip("│ ").startswith(start)]
    return [cell.strip() for cell in line.strip("│ \n").split("│")]


def test_every_figure_in_its_place():
    text = printed()
    header = [cell.strip() for cell in text.splitlines()[1].strip("┃").split("┃")]
    assert header == ["class", "Dice", "IoU", "Acc", "Precision", "Recall"]
    assert row_of(text, "background") == ["background", "98.99", "-", "-", "-", "-"]
    assert row_of(text, "cat") == ["cat", "81.02", "-", "-", "77.78", "-"]
    assert row_of(text, "mean") == ["mean", "90.01", "83.20", "88.80", "-", "-"]
    assert "pixel accuracy (aAcc) 96.11" in text
    assert "over 2 of 3 classes" in text


def test_class_names_are_not_markup_and_nan_is_a_dash():
    assert row_of(printed(), "[red]dog")[:2] == ["[red]dog", "-"]


def test_prefix():
    stream = io.StringIO()
    print_metrics({"val/mDice": 12.345}, NAMES, prefix="val/", stream=stream)
    assert row_of(stream.getvalue(), "mean")[1] == "12.35"


def test_plain_and_complete_when_not_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    names = ("a class name that is far wider than twenty columns" * 3,)
    stream = io.StringIO()
    print_metrics({f"Dice/{names[0]}": 50.0}, names, "title", stream=stream)
    assert "\x1b" not in stream.getvalue()
    assert row_of(stream.getvalue(), "a class")[:2] == [names[0], "50.00"]


def test_colours_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    print_metrics(METRICS, NAMES, stream=stream)
    assert "\x1b[1m" in stream.getvalue()


def test_key_values_align_and_long_paths_stay_whole():
    path = "experiments/" + "x" * 200
    stream = io.StringIO()
    print_key_values("Run [1]", {"checkpoint": path, "n": 3}, stream)
    lines = stream.getvalue().splitlines()
    assert lines == ["Run [1]", f"  checkpoint  {path}", "  n           3"]


def test_key_values_of_nothing():
    stream = io.StringIO()
    print_key_values("Run", {}, stream)
    assert stream.getvalue() == "Run\n"


def test_a_table_marks_what_stands_out_and_reads_nothing_as_markup():
    stream = io.StringIO()
    rows = [[("[red]a", False), ("1.00\n[0 to 2]", True)], [("b", False), ("0.50", False)]]
    print_table("title", ["name", "[figure]"], rows, stream)
    text = stream.getvalue()
    assert text.startswith("title") and "[figure]" in text and "\x1b" not in text
    assert row_of(text, "[red]a") == ["[red]a", "*1.00"]
    assert row_of(text, "b") == ["b", "0.50"] and "[0 to 2]" in text
    stream = io.StringIO()
    print_table("", ["name", "figure"], rows, stream)
    assert stream.getvalue().startswith("┏")


def test_paragraphs_are_indented_and_wrap_in_a_terminal_only():
    text = "word " * 60
    for stream, lines in ((io.StringIO(), 2), (Terminal(), 5)):
        print_paragraphs("[b]notes", [text.strip()], stream)
        found = stream.getvalue().rstrip().splitlines()
        assert "[b]notes" in found[0] and len(found) == lines
        assert all(line.startswith("    word") for line in found[1:])
    stream = io.StringIO()
    print_paragraphs("notes", [], stream)
    assert stream.getvalue() == ""


def test_a_name_gives_the_terminal_no_orders() -> None:
    stream = Terminal()
    name = "\x1b]0;owned\x07cat"
    print_metrics({}, [name], title=name, stream=stream)
    print_key_values(name, {"file": name}, stream)
    print_table(name, [name], [[(name, False)]], stream)
    print_paragraphs(name, [name], stream)
    assert "\x07" not in stream.getvalue() and stream.getvalue().count(r"\x1b]0;owned") >= 8
