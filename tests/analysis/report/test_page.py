"""The HTML page: complete in itself, and nothing of a run's text acts in it."""

import base64
import io
import re

import pytest
from PIL import Image

from seglab.analysis.report import markdown as md
from seglab.analysis.report.page import render_page


def png(width: int = 7, height: int = 3) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (200, 20, 30)).save(stream, "PNG")
    return stream.getvalue()


def test_a_picture_is_inside() -> None:
    data = png()
    page = render_page(md.figure("files/a.png", 'a "caption" <b>'), "t", {"files/a.png": data})
    found = re.search(
        r'src="data:image/png;base64,([^"]+)" width="7" height="3" alt="([^"]*)"', page
    )
    assert found
    assert base64.b64decode(found[1]) == data
    assert found[2] == "a &quot;caption&quot; &lt;b&gt;"
    assert "<p><figure" not in page
    assert page.count("<figcaption>") == 1


def test_a_missing_picture_is_an_error() -> None:
    with pytest.raises(KeyError):
        render_page(md.figure("files/a.png", "a"), "t", {})


def test_headings_have_anchors_that_links_find() -> None:
    text = "\n\n".join(
        [
            "[to](#the-end-1)",
            md.heading(2, "The end"),
            md.heading(2, "The end"),
            md.heading(3, 'x" onload="y'),
        ]
    )
    page = render_page(text, "t", {})
    assert re.findall(r'id="([^"]+)"', page) == ["the-end", "the-end-1", "x-onloady"]
    assert 'href="#the-end-1"' in page


def test_the_page_reaches_for_nothing() -> None:
    page = render_page("# Title\n\nwords", "a <title>", {})
    assert "<title>a &lt;title&gt;</title>" in page
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|@import|url\(|https?://", page)
    assert "@page" in page
    assert "@media print" in page


def test_tables_scroll_by_themselves() -> None:
    page = render_page(md.table(["a", "b"], [["x", 1]]), "t", {})
    assert '<div class="table"><table>' in page
    assert 'style="text-align:right"' in page


def test_raw_html_is_text() -> None:
    page = render_page("<script>alert(1)</script>\n\n[x](javascript:alert(1))", "t", {})
    assert "<script" not in page
    assert "javascript:alert(1))" not in re.sub(r">[^<]*<", "><", page)
