"""The list of bad masks: written and read back, and every fault of a list named at once."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seglab.utils import schemas
from seglab.utils.bad_masks import BadMask, locate_inside, read_bad_masks, write_bad_masks
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("labels/train/a.png", "labels/train/b é.png", "img/train/a.jpg"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "root"


def entry(root: Path, path: str = "labels/train/a.png", **other: Any) -> BadMask:
    return BadMask(path, sha256_file(root / path), "the dog is missing", "person", **other)


def stored(path: Path, *masks: Any, schema: Any = 1) -> Path:
    listed = [asdict(m) if isinstance(m, BadMask) else m for m in masks]
    path.write_text(json.dumps({"schema": schema, "masks": listed}))
    return path


def test_what_is_written_is_read_back(root: Path, tmp_path: Path) -> None:
    masks = [
        entry(root, image="img/train/a.jpg", score=0.25),
        replace(entry(root, "labels/train/b é.png"), tagged_by="audit", reason=""),
    ]
    path = write_bad_masks(tmp_path / "list.json", masks)
    assert read_bad_masks(path, root) == masks
    with pytest.raises(UserError, match="there already"):
        write_bad_masks(path, masks)
    assert read_bad_masks(write_bad_masks(path, masks[:1], overwrite=True), root) == masks[:1]
    with pytest.raises(UserError, match="no mask is tagged"):
        write_bad_masks(path, [], overwrite=True)
    with pytest.raises(UserError, match="is a folder"):
        write_bad_masks(tmp_path, masks, overwrite=True)
    with pytest.raises(UserError, match="tagged_by"):
        write_bad_masks(tmp_path / "x.json", [replace(masks[0], tagged_by="me")])
    assert not (tmp_path / "x.json").exists()


def test_image_and_score_may_be_left_out(root: Path, tmp_path: Path) -> None:
    short = {key: value for key, value in asdict(entry(root)).items() if value is not None}
    assert read_bad_masks(stored(tmp_path / "x.json", short), root) == [entry(root)]


def test_the_schema_is_sound() -> None:
    text = (Path(schemas.__file__).parent / "bad_masks.schema.json").read_text()
    Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "states no schema"),
        ('{"masks": []}', "states no schema"),
        ('{"schema": 2, "masks": []}', "of schema '2'; this version of seglab reads 1"),
        ('{"schema": true, "masks": []}', "of schema 'True'"),
        ('{"schema": 1}', "'masks' is a required property"),
        ('{"schema": 1, "masks": []}', "lists no mask"),
        ('{"schema": 1, "masks": [{"path": 3}, {"extra": 1}]}', "masks[0].path: 3 is not of type"),
    ],
)
def test_damaged_lists(content: str, words: str, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_bad_masks(path, root)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.fix


def test_missing_list_and_missing_root(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_bad_masks(tmp_path / "none.json", root)
    with pytest.raises(UserError, match="cannot read"):
        read_bad_masks(tmp_path, root)
    with pytest.raises(UserError, match="data root not found"):
        read_bad_masks(stored(tmp_path / "x.json", entry(root)), tmp_path / "none")


def test_every_fault_is_named_at_once(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"x")
    (root / "link.png").symlink_to(outside)
    (root / "loop.png").symlink_to(root / "loop.png")
    sound = entry(root)
    bad = {
        str(outside): "is absolute",
        "C:\\x.png": "is absolute",
        "labels/../../outside.png": "leads upwards",
        "link.png": "through a link",
        "loop.png": "",
        "nul\0.png": "NUL byte",
        "x" * 5000: "is longer than",
        "\ud800.png": "no UTF-8",
        "labels/train/none.png": "no such file",
        "labels/train": "no such file",
        "./labels//train/a.png": "listed already, as masks[0]",
    }
    masks = [sound, *(replace(sound, path=path) for path in bad)]
    masks.append(replace(entry(root, "labels/train/b é.png"), sha256="0" * 64, image="no.jpg"))
    with pytest.raises(UserError) as caught:
        read_bad_masks(stored(tmp_path / "x.json", *masks), root)
    message = str(caught.value)
    assert "(13 faults)" in message
    lines = message.splitlines()
    for number, words in enumerate(bad.values(), start=1):
        assert any(f"masks[{number}]: " in line and words in line for line in lines), words
    assert "masks[12]: path: 'labels/train/b é.png' has changed" in message
    assert "masks[12]: image: 'no.jpg': no such file" in message
    assert "masks[0]:" not in message


def test_scores_that_are_no_number(root: Path, tmp_path: Path) -> None:
    path = stored(tmp_path / "x.json", entry(root, score=float("nan")))
    with pytest.raises(UserError, match="score: not a number"):
        read_bad_masks(path, root)
    with pytest.raises(UserError, match="greater than the maximum"):
        read_bad_masks(stored(path, entry(root, score=1.5)), root)


def test_a_link_inside_the_root_is_followed(root: Path) -> None:
    (root / "again").symlink_to(root / "labels")
    real = (root / "labels/train/a.png").resolve()
    assert locate_inside(root, "again/train/a.png") == real
