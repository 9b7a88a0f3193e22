"""The audit's page in a real browser: ticks, reasons, the list they download."""

import base64
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seglab.data import audit
from seglab.data.auditing.components import Region
from seglab.data.auditing.page import _outline
from seglab.data.auditing.ranking import Verdict
from seglab.utils.bad_masks import read_bad_masks

BOX, TEXT = "section input[type=checkbox]", "section input[type=text]"


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Five masks, one with a name that HTML and JSON have to escape; root and output folder."""
    root = tmp_path_factory.mktemp("audit")
    for folder in ("img/train", "labels/train"):
        (root / "data" / folder).mkdir(parents=True)
    random = np.random.default_rng(0)
    for index, name in enumerate(["a", "b", "c", "d", "<!--<script><b>'é&"]):
        mask = np.zeros((40, 40), np.uint8)
        mask[5:20, 5:20] = 1
        mask[30, 3 : 6 * index : 3] = 1  # specks: a different number in each
        noise = random.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / f"data/img/train/{name}.jpg")
        Image.fromarray(mask).save(root / f"data/labels/train/{name}.png")
    command = ["--data-root", str(root / "data"), "--output-dir", str(root / "out"), "--shown", "4"]
    assert audit.main(command) == 0
    return root / "data", root / "out"


def click(browser: Any, selector: str, number: int = 0) -> None:
    browser.run(f"document.querySelectorAll('{selector}')[{number}].click()")


def download(browser: Any, folder: Path) -> Path:
    browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    click(browser, "#download")
    wanted = folder / "bad_mask_paths.json"
    end = time.monotonic() + 20
    while not wanted.exists():
        assert time.monotonic() < end, list(folder.iterdir())
        time.sleep(0.05)
    return wanted


def test_ticks_reasons_reload_and_download(
    audited: tuple[Path, Path], browser: Any, tmp_path: Path
) -> None:
    root, out = audited
    ranking = json.loads((out / "audit.json").read_text())["ranking"]
    page = (out / "audit.html").as_uri()
    browser.open(page)
    assert browser.run("document.getElementById('count').textContent") == "0 of 4 ticked"
    assert browser.run("document.getElementById('download').disabled")
    assert browser.run("getComputedStyle(document.getElementById('bar')).position") == "sticky"
    click(browser, BOX, 2)
    # The keyboard alone: space ticks the box that has the focus, Tab goes on to the reason.
    browser.run(f"document.querySelectorAll('{BOX}')[0].focus()")
    browser.press(" ", 32, " ")
    browser.press("Tab", 9)
    browser.send("Input.insertText", text='the "dog" </script> is é')
    browser.open(page)
    assert browser.run("document.getElementById('count').textContent") == "2 of 4 ticked"
    masks = read_bad_masks(download(browser, tmp_path), root)
    assert [m.path for m in masks] == [ranking[0]["mask"], ranking[2]["mask"]]
    assert [m.tagged_by for m in masks] == ["person", "person"]
    assert masks[0].reason == 'the "dog" </script> is é'
    assert masks[1].reason == "; ".join(ranking[2]["reasons"])
    assert [m.score for m in masks] == [ranking[0]["score"], ranking[2]["score"]]
    assert (root / str(masks[0].image)).is_file()


def test_ticks_of_masks_that_a_shorter_page_leaves_out_are_kept(
    audited: tuple[Path, Path], browser: Any, tmp_path: Path
) -> None:
    """Audited again with fewer masks on the page: what was ticked before is not lost."""
    root, out = audited
    page = tmp_path / "audit.html"  # one address: browsers keep ticks by address
    page.write_bytes((out / "audit.html").read_bytes())
    browser.open(page.as_uri())
    click(browser, BOX, 3)
    command = ["--data-root", str(root), "--output-dir", str(tmp_path), "--shown", "2"]
    assert audit.main(command) == 0
    browser.open(page.as_uri())
    click(browser, BOX, 0)
    click(browser, BOX, 1)
    click(browser, BOX, 1)  # taken back
    page.write_bytes((out / "audit.html").read_bytes())
    browser.open(page.as_uri())
    ticked = f"[...document.querySelectorAll('{BOX}')].map((box) => box.checked)"
    assert browser.run(ticked) == [True, False, False, True]


def test_tick_the_first_and_untick_all(audited: tuple[Path, Path], browser: Any) -> None:
    browser.open((audited[1] / "audit.html").as_uri())
    ticked = f"[...document.querySelectorAll('{BOX}')].map((box) => box.checked)"
    browser.run("document.getElementById('number').value = 2")
    click(browser, "#first")
    assert browser.run(ticked) == [True, True, False, False]
    for odd in ("", "-3", "1e9", "2.9"):
        click(browser, "#none")
        assert not any(browser.run(ticked))
        browser.run(f"document.getElementById('number').value = '{odd}'")
        click(browser, "#first")
        assert sum(browser.run(ticked)) == {"": 0, "-3": 0, "1e9": 4, "2.9": 2}[odd]


def test_a_damaged_memory_is_no_harm(audited: tuple[Path, Path], browser: Any) -> None:
    page = (audited[1] / "audit.html").as_uri()
    browser.open(page)
    for kept in ("{", "null", "[]", '{"labels/train/a.png": 3}'):
        browser.run(f"localStorage.setItem(page.key, {json.dumps(kept)})")
        browser.open(page)
        assert browser.run("document.getElementById('count').textContent") == "0 of 4 ticked"
        assert browser.run(f"[...document.querySelectorAll('{TEXT}')].every((t) => !t.value)")


def test_where_the_browser_forbids_memory_ticks_work(
    audited: tuple[Path, Path], browser: Any
) -> None:
    forbid = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }})"
    browser.send("Page.addScriptToEvaluateOnNewDocument", source=forbid)
    browser.open((audited[1] / "audit.html").as_uri())
    click(browser, BOX, 1)
    assert browser.run("document.getElementById('count').textContent") == "1 of 4 ticked"


def test_only_the_pages_own_script_and_style_are_allowed(
    audited: tuple[Path, Path], browser: Any, tmp_path: Path
) -> None:
    text = (audited[1] / "audit.html").read_text()
    policy = re.search(r'Policy" content="([^"]*)"', text).group(1)  # type: ignore[union-attr]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"https?://|<link|\son\w+=|\sstyle=", text)
    assert "<b>" not in text
    spoiled = tmp_path / "page.html"
    spoiled.write_text(text.replace("</body>", "<script>window.intruder = 1</script></body>"))
    browser.open(spoiled.as_uri())
    assert browser.run("window.intruder === undefined")
    assert browser.run("document.getElementById('count').textContent") == "0 of 4 ticked"
    # The style is allowed too: its colour arrives.
    assert browser.run("getComputedStyle(document.querySelector('.class1')).color") == (
        "rgb(230, 159, 0)"
    )


def test_regions_are_outlined_by_their_contour() -> None:
    ring = ((20, 20), (60, 20), (40, 60))
    large = Region("missing", (20, 20, 61, 61), 800, 1.0, 0.9, 0, 1, (ring,))
    tiny = Region("speck", (80, 80, 82, 82), 4, 1.0, 0.9, 1, 1, (((80, 80), (81, 81)),))
    plain = Region("speck", (5, 80, 30, 90), 4, 1.0, 0.9, 1, 1)
    verdict = Verdict("x.jpg", 0.5, {}, (), (large, tiny, plain))
    drawn = _outline(np.zeros((100, 100, 3), np.uint8), verdict).any(axis=2)
    assert drawn[20, 40]  # along the contour
    assert drawn[58:62, 40].any()
    assert not drawn[58:62, [20, 60]].any()  # the corners of its box
    assert not drawn[30:50, 40].any()  # its inside
    assert drawn[79, 79:83].all()  # a box around the speck
    assert drawn[79, 4:31].all()  # and where no contour is known


def pictures(page: Path) -> list[np.ndarray]:
    found = re.findall(r"data:image/jpeg;base64,([^\"]+)", page.read_text())
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def test_a_turned_photograph_is_shown_upright(tmp_path: Path) -> None:
    """Stored on its side, as telephones do; models and masks see it upright."""
    upright = np.zeros((60, 40, 3), np.uint8)
    upright[:30] = 255
    mask = np.zeros((60, 40), np.uint8)
    mask[5:25, 10:30], mask[40:50, 10:30] = 254, 1
    for folder in ("img/train", "labels/train"):
        (tmp_path / folder).mkdir(parents=True)
    stored = Image.fromarray(np.rot90(upright))
    tag = stored.getexif()
    tag[0x0112] = 6  # turn a quarter clockwise to see it
    stored.save(tmp_path / "img/train/x.jpg", quality=95, exif=tag)
    Image.fromarray(mask).save(tmp_path / "labels/train/x.png")
    command = ["--data-root", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert audit.main([*command, "--ignore-index", "254"]) == 0
    (picture,) = pictures(tmp_path / "out/audit.html")
    assert picture.shape == (60, 80, 3)
    assert picture[:28, :40].min() > 200
    assert picture[32:, :40].max() < 50
    red, green, blue = picture[45, 60]  # class 1 is orange
    assert red > green > blue + 20
    assert np.ptp(picture[15, 60].astype(int)) < 12  # ignored: grey


def test_large_photographs_are_shrunk_with_their_outlines(tmp_path: Path) -> None:
    mask = np.zeros((600, 2400), np.uint8)
    mask[100:200, 300:2300] = 1  # a sliver
    for folder in ("img/train", "labels/train"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (2400, 600)).save(tmp_path / "img/train/x.jpg")
    Image.fromarray(mask).save(tmp_path / "labels/train/x.png")
    assert audit.main(["--data-root", str(tmp_path), "--output-dir", str(tmp_path / "out")]) == 0
    (picture,) = pictures(tmp_path / "out/audit.html")
    assert picture.shape == (200, 1600, 3)
    rows, columns = np.nonzero(picture[:, :800, 0] > 120)  # the outline on the black photograph
    assert abs(rows.min() - 33) <= 2
    assert abs(rows.max() - 66) <= 2
    assert abs(columns.min() - 100) <= 2
    assert abs(columns.max() - 766) <= 2
