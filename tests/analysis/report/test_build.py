"""The whole report: complete, made of looked-up figures, safe, atomic."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seglab.analysis.report.build import parents_first
from seglab.analysis.report.context import Pictures
from seglab.utils.errors import UserError
from seglab.utils.image_results import (
    ImageResults,
    load_results,
    published_metrics,
    save_results,
    write_per_image_csv,
)

MakeRun = Callable[..., Path]
Report = Callable[..., Any]
CHAPTERS = ["Summary", "Contents", "Words used", "Data", "Hypothesis H1", "Hypothesis H2"]
CHAPTERS += ["Hypothesis H3", "Comparison", "Chosen model and why", "Typical errors"]
CHAPTERS += ["Next steps", "How it was made"]
TAGS = {"html", "head", "meta", "title", "style", "body", "main", "div", "p", "ul", "li", "a"}
TAGS |= {"h1", "h2", "h3", "h4", "strong", "pre", "code", "blockquote"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td", "figure", "img", "figcaption"}


class Page(HTMLParser):
    """Tags, attributes and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def set_results(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change a run's matrices, and everything that is computed from them."""
    tested = folder / "test_val"
    old = load_results(tested / "image_results.npz")
    results = ImageResults(
        old.sample_ids, old.classes, change(old.matrices), old.boundary, old.calibration
    )
    save_results(tested / "image_results.npz", results)
    write_per_image_csv(tested / "per_image.csv", results)
    content = json.loads((tested / "test_metrics.json").read_text())
    metrics = published_metrics(results)
    content["metrics"] = {k: None if np.isnan(v) else v for k, v in metrics.items()}
    (tested / "test_metrics.json").write_text(json.dumps(content))


def metrics_of(folder: Path) -> dict[str, float]:
    content = json.loads((folder / "test_val" / "test_metrics.json").read_text())
    return dict(content["metrics"])


def test_it_is_complete(report: Report, family: list[Path], tmp_path: Path) -> None:
    written = report(family, drawn=True, title="Cats & dogs")
    assert written.text.startswith("# Cats &amp; dogs\n")
    headings = re.findall(r"^## (?:\d+\. )?(.+)$", written.text, re.M)
    assert headings == CHAPTERS
    named = set(re.findall(r"\]\((practicum_report_files/[^)]+)\)", written.text))
    there = {f"practicum_report_files/{path.name}" for path in written.files.pictures.iterdir()}
    assert named == there and len(named) == 7
    assert written.page.count("data:image/png;base64,") == 7
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "practicum_report.html",
        "practicum_report.md",
        "practicum_report_files",
    ]
    page = Page(written.page)
    ids = {value for _, name, value in page.attributes if name == "id"}
    links = {value for _, name, value in page.attributes if name == "href"}
    assert links == {f"#{name}" for name in ids & {link[1:] for link in links}} and len(links) == 11
    assert (written.files.pictures.stat().st_mode & 0o777) & 0o500 == 0o500


def test_the_same_runs_give_the_same_report(
    report: Report, family: list[Path], tmp_path: Path
) -> None:
    first = report(family[:1], output_dir=tmp_path / "a", drawn=True)
    second = report(family[:1], output_dir=tmp_path / "b", drawn=True)
    assert (first.text, first.page) == (second.text, second.page)


def test_every_mdice_is_the_metrics_files(
    report: Report, family: list[Path], tables: Callable[[str], list[Any]]
) -> None:
    text = report(family).text
    expected = {
        name: f"{metrics_of(folder)['mDice']:.2f}"
        for name, folder in zip(("H1", "H2", "H3"), family, strict=True)
    }
    found = tables(text)
    glance = next(table for table in found if table.heading == "At a glance")
    assert glance.column("mDice %") == expected
    choice = next(table for table in found if table.heading.endswith("Chosen model and why"))
    assert choice.column("mDice %") == expected
    for name, value in expected.items():
        section = text.split(f"Hypothesis {name}\n")[1].split("\n## ")[0]
        overall = next(table for table in tables(section) if table.heading == "Figures")
        assert overall.column("value")["mDice"] == f"{value} %"
    # The tables of all figures and of the pairs, number by number.
    together = next(table for table in found if table.header == ["figure", "H1", "H2", "H3"])
    for name, folder in zip(("H1", "H2", "H3"), family, strict=True):
        metrics = metrics_of(folder)
        assert together.column(name) == {
            key: f"{metrics[key]:.2f}" for key in together.column(name)
        }
        for pair in (table for table in found if " against " in table.heading):
            if name in pair.header:
                shown = pair.column(name)
                assert shown == {key: f"{metrics[key]:.2f}" for key in shown}


def test_the_best_figures_are_bold(
    report: Report, family: list[Path], tables: Callable[[str], list[Any]]
) -> None:
    found = tables(report(family).text)
    glance = next(table for table in found if table.heading == "At a glance")
    assert [row[0] for row in glance.rows if "**" in row[2]] == ["H2"]
    together = next(table for table in found if table.header == ["figure", "H1", "H2", "H3"])
    for row in together.rows:
        values = [float(cell.strip("*")) for cell in row[1:]]
        assert [cell.startswith("**") for cell in row[1:]] == [v == max(values) for v in values]


def test_how_a_run_was_made(
    report: Report,
    family: list[Path],
    tables: Callable[[str], list[Any]],
    edit: Callable[..., None],
) -> None:
    def facts() -> dict[str, str]:
        text = report(family[:1]).text
        return dict(next(t for t in tables(text) if t.header == ["fact", "value"]).column("value"))

    provenance = json.loads((family[0] / "test_val" / "provenance.json").read_text())
    record = json.loads((family[0] / "run.json").read_text())
    shown = facts()
    assert shown["checkpoint, SHA-256"] == provenance["checkpoint_sha256"]
    assert shown["config, SHA-256"] == provenance["config_sha256"]
    assert shown["val masks, SHA-256"] == provenance["data"]["labels"]
    assert shown["training images, SHA-256"] == record["data"]["train"]["images_sha256"]
    assert shown["best epoch"] == str(record["best"]["epoch"])
    assert (shown["training seed"], shown["start"]) == ("0", "random weights")
    assert shown["Python and packages"] == "Python 3.11.7, seglab 0.1.0, torch 2.13.0+cpu"
    edit(family[0] / "run.json", lambda c: c.update(pretrained_backbone="net"))
    assert facts()["start"] == "pretrained backbone: net"
    edit(family[0] / "run.json", lambda c: c.update(load_from="other.pth"))
    assert facts()["start"] == "the checkpoint other.pth"


def test_every_other_figure_of_a_hypothesis_is_the_metrics_files(
    report: Report, family: list[Path], tables: Callable[[str], list[Any]]
) -> None:
    text, metrics = report(family).text, metrics_of(family[2])
    section = text.split("Hypothesis H3\n")[1].split("\n## ")[0]
    overall, classes = (table for table in tables(section) if table.heading == "Figures")
    values = overall.column("value")
    assert set(values) >= {"mIoU", "aAcc", "mBoundaryIoU", "mHD95", "ECE", "image_mean/mDice"}
    for key, shown in values.items():
        unit = "px" if "HD95" in key else "%"
        assert shown == f"{metrics[key]:.2f} {unit}"
    for name in ("IoU", "Precision", "Recall", "BoundaryIoU", "NSD"):
        for class_name, shown in classes.column(f"{name} %").items():
            value = metrics.get(f"{name}/{class_name}")
            assert shown == ("–" if value is None else f"{value:.2f}")  # noqa: RUF001


def test_other_matrices_give_another_report(
    report: Report, family: list[Path], tmp_path: Path
) -> None:
    before = report(family).text
    old = metrics_of(family[2])

    def mend(matrices: np.ndarray) -> np.ndarray:
        return np.einsum("nij,jk->nik", matrices.sum(axis=2, keepdims=True), np.ones((1, 3))) * (
            np.eye(3)
        )

    set_results(family[2], lambda m: (mend(m) * 0.999).astype(np.int64) + m // 1000)
    after, new = report(family).text, metrics_of(family[2])
    assert new["mDice"] > 99 > old["mDice"]
    assert "**H2** scores highest" in before and "**H3** scores highest" in after
    assert "Chosen: **H2**" in before and "Chosen: **H3**" in after
    for key in ("mDice", "mIoU", "aAcc", "Dice/cat", "Dice/dog", "IoU/cat", "Recall/dog"):
        was, now = f"{old[key]:.2f}", f"{new[key]:.2f}"
        section = "Hypothesis H3\n"
        assert was in before.split(section)[1].split("\n## ")[0]
        assert was not in after.split(section)[1].split("\n## ")[0]
        assert now in after.split(section)[1].split("\n## ")[0]
    # Every place that spoke of H3 by its old mDice speaks of the new one.
    assert before.count(f"{old['mDice']:.2f}") >= 4
    assert f"{old['mDice']:.2f}" not in after
    assert after.count(f"{new['mDice']:.2f}") >= before.count(f"{old['mDice']:.2f}")


BAD = '<script>alert(1)</script> ](javascript:alert(2)) |a| "onload=alert(3) *b* `c` <b>d</b> &lt;e'


def make_hostile(make_run: MakeRun, folder: Path, identifier: str, **options: Any) -> Path:
    """A run whose every text is hostile."""
    classes = ("back<i>ground", 'cat|"><img src=x onerror=alert(4)>', "](javascript:x) `dog`")
    stated = {"id": identifier, "question": BAD, "change": BAD, **options}
    run = make_run(folder, stated, classes=classes, skill=0.8)
    config = json.loads((run / "config.json").read_text())
    for split in ("train", "val", "test"):
        config[f"{split}_dataloader"]["dataset"]["metainfo"]["classes"] = list(classes)
    (run / "config.json").write_text(json.dumps(config))
    record = json.loads((run / "run.json").read_text())
    record |= {"config_file": BAD, "pretrained_backbone": BAD}
    record["sessions"][0]["command"] = ["seglab", "train", BAD, "```\n# x"]
    (run / "run.json").write_text(json.dumps(record))
    return run


def rename_samples(folder: Path) -> None:
    """Sample ids that are markup."""
    tested = folder / "test_val"
    results = load_results(tested / "image_results.npz")
    names = {name: f"{index:02d}{BAD}" for index, name in enumerate(results.sample_ids)}
    renamed = ImageResults(
        tuple(names.values()),
        results.classes,
        results.matrices,
        results.boundary,
        results.calibration,
    )
    save_results(tested / "image_results.npz", renamed)
    provenance = json.loads((tested / "provenance.json").read_text())
    files = provenance["data"]["files"]
    provenance["data"]["files"] = {names[name]: hashes for name, hashes in files.items()}
    (tested / "provenance.json").write_text(json.dumps(provenance))


def test_hostile_texts_stay_texts(report: Report, make_run: MakeRun, tmp_path: Path) -> None:
    bad_id = "H2<script>|](javascript:x)"
    folders = [
        make_hostile(make_run, tmp_path / "a", "H1"),
        make_hostile(make_run, tmp_path / "b", bad_id, parent="H1", expects={"mDice": "+"}),
    ]
    for folder in folders:
        rename_samples(folder)
    written = report(folders, title=BAD, drawn=True)
    page = Page(written.page)
    assert page.tags <= TAGS
    for tag, name, value in page.attributes:
        allowed = {"a": {"href"}, "img": {"src", "width", "height", "alt"}, "div": {"class"}}
        allowed |= {"td": {"style"}, "th": {"style"}, "html": {"lang"}}
        allowed |= {"meta": {"charset", "name", "content", "http-equiv"}}
        assert name in allowed.get(tag, {"id"} if tag in ("h1", "h2", "h3", "h4") else set())
        if name == "href":
            assert value.startswith("#")
        if name == "src":
            assert value.startswith("data:image/png;base64,")
        if name == "style":
            assert re.fullmatch(r"text-align:(left|right)", value)
    assert any("<script>alert(1)</script>" in text for text in page.texts)
    # In the Markdown markup is not even written, outside of blocks of code.
    outside = re.sub(r"^(`{3,}).*?^\1$", "", written.text, flags=re.S | re.M)
    assert "<script" not in outside and "<img" not in outside and "<b>" not in outside
    assert not re.search(r"(?<!\\)\]\(javascript", outside)


def test_pictures_are_shown_where_they_are(
    report: Report, family: list[Path], edit: Callable[..., None]
) -> None:
    assert report(family).text.count("No pictures: ") == 3
    tested = family[1] / "test_val"
    Image.new("RGB", (30, 20), (1, 2, 3)).save(tested / "val_overview.png")
    # A picture that the record does not list is of another test.
    assert report(family).text.count("No pictures: ") == 3
    edit(tested / "test_metrics.json", lambda c: c.update(pictures=["val_overview.png"]))
    written = report(family)
    assert written.text.count("No pictures: ") == 2
    copied = written.files.pictures / "hypothesis_02_overview.png"
    assert copied.read_bytes() == (tested / "val_overview.png").read_bytes()


def test_the_chosen_models_worst_images_are_shown(
    report: Report, family: list[Path], edit: Callable[..., None]
) -> None:
    names = [f"val_worst_{rank:02d}_x_mDice_3.00.png" for rank in (4, 2, 1, 3)]
    names.append("val_aest_09_x_mDice_90.00.png")  # no such picture is drawn; it sorts first
    for folder in family:
        for name in names:
            Image.new("RGB", (8, 8), (int(name.split("_")[2]), 0, 0)).save(
                folder / "test_val" / name
            )
    edit(family[1] / "test_val" / "test_metrics.json", lambda c: c.update(pictures=names))
    shown = sorted(report(family).files.pictures.glob("chosen_worst_*.png"))
    colors = [Image.open(path).getpixel((0, 0))[0] for path in shown]  # type: ignore[index]
    assert colors == [1, 2, 3]
    assert "The image ranked 1 of the worst by mDice." in report(family).text
    for name in names:
        (family[1] / "test_val" / name).rename(
            family[1] / "test_val" / name.replace("mDice", "HD95_cat")
        )
    renamed = [name.replace("mDice", "HD95_cat") for name in names]
    edit(family[1] / "test_val" / "test_metrics.json", lambda c: c.update(pictures=renamed))
    text = report(family).text
    assert "The image ranked 1 of the worst by the figure that the test ranked them by." in text


def test_a_picture_that_is_a_link_to_elsewhere_is_not_taken(tmp_path: Path) -> None:
    for folder in ("run", "report"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    (tmp_path / "run" / "val_overview.png").symlink_to(tmp_path / "private.png")
    pictures = Pictures(tmp_path / "report", "report")
    with pytest.raises(UserError, match="is a link that leads out"):
        pictures.copy("a", "a picture", tmp_path / "run" / "val_overview.png")
    assert pictures.contents() == {}
    assert "report/a.png" in pictures.copy("a", "a picture", tmp_path / "private.png")


def test_a_hypothesis_without_its_parent_is_not_judged(
    report: Report, make_run: MakeRun, tmp_path: Path
) -> None:
    stated = {"id": "H2", "parent": "H1", "expects": {"mDice": "+"}}
    other = {"id": "H3", "parent": "Gone", "expects": {"mDice": "+"}}
    text = report([make_run(tmp_path / "a", stated), make_run(tmp_path / "b", other)]).text
    assert "> **Not judged**: its parent H1 is not among these runs." in text
    assert "The parent is not among the runs of this report; against H2" in text
    assert "> **Not judged**: its parent Gone is not among the runs; H2 only" in text
    two = report([make_run(tmp_path / "d", "H1"), make_run(tmp_path / "e", "H9")]).text
    assert "It names no parent; against H1, the reference, the resolved" in two
    assert "> **Not judged**: it names no parent; H1 only" in two
    base = report([make_run(tmp_path / "c", "H1")]).text
    assert "> **Not judged**: it is a baseline." in base


def test_recall_bought_with_precision_is_called_so(
    report: Report, family: list[Path], make_run: MakeRun, tmp_path: Path
) -> None:
    def bolder(matrices: np.ndarray) -> np.ndarray:
        matrices = matrices.copy()
        for truth in (1, 2):  # finds more of the objects, and more where there are none
            matrices[:, truth, truth] += matrices[:, truth, 0]
            matrices[:, truth, 0] = 0
            moved = matrices[:, 0, 0] // 10 * (matrices[:, truth].sum(axis=1) > 0)
            matrices[:, 0, truth] += moved
            matrices[:, 0, 0] -= moved
        return matrices

    worse = make_run(tmp_path / "w", {"id": "W", "parent": "H1"}, skill=0.5)
    assert "trades one kind of error" not in report([*family, worse]).text
    set_results(family[2], bolder)
    text = report(family).text
    was, now = metrics_of(family[0]), metrics_of(family[2])
    recall, precision = (now[f"{k}/cat"] - was[f"{k}/cat"] for k in ("Recall", "Precision"))
    assert recall > 1 and precision < -1
    assert f"cat (recall {recall:+.2f}, precision {precision:+.2f})" in text


def test_nothing_is_half_written(
    report: Report, family: list[Path], edit: Callable[..., None], tmp_path: Path
) -> None:
    before = report(family)
    state = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    tested = family[1] / "test_val"
    (tested / "val_overview.png").write_bytes(b"no picture")
    edit(tested / "test_metrics.json", lambda c: c.update(pictures=["val_overview.png"]))
    with pytest.raises(UserError, match="val_overview.png is not a PNG picture"):
        report(family)
    assert state == {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert len(list((tmp_path / "out").iterdir())) == 3 and before.text


def test_a_report_replaces_an_earlier_one_as_a_whole(
    report: Report, family: list[Path], tmp_path: Path
) -> None:
    report(family)
    written = report(family[:1])
    named = set(re.findall(r"\]\(practicum_report_files/([^)]+)\)", written.text))
    assert {path.name for path in written.files.pictures.iterdir()} == named
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_one_run_is_enough(report: Report, family: list[Path]) -> None:
    text = report(family[:1]).text
    assert "H1** reaches mDice" in text and "there was no choice" in text
    assert "nothing to compare it with" in text


def test_seeds_are_taken_together(report: Report, make_run: MakeRun, tmp_path: Path) -> None:
    h2 = {"id": "H2", "parent": "H1", "expects": {"mDice": "+"}}
    folders = [
        make_run(tmp_path / name / str(seed), stated, seed=seed, skill=skill)
        for name, stated, skill in (("h1", "H1", 0.7), ("h2", h2, 0.85))
        for seed in range(3)
    ]
    text = report(folders, by_seed=True).text
    section = text.split("Hypothesis H2\n")[1].split("\n## ")[0]
    values = {seed: metrics_of(folders[3 + seed])["mDice"] for seed in range(3)}
    median = sorted(values, key=lambda seed: values[seed])[1]
    assert f"show seed {median}, the one with the median mDice" in section
    assert "means over the 3 seeds" in section
    assert f"| {np.mean(list(values.values())):.2f} % |" in section
    assert len(re.findall(r"^### Run ", text, re.M)) == 6


def test_forced_reports_are_marked(report: Report, make_run: MakeRun, tmp_path: Path) -> None:
    folders = [make_run(tmp_path / "a", "H1"), make_run(tmp_path / "b", "H2", data_seed=5)]
    with pytest.raises(UserError, match="not comparable"):
        report(folders)
    written = report(folders, force=True)
    assert written.text.split("## 1. Summary\n\n")[1].startswith("> **FORCED")
    assert "FORCED" in written.page


def test_forced_counts_are_of_the_same_images(
    report: Report, make_run: MakeRun, tmp_path: Path, tables: Callable[[str], list[Any]]
) -> None:
    more = make_run(tmp_path / "a", "H1", images=30, skill=0.9)
    text = report([more, make_run(tmp_path / "b", "H2", images=6, skill=0.8)], force=True).text
    assert "As H1 was scored: 30 images of the split val, " in text
    scored = next(table for table in tables(text) if table.heading.endswith("were scored"))
    assert scored.column("images with it")["background"] == "30"
    # Of fewer images there are fewer wrong pixels; that is no merit of H2.
    assert "of all hypotheses" not in text


def test_runs_without_contours_and_confidence(
    report: Report, make_run: MakeRun, tmp_path: Path
) -> None:
    text = report([make_run(tmp_path / "a", "H1", boundary=False)]).text
    assert "Neither contours nor confidence were measured" in text
    assert "ECE" not in text and "mHD95" not in text


def test_a_class_that_is_nowhere_has_dashes(
    report: Report, make_run: MakeRun, tmp_path: Path, tables: Callable[[str], list[Any]]
) -> None:
    folder = make_run(tmp_path / "a", "H1", boundary=False)

    def no_dogs(matrices: np.ndarray) -> np.ndarray:
        matrices = matrices.copy()
        matrices[:, 2] = matrices[:, :, 2] = 0
        return matrices

    set_results(folder, no_dogs)
    text = report([folder]).text
    rows = next(t for t in tables(text) if t.header[:2] == ["class", "Dice %"])
    assert rows.column("Dice %")["dog"] == "–"  # noqa: RUF001
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text.lower())


def test_only_background(report: Report, make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", "H1", boundary=False)
    set_results(
        folder,
        lambda m: np.einsum("n,ij->nij", m.sum(axis=(1, 2)), np.diag([1, 0, 0])).astype(np.int64),
    )
    text = report([folder]).text
    assert "No image has an object." in text and "nan" not in text.split("## 8")[0].lower()


def test_hypotheses_come_after_their_parents(
    make_run: MakeRun, tmp_path: Path, compared: Callable[..., Any]
) -> None:
    stated = [("C", "B"), ("X", "C"), ("B", "A"), ("A", "other")]
    folders = [
        make_run(tmp_path / name, {"id": name, "parent": parent}, images=6)
        for name, parent in stated
    ]
    ordered = parents_first(compared(folders))
    assert [row.id for row in ordered.rows] == ["A", "B", "C", "X"]
    assert [pair.after for pair in ordered.pairs] == ["B", "C", "X"]


def test_the_report_keeps_that_order(report: Report, family: list[Path]) -> None:
    text = report([family[1], family[0]]).text
    assert text.index("Hypothesis H1\n") < text.index("Hypothesis H2\n")
    assert text.index("| H1 | ") < text.index("| H2 | ")


def test_errors_are_those_of_the_chosen_model(
    report: Report, family: list[Path], tables: Callable[[str], list[Any]]
) -> None:
    text = report(family).text
    assert "Of the chosen model, **H2**, on the 24 images of val." in text
    total = load_results(family[1] / "test_val" / "image_results.npz").matrices.sum(axis=0)
    budget = next(table for table in tables(text) if table.heading == "By kind of error")
    pixels = budget.column("pixels")
    assert pixels["cat taken for dog"] == f"{total[1, 2]:,}"
    assert pixels["missed (background predicted on an object)"] == f"{total[1:, 0].sum():,}"


def test_no_path_of_this_machine_is_told(
    report: Report, family: list[Path], tmp_path: Path
) -> None:
    written = report(family)
    assert "seglab train --work-dir" in written.text
    assert str(tmp_path) not in written.text and "/tmp" not in written.text


@pytest.fixture
def data_folder(family: list[Path], tmp_path: Path) -> Path:
    """Images and masks under the names that the runs were scored on."""
    root, random = tmp_path / "data", np.random.default_rng(0)
    for index in range(6):
        for folder in ("img", "labels", "labels_sam2"):
            for split in ("train", "val"):
                path = root / folder / split / f"batch_{index % 3}" / f"{index:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                values = random.choice([0, 1, 2, 255], size=(8, 8), p=[0.6, 0.2, 0.1, 0.1])
                Image.fromarray(values.astype(np.uint8)).save(path)
    return root


def test_the_data_folder_is_described(
    report: Report, family: list[Path], data_folder: Path, tables: Callable[[str], list[Any]]
) -> None:
    text = report(family, data_root=data_folder).text
    classes = next(t for t in tables(text) if "labels_sam2/val" in t.header)
    masks = [
        np.asarray(Image.open(path)) for path in (data_folder / "labels_sam2/val").rglob("*.png")
    ]
    counted = sum((mask != 255).sum() for mask in masks)
    for index, name in enumerate(("background", "cat", "dog")):
        share = 100 * sum((mask == index).sum() for mask in masks) / counted
        holding = sum((mask == index).any() for mask in masks)
        assert classes.column("labels_sam2/val")[name] == f"{share:.2f} % (in {holding})"
    # None of these files is one that the factory's hashes belong to.
    assert "In this folder 24 samples of the split val do not match" in text
    assert "byte for byte" not in text


def test_a_data_folder_that_is_named_must_be_there(
    report: Report, family: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="nowhere"):
        report(family, data_root=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no folder img"):
        report(family, data_root=tmp_path / "empty")
    assert not (tmp_path / "out").exists()


def test_files_of_the_split_are_recognised(
    report: Report, family: list[Path], tmp_path: Path, edit: Callable[..., None]
) -> None:
    import hashlib

    root = tmp_path / "real"
    for folder in family:

        def rehash(content: dict[str, Any]) -> None:
            for name, hashes in content["data"]["files"].items():
                for kind, top, suffix in (("image", "img", ".jpg"), ("label", "labels", ".png")):
                    path = (root / top / "val" / name).with_suffix(suffix)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    if kind == "label":
                        Image.fromarray(np.full((4, 4), len(name) % 3, np.uint8)).save(path)
                    else:
                        path.write_bytes(name.encode())
                    hashes[kind] = hashlib.sha256(path.read_bytes()).hexdigest()

        edit(folder / "test_val" / "provenance.json", rehash)
    assert "byte for byte, those the runs were scored on" in report(family, data_root=root).text
    (root / "img" / "val" / "batch_0" / "000.jpg").write_bytes(b"other")
    text = report(family, data_root=root).text
    assert "In this folder 1 sample of the split val do not match" in text
    assert r"(batch_0/000.jpg)" in text
    assert "byte for byte" not in text


def test_the_exploration_is_taken_over(report: Report, family: list[Path], tmp_path: Path) -> None:
    eda = tmp_path / "eda"
    eda.mkdir()
    Image.new("RGB", (9, 9)).save(eda / "class_share.png")
    (eda / "eda.json").write_text(json.dumps({"findings": ["Dogs are <small>."], "other": 1}))
    text = report(family, exploration_dir=eda).text
    assert "- Dogs are &lt;small&gt;." in text and "![class share](" in text
    (eda / "eda.json").write_text(json.dumps({"findings": "Dogs"}))
    with pytest.raises(UserError, match="findings is not a list"):
        report(family, exploration_dir=eda)
    assert "What exploring" not in report(family, exploration_dir=tmp_path / "none").text
