import hashlib
import math
from pathlib import Path

import pytest

from seglab.utils.data_hashes import SampleFiles, hash_samples, json_sha256, summarise_hashes


@pytest.fixture
def samples(tmp_path: Path) -> list[SampleFiles]:
    made = []
    for name in ("b/x.jpg", "a/x.jpg", "a/y.jpg"):
        image, label = tmp_path / "img" / name, tmp_path / "labels" / name
        for path, content in ((image, f"image {name}"), (label, f"label {name}")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        made.append(SampleFiles(name, image, label))
    return made


def test_each_file_is_hashed_under_its_id(samples: list[SampleFiles]) -> None:
    files = hash_samples(samples)
    assert list(files) == ["a/x.jpg", "a/y.jpg", "b/x.jpg"]
    for name, digests in files.items():
        assert digests == {
            kind: hashlib.sha256(f"{kind} {name}".encode()).hexdigest()
            for kind in ("image", "label")
        }


def test_the_order_of_listing_does_not_matter(samples: list[SampleFiles]) -> None:
    assert summarise_hashes(hash_samples(samples)) == summarise_hashes(hash_samples(samples[::-1]))


def test_any_change_of_a_label_changes_the_hash_of_the_labels_only(
    samples: list[SampleFiles],
) -> None:
    before = summarise_hashes(hash_samples(samples))
    samples[0].label.write_text("corrected")
    after = summarise_hashes(hash_samples(samples))
    assert after["labels_sha256"] != before["labels_sha256"]
    assert after["images_sha256"] == before["images_sha256"] and after["files"] == 3


def test_renamed_removed_and_missing_files_change_it(samples: list[SampleFiles]) -> None:
    summaries = [summarise_hashes(hash_samples(samples))]
    summaries.append(summarise_hashes(hash_samples(samples[:2])))
    renamed = [samples[0]._replace(sample_id="b/z.jpg"), *samples[1:]]
    summaries.append(summarise_hashes(hash_samples(renamed)))
    samples[0].label.unlink()
    files = hash_samples(samples)
    assert files["b/x.jpg"]["label"] is None
    summaries.append(summarise_hashes(files))
    assert len({summary["labels_sha256"] for summary in summaries}) == 4


def test_a_label_that_is_read_in_another_way_is_another_label(samples: list[SampleFiles]) -> None:
    plain = hash_samples(samples)
    mapped = hash_samples([sample._replace(reading='{"3": 255}') for sample in samples])
    other = hash_samples([sample._replace(reading='{"3": 0}') for sample in samples])
    for name, digests in plain.items():
        expected = hashlib.sha256(f'{digests["label"]} {{"3": 255}}'.encode()).hexdigest()
        assert mapped[name] == {"image": digests["image"], "label": expected}
        assert other[name]["label"] not in (expected, digests["label"])
    samples[0].label.unlink()
    assert hash_samples([samples[0]._replace(reading="x")])["b/x.jpg"]["label"] is None


def test_hashes_of_values_stay_as_they_are() -> None:
    # Caches and provenance of earlier runs are found by these.
    value = {"b": [1, 2.5, None, "é"], "a": {"z": True, "y": "x, y: z"}, "c": (math.nan, Path("p"))}
    compact = '{"a":{"y":"x, y: z","z":true},"b":[1,2.5,null,"é"],"c":[null,"p"]}'
    spaced = '{"a": {"y": "x, y: z", "z": true}, "b": [1, 2.5, null, "\\u00e9"], "c": [null, "p"]}'
    assert json_sha256(value) == hashlib.sha256(compact.encode()).hexdigest()
    assert json_sha256(value, compact=False) == hashlib.sha256(spaced.encode()).hexdigest()
    assert json_sha256({"seed": 0}).startswith("bd0488843468e63c")
