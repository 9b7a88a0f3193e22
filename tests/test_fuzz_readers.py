"""Readers of files from strangers: whatever is in one, the answer is its content or a UserError."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import JSON_VALUES, damaged, examples, nearly
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seglab.analysis.comparison import compare
from seglab.analysis.run_folder import load_run
from seglab.analysis.run_overview import read_row
from seglab.data.curation.samples import masks_of_audit
from seglab.data.preflight.decode import decode_pixels, read_mask
from seglab.data.preparing.coco_objects import read_photographs
from seglab.utils.bad_masks import read_bad_masks
from seglab.utils.checkpoint_utils import facts_path, load_checkpoint_file, write_weights
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.image_results import load_results
from seglab.utils.io_utils import read_json
from seglab.utils.lab_scores import read_lab_scores
from seglab.utils.oxford_pet import read_lists
from seglab.utils.prediction_cache import load_probabilities, read_index, save_probabilities
from seglab.utils.tracking.journal import read_journal

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "experiments" / "reference" / "lite"
LAB_RUNS = sorted((ROOT / "experiments" / "reference_lab").glob("*"))


def refused_or_read(read: Any, *arguments: Any) -> Any:
    """What a reader returns; None for a UserError that says something. Anything else fails."""
    try:
        return read(*arguments)
    except UserError as error:
        assert error.message.strip()
        str(error).encode("utf-8", "backslashreplace")
        return None


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8", errors="surrogatepass")


@pytest.fixture(scope="module")
def run_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("fuzz") / "run"
    shutil.copytree(RUN, target)
    return target


@pytest.mark.parametrize(
    "name", ["config.json", "run.json", "test_val/test_metrics.json", "test_val/provenance.json"]
)
def test_run_folders(run_copy: Path, name: str) -> None:
    original = (RUN / name).read_text()

    @examples(25)
    @given(content=nearly(json.loads(original)) | JSON_VALUES)
    def check(content: Any) -> None:
        write(run_copy / name, content)
        run = refused_or_read(load_run, run_copy, "val")
        refused_or_read(read_row, run_copy)
        if run is not None and name != "test_val/provenance.json":
            refused_or_read(run.label) if callable(run.label) else run.label
            refused_or_read(lambda: (run.id, run.seed, run.classes, run.figures))

    try:
        check()
    finally:
        (run_copy / name).write_text(original)


def test_a_strange_run_is_compared_or_refused(run_copy: Path) -> None:
    original = (RUN / "config.json").read_text()
    others = load_run(ROOT / "experiments" / "reference" / "lite_flip_only", "val")

    @examples(6)
    @given(content=nearly(json.loads(original)))
    def check(content: Any) -> None:
        write(run_copy / "config.json", content)
        run = refused_or_read(load_run, run_copy, "val")
        if run is not None:
            refused_or_read(lambda: compare([run, others], resamples=1000))

    try:
        check()
    finally:
        (run_copy / "config.json").write_text(original)


@examples(60)
@given(content=damaged((RUN / "history.jsonl").read_bytes()))
def test_histories(run_copy: Path, content: bytes) -> None:
    (run_copy / "history.jsonl").write_bytes(content)
    refused_or_read(read_row, run_copy)
    (run_copy / "tracking").mkdir(exist_ok=True)
    (run_copy / "tracking" / "journal.jsonl").write_bytes(content)
    refused_or_read(read_journal, run_copy / "tracking")


@examples(60)
@given(content=damaged((RUN / "test_val" / "image_results.npz").read_bytes()))
def test_image_results(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.npz"
    path.write_bytes(content)
    refused_or_read(load_results, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lists")


@examples(60)
@given(content=nearly(json.loads((ROOT / "bad_mask_paths.json").read_text())) | JSON_VALUES)
def test_lists_of_bad_masks(folder: Path, content: Any) -> None:
    write(folder / "bad.json", content)
    refused_or_read(read_bad_masks, folder / "bad.json", folder)


_AUDIT = {
    "schema": 1, "split": "train", "img_dir": "img", "classes": ["background", "cat"],
    "ranking": [{
        "rank": 1, "image": "a.jpg", "mask": "labels/train/a.png", "sha256": "0" * 64, "score": 0.5,
        "scores": {}, "reasons": ["x"], "regions": [],
    }],
}  # fmt: skip
_INDEX = {"schema": 1, "classes": ["a", "b"], "folds": {"x": 0}, "labels": {"x": "0"}, "recipe": {}}
_COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "height": 20, "width": 30}],
    "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 17, "segmentation": [[1, 1, 9, 1, 9, 9]]},
        {"id": 2, "image_id": 1, "category_id": 18, "iscrowd": 1,
         "segmentation": {"size": [20, 30], "counts": [100, 20, 480]}},
        {"id": 3, "image_id": 1, "category_id": 18, "iscrowd": 1,
         "segmentation": {"size": [20, 30], "counts": "T31o`0"}},
    ],
}  # fmt: skip


@examples(120)
@given(content=nearly(_COCO) | JSON_VALUES)
def test_cocos_lists(folder: Path, content: Any) -> None:
    write(folder / "instances.json", content)
    found = refused_or_read(read_photographs, [folder / "instances.json"], ["cat", "dog"])
    for photograph in found[0] if found and not found[1] else []:
        assert Path(photograph.file_name).name == photograph.file_name
        for each in photograph.objects:
            refused_or_read(each.mask, photograph.height, photograph.width)


@examples(60)
@given(audit=nearly(_AUDIT) | JSON_VALUES, index=nearly(_INDEX) | JSON_VALUES)
def test_audits_and_caches(folder: Path, audit: Any, index: Any) -> None:
    write(folder / "audit.json", audit)
    refused_or_read(masks_of_audit, folder / "audit.json", folder)
    write(folder / "predictions.json", index)
    refused_or_read(read_index, folder)


@examples(40)
@given(content=JSON_VALUES | nearly({"schema": 1, "class": "animal", "rows": [{"scored": "x"}]}))
def test_lab_scores(folder: Path, content: Any) -> None:
    write(folder / "lab_scores.json", content)
    refused_or_read(read_lab_scores, folder)


@examples(60)
@given(content=nearly(json.loads((RUN / "config.json").read_text())) | JSON_VALUES)
def test_configs(folder: Path, content: Any) -> None:
    write(folder / "config.json", content)
    config = refused_or_read(load_config, folder / "config.json")
    assert config is None or isinstance(config.to_dict(), dict)


@examples(120)
@given(content=st.binary(max_size=200) | damaged(b'{"a": [1, 2.5, "\xc3\xa9", null], "b": {}}'))
def test_json_and_yaml_of_any_bytes(folder: Path, content: bytes) -> None:
    for name in ("any.json", "any.yaml"):
        (folder / name).write_bytes(content)
        refused_or_read(load_config, folder / name)
    refused_or_read(read_json, folder / "any.json")


@examples(60)
@given(content=damaged(b"#Image CLASS-ID SPECIES BREED ID\nAbyssinian_1 1 1 1\nbeagle_2 5 2 1\n"))
def test_the_lists_of_oxford_pets(folder: Path, content: bytes) -> None:
    (folder / "annotations").mkdir(exist_ok=True)
    for name in ("list", "trainval", "test"):
        (folder / "annotations" / f"{name}.txt").write_bytes(content)
    lists = refused_or_read(read_lists, folder)
    for pets in lists.pets.values():
        assert all("/" not in pet.name and pet.name not in (".", "..") for pet in pets)


def image_bytes(kind: str, mode: str) -> bytes:
    values = np.random.default_rng(0).integers(0, 3, (12, 9, 3), dtype=np.uint8)
    image = Image.fromarray(values).convert(mode)
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(stream, kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("BMP", "L"), ("GIF", "P"),
     ("TIFF", "L"), ("WEBP", "RGB"), ("PPM", "RGB")],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged metadata
def test_masks_and_images(folder: Path, kind: str, mode: str) -> None:
    path = folder / f"image.{kind.lower()}"

    @examples(60)
    @given(content=damaged(image_bytes(kind, mode)))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        facts, picture = decode_pixels(path)
        assert facts.readable == (picture is not None)
        mask = refused_or_read(read_mask, path)
        assert mask is None or (mask.dtype == np.uint8 and mask.ndim == 2)

    check()


def test_weights_and_their_facts(folder: Path) -> None:
    import torch

    path = folder / "w.safetensors"
    write_weights(path, {"a": torch.ones(3), "b.c": torch.zeros(2, 2)}, {"classes": ["a", "b"]})
    torch.save({"state_dict": {"a": torch.ones(3)}, "meta": {"epoch": 1}}, folder / "w.pth")
    good = {name: (folder / name).read_bytes() for name in ("w.safetensors", "w.pth")}
    facts = json.loads(facts_path(path).read_text())

    @examples(60)
    @given(name=st.sampled_from(sorted(good)), data=st.data(), facts=nearly(facts) | JSON_VALUES)
    def check(name: str, data: st.DataObject, facts: Any) -> None:
        (folder / name).write_bytes(data.draw(damaged(good[name])))
        write(facts_path(path), facts)
        refused_or_read(load_checkpoint_file, folder / name)
        (folder / name).write_bytes(good[name])
        refused_or_read(load_checkpoint_file, folder / name)

    check()


def test_probabilities(folder: Path) -> None:
    path = save_probabilities(folder, "a.jpg", np.full((3, 4, 5), 0.3, np.float32))
    good = path.read_bytes()

    @examples(60)
    @given(content=damaged(good))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        values = refused_or_read(load_probabilities, folder, "a.jpg")
        assert values is None or values.ndim == 3

    check()
