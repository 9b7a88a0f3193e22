"""Text from runs stays text, in Markdown and in HTML."""

import html
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from seglab.analysis.report import markdown as md

HOSTILE = [
    "<script>alert(1)</script>",
    "](javascript:alert(1))",
    "![x](javascript:alert(1))",
    "[a][b] *bold* _under_ `code` ~~gone~~",
    "a|b\\|c",
    "\\",
    "`` ` ``",
    "# heading",
    "1. list",
    "12) list",
    "- list",
    "+ list",
    "=====",
    "-----",
    "&lt;&amp;&#60;",
    '"><img src=x onerror=alert(1)>',
    "http://example.org www.example.org me@example.org",
    "line\nbreak\r\n\r\n# other",
    "\x00\x1b[31m\u202eabc",
    "$x$ and $$y$$",
    "_x_ a_b __init__",
    "<https://example.org>",
    "    indented",
]
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(
    alphabet="*_`[]()<>!|\\#&;~-+=.123 ab\n", max_size=25
)


class Reader(HTMLParser):
    """The tags and the text of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


def render(text: str) -> Reader:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return read(parser.render(text))


def seen(text: str) -> str:
    """What a reader is meant to see: every character, hidden ones by their number."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return "".join(
        f"U+{ord(c):04X}" if unicodedata.category(c) in hidden else c
        for c in " ".join(text.split())
    )


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", ["{}", "- {}", "1. {}", "words {} words", "**{}**", "# {}"])
def test_hostile_text_makes_no_markup(text: str, place: str) -> None:
    plain = render(place.format("x"))
    got = render(place.format(md.escape(text)))
    assert [tag for tag in got.tags if tag != "strong"] == [
        tag for tag in plain.tags if tag != "strong"
    ]


@settings(max_examples=400, deadline=None)
@given(TEXT)
@example("1.")
@example("-")
@example("a\\")
def test_any_text_is_read_as_it_is(text: str) -> None:
    got = render(f"{md.escape(text)}")
    assert set(got.tags) <= {"p"}
    assert " ".join("".join(got.text).split()) == " ".join(seen(text).split())


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_a_cell_is_one_cell(first: str, second: str) -> None:
    got = render(md.table(["a", "b"], [[first, second]]))
    assert got.tags.count("td") == 2
    assert set(got.tags) == {"table", "thead", "tbody", "tr", "th", "td"}


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="`~\n ab<", max_size=30))
def test_a_code_block_holds_exactly_the_text(text: str) -> None:
    markup = MarkdownIt("commonmark", {"html": False}).render(md.code_block(text) + "\n\nafter")
    found = re.fullmatch(
        r"<pre><code>(.*)\n</code></pre>\n<p>after</p>\n", markup.replace("\r", ""), re.S
    )
    assert found
    assert html.unescape(found[1]) == text


@pytest.mark.parametrize("text", ["-1.23", "+1.23", "3.5 of 4", "1e-3", "84.12 %", "120 images"])
def test_numbers_are_left_alone(text: str) -> None:
    assert md.escape(text) == text


def test_long_text_is_cut_in_its_middle() -> None:
    shown = md.escape("a" * 50 + "b" * 50, limit=20)
    assert shown == "a" * 10 + " ... " + "b" * 10


def test_prose_is_not_escaped_twice() -> None:
    assert md.escape(md.escape("a*b")) == md.escape("a*b") == r"a\*b"
    assert md.bold("a*b") == r"**a\*b**"


def test_a_slug_is_githubs() -> None:
    assert md.slug("3.1 H2: Class weights (a_b)?") == "31-h2-class-weights-a_b"


def test_words_are_joined() -> None:
    assert md.join_words(["a"]) == "a"
    assert md.join_words(["a", "b|", "c"]) == r"a, b\| and c"
    assert md.join_words([]) == ""
