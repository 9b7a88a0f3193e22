import csv
import dataclasses
import math
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seglab.utils.boundary import BoundaryScores, boundary_scores
from seglab.utils.calibration import calibration_histogram, expected_calibration_error
from seglab.utils.errors import UserError
from seglab.utils.image_results import (
    BoundaryTable,
    ImageResults,
    image_figures,
    load_results,
    published_metrics,
    save_results,
    write_per_image_csv,
)
from seglab.utils.test_utils import aggregate_metrics, confusion_matrix, image_mean_metrics

NAMES = ("background", "cat", "dog")


def make_results(number=4, seed=0, ids=None, boundary=True, calibration=True):
    """Results of random images, some without dogs, some with ignored pixels, one all ignored."""
    random = np.random.default_rng(seed)
    matrices, scores, histograms = [], [], []
    for index in range(number):
        truth = random.integers(0, 3 - index % 2, (4, 4)).repeat(4, 0).repeat(4, 1)
        probabilities = random.dirichlet((1, 1, 0.02), (16, 16)).transpose(2, 0, 1)
        truth[: index % 3] = 255
        if index == 3:
            truth[:] = 255
        prediction = probabilities.argmax(axis=0)
        matrices.append(confusion_matrix(prediction, truth, 3))
        scores.append(boundary_scores(prediction, truth, 3))
        histograms.append(calibration_histogram(probabilities, truth))
    table = BoundaryTable(*map(np.stack, zip(*scores, strict=True))) if boundary else None
    return ImageResults(
        tuple(ids or [f"a/{index:03d}.jpg" for index in range(number)]),
        NAMES,
        np.array(matrices),
        table,
        np.array(histograms) if calibration else None,
    )


def assert_same(one, other):
    assert (one.sample_ids, one.classes) == (other.sample_ids, other.classes)
    for name in ("matrices", "calibration"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.boundary is None) == (other.boundary is None)
    if one.boundary is not None:
        for ours, theirs in zip(
            dataclasses.astuple(one.boundary), dataclasses.astuple(other.boundary), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype


def mean(values):
    """Mean and number of those that are not NaN."""
    values = [float(value) for value in values if not math.isnan(value)]
    return (math.fsum(values) / len(values) if values else math.nan), len(values)


def test_boundary_table_has_the_fields_of_the_scores():
    fields = [field.name for field in dataclasses.fields(BoundaryTable)]
    assert fields == list(BoundaryScores._fields)


@pytest.mark.parametrize("seed", range(4))
def test_published_metrics_equal_loops(seed):
    results = make_results(6, seed)
    metrics = published_metrics(results)
    assert all(type(value) is float for value in metrics.values())
    expected = aggregate_metrics(results.matrices, NAMES)
    expected |= image_mean_metrics(results.matrices, NAMES)
    table = results.boundary
    figures = {"BoundaryIoU": [], "HD95": [], "NSD": []}
    for index, name in enumerate(NAMES[1:]):
        both, either = table.intersection[:, index], table.union[:, index]
        pooled = 100 * both.sum() / either.sum() if either.sum() else math.nan
        expected[f"BoundaryIoU/{name}"] = pooled
        figures["BoundaryIoU"].append(
            [100 * b / e if e else math.nan for b, e in zip(both, either, strict=True)]
        )
        figures["HD95"].append(table.hd95[:, index])
        figures["NSD"].append(100 * table.nsd[:, index])
        average, number = mean(figures["BoundaryIoU"][-1])
        expected[f"image_mean/BoundaryIoU/{name}"] = average
        expected[f"images/BoundaryIoU/{name}"] = number
        for key in ("HD95", "NSD"):
            expected[f"{key}/{name}"], expected[f"images/{key}/{name}"] = mean(figures[key][-1])
    for key, columns in figures.items():
        of_classes = [expected[f"{key}/{name}"] for name in NAMES[1:]]
        expected[f"m{key}"], expected[f"classes/m{key}"] = mean(of_classes)
        of_images = [mean(values)[0] for values in zip(*columns, strict=True)]
        average, expected[f"images/m{key}"] = mean(of_images)
        if key == "BoundaryIoU":
            expected["image_mean/mBoundaryIoU"] = average
    for key, bins in zip(("ECE", "ECE/objects"), results.calibration.sum(axis=0), strict=True):
        expected[key] = 100 * sum(abs(c - s) for _, s, c in bins) / sum(n for n, _, _ in bins)
    assert set(metrics) == set(expected)
    for key, value in expected.items():
        assert metrics[key] == pytest.approx(value, nan_ok=True, rel=1e-12), key


def test_only_what_is_there_is_published():
    results = make_results(boundary=False, calibration=False)
    plain = aggregate_metrics(results.matrices, NAMES) | image_mean_metrics(results.matrices, NAMES)
    assert set(published_metrics(results)) == set(plain)
    keys = set(published_metrics(make_results(calibration=False)))
    assert "mHD95" in keys
    assert "ECE" not in keys
    alone = ImageResults(("a",), ("background",), np.full((1, 1, 1), 5))
    assert published_metrics(alone)["mDice"] == 100


def test_figures_of_an_image_are_those_of_a_split_of_one():
    results = make_results(5)
    figures = image_figures(results)
    for index, sample_id in enumerate(results.sample_ids):
        table = results.boundary
        one = ImageResults(
            (sample_id,),
            NAMES,
            results.matrices[index : index + 1],
            BoundaryTable(*(column[index : index + 1] for column in dataclasses.astuple(table))),
            results.calibration[index : index + 1],
        )
        published = published_metrics(one)
        for key, values in figures.items():
            assert values.shape == (5,)
            assert values[index] == pytest.approx(published[key], nan_ok=True), key
    counts = [
        key for key in published if not key.startswith(("image_mean/", "images/", "classes/"))
    ]
    assert set(figures) == set(counts)


@given(
    ids=st.sets(st.text(st.characters(exclude_characters="\0"), min_size=1), max_size=5),
    parts=st.tuples(st.booleans(), st.booleans()),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_saved_and_loaded(tmp_path, ids, parts):
    if not ids:
        parts = (False, False)
        results = ImageResults((), NAMES, np.zeros((0, 3, 3), dtype=np.int64))
    else:
        results = make_results(len(ids), ids=sorted(ids), boundary=parts[0], calibration=parts[1])
    path = save_results(tmp_path / "results.npz", results)
    loaded = load_results(path)
    assert_same(loaded, results)
    assert (loaded.boundary is not None, loaded.calibration is not None) == parts
    assert [file.name for file in tmp_path.iterdir()] == ["results.npz"]


def test_the_file_is_compact_and_holds_no_pickle(tmp_path):
    path = save_results(tmp_path / "results.npz", make_results(120))
    assert path.stat().st_size < 100_000
    with np.load(path, allow_pickle=False) as archive:
        assert {archive[name].dtype.kind for name in archive.files} == {"U", "i", "f"}


def test_any_damage_is_a_user_error(tmp_path):
    results = make_results()
    whole = save_results(tmp_path / "results.npz", results).read_bytes()
    random = np.random.default_rng(0)
    damaged = [whole[:length] for length in random.integers(0, len(whole), 60)]
    for _ in range(250):
        content = bytearray(whole)
        for place in random.integers(0, len(whole), random.integers(1, 4)):
            content[place] = random.integers(256)
        damaged.append(bytes(content))
    path, refused = tmp_path / "damaged.npz", 0
    for content in damaged:
        path.write_bytes(content)
        try:
            loaded = load_results(path)
        except UserError as error:
            assert str(path) in error.message
            assert error.fix
            refused += 1
        else:  # bytes that say nothing, such as a date in the archive
            assert_same(loaded, results)
    assert refused > 250


def rewrite(path, **changes):
    """Write the members of an npz again, some replaced, those given as None left out."""
    with np.load(path, allow_pickle=False) as archive:
        members = dict(archive)
    members |= changes
    np.savez(path, **{name: value for name, value in members.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "holds no image results"),
        ({"format": np.array("seglab image results 99")}, "holds no image results"),
        ({"matrices": None}, "lacks 'matrices'"),
        ({"boundary_nsd": None}, "lacks 'boundary_nsd'"),
        ({"classes": np.array(["a", "b"])}, r"expected int64 \(4, 2, 2\)"),
        ({"classes": np.array(["a", "a", "b"])}, "class names are not unique"),
        ({"classes": np.array([1, 2, 3])}, "classes is no list of names"),
        ({"sample_ids": np.array(["b", "a", "c", "d"])}, "not sorted and unique"),
        ({"sample_ids": np.array(["a", "b", "b", "c"])}, "not sorted and unique"),
        ({"sample_ids": np.array([["a"], ["b"], ["c"], ["d"]])}, "sample_ids is no list of names"),
        ({"matrices": np.full((4, 3, 3), -1)}, "matrices holds values that cannot be, such as -1"),
        ({"matrices": np.ones((4, 3, 3))}, r"matrices is float64 .*expected int64"),
        ({"boundary_hd95": np.full((4, 2), np.inf)}, "boundary_hd95 .* such as inf"),
        ({"boundary_nsd": np.full((4, 2), 1.5)}, "boundary_nsd .* such as 1.5"),
        ({"boundary_union": np.zeros((4, 2), int)}, "boundary_intersection is larger"),
        ({"boundary_band_pixels": np.zeros(4, int)}, "boundary_band_errors is larger"),
        ({"boundary_band_pixels": np.zeros((4, 1), int)}, r"expected int64 \(4,\)"),
        ({"calibration": np.full((4, 2, 15, 3), np.nan)}, "calibration .* such as nan"),
        ({"calibration": np.zeros((4, 2, 3))}, r"calibration is float64 \(4, 2, 3\)"),
        ({"matrices": np.array([{}], dtype=object)}, "truncated, damaged or no npz"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, changes, message):
    path = save_results(tmp_path / "results.npz", make_results())
    rewrite(path, **changes)
    with pytest.raises(UserError, match=message) as caught:
        load_results(path)
    assert str(path) in caught.value.message


def test_all_faults_at_once():
    with pytest.raises(ValueError, match="sorted.*; matrices is .*; calibration is"):
        ImageResults(("b", "a"), NAMES, np.zeros((2, 2, 2), int), None, np.zeros((1, 2, 15, 3)))


def test_files_that_are_not_ours(tmp_path):
    with pytest.raises(UserError, match="cannot read .*missing.npz: No such file"):
        load_results(tmp_path / "missing.npz")
    with pytest.raises(UserError, match="cannot read"):
        load_results(tmp_path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(UserError, match=r"one.npy is truncated, damaged or no npz"):
        load_results(tmp_path / "one.npy")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(UserError, match="other.npz holds no image results"):
        load_results(tmp_path / "other.npz")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match="text.npz is truncated, damaged or no npz"):
        load_results(tmp_path / "text.npz")


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_csv_gives_back_every_number(tmp_path):
    results = make_results(5)
    path = write_per_image_csv(tmp_path / "per_image.csv", results)
    rows = read_csv(path)
    assert [row["sample_id"] for row in rows] == list(results.sample_ids)
    expected = image_figures(results)
    for axis, what in ((2, "truth_pixels"), (1, "predicted_pixels")):
        for index, name in enumerate(NAMES):
            expected[f"{what}/{name}"] = results.matrices.sum(axis=axis)[:, index]
    for name in ("band_pixels", "band_errors"):
        expected[name] = getattr(results.boundary, name)
    expected = {key: value for key, value in expected.items() if not key.startswith("Recall/")}
    assert set(rows[0]) == {"sample_id", *expected}
    for key, values in expected.items():
        read = [float(row[key]) if row[key] else math.nan for row in rows]
        np.testing.assert_array_equal(read, values)  # to the last bit
    assert rows[3]["mDice"] == rows[3]["ECE"] == ""  # the image that is all ignored
    assert rows[3]["truth_pixels/cat"] == "0"
    columns = list(rows[0])
    assert columns[:9] == [
        "sample_id",
        *(f"{what}/{name}" for what in ("truth_pixels", "predicted_pixels") for name in NAMES),
        "mDice",
        "mIoU",
    ]
    ece = 100 * expected_calibration_error(results.calibration[0, 0])
    assert float(rows[0]["ECE"]) == ece


def test_csv_runs_nothing_and_keeps_every_letter(tmp_path):
    ids = [
        "\tx",
        "+1",
        "-1",
        "=cmd|' /C calc'!A0",
        "@SUM(1)",
        'a,"b"\nc',
        "katze_ä_猫",
        "x=1",
        "\udc80",
    ]
    ids.sort()
    results = make_results(len(ids), ids=ids, boundary=False, calibration=False)
    path = write_per_image_csv(tmp_path / "per_image.csv", results)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfsample_id,")
    written = [row["sample_id"] for row in read_csv(path)]
    expected = [f"'{name}" if name[0] in "=+-@\t" else name for name in ids]
    assert written == [name.replace("\udc80", "\\udc80") for name in expected]
    assert not any(key.startswith(("HD95", "ECE", "band")) for key in read_csv(path)[0])


def test_writing_is_atomic(tmp_path, monkeypatch):
    path = save_results(tmp_path / "results.npz", make_results())
    before = path.read_bytes()

    def fail(*args, **kwargs):
        args[0].write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        save_results(path, make_results(2))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results.npz"]
