"""Lists, splits and labels of Oxford-IIIT Pet."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from seglab.utils.oxford_pet import (
    LIST,
    LISTS,
    TEST,
    TRAINVAL,
    Pet,
    label_map,
    mode_of,
    option_faults,
    read_lists,
    val_names,
)


def names(root: Path, split: str) -> set[str]:
    return {pet.name for pet in read_lists(root).split(split)}


def replace_line(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_train_and_val_part_trainval_and_test_is_the_official_one(pets: Path) -> None:
    lists = read_lists(pets)
    assert lists.faults == ()
    train, val = names(pets, "train"), names(pets, "val")
    assert not train & val
    assert train | val == names(pets, "trainval")
    assert names(pets, "test") == {f"{b}_{i}" for b in ("Abyssinian", "Bengal", "beagle")
                                   for i in (3, 6)}  # fmt: skip
    with pytest.raises(ValueError, match="'all' is no split"):
        lists.split("all")


def test_val_is_a_fifth_of_every_breed_and_does_not_depend_on_the_order() -> None:
    sizes = {1: 100, 2: 93, 3: 8, 4: 2, 5: 1}
    listed = [Pet(f"b{breed}_{i}", breed, 1, breed) for breed, n in sizes.items() for i in range(n)]
    chosen = val_names(listed)
    counts = Counter(pet.breed for pet in listed if pet.name in chosen)
    assert counts == {1: 20, 2: 19, 3: 2, 4: 1}  # a breed with one image is trained on
    assert val_names(listed[::-1]) == chosen


def test_the_split_is_the_same_for_ever() -> None:
    # Figures of different years are compared: these names must never change.
    listed = [Pet(f"Bengal_{i}", 6, 1, 2) for i in range(1, 11)]
    assert val_names(listed) == {"Bengal_1", "Bengal_9"}


@pytest.mark.shared
def test_the_real_sample(shared_dir: Path) -> None:
    lists = read_lists(shared_dir / "data" / "oxford_pet_sample")
    assert lists.faults == ()
    counts = {
        split: Counter(pet.breed for pet in lists.split(split))
        for split in ("train", "val", "test")
    }
    assert counts == {
        "train": {1: 32, 2: 32, 6: 32},
        "val": {1: 8, 2: 8, 6: 8},
        "test": {1: 20, 2: 20, 6: 20},
    }


@pytest.mark.parametrize(
    ("mode", "border", "species", "expected"),
    [
        ("binary", "ignore", 2, {1: 1, 2: 0, 3: 255}),
        ("binary", "foreground", 2, {1: 1, 2: 0, 3: 1}),
        ("binary", "background", 2, {1: 1, 2: 0, 3: 0}),
        ("species", "ignore", 1, {1: 1, 2: 0, 3: 255}),
        ("species", "foreground", 2, {1: 2, 2: 0, 3: 2}),
        ("species", "background", 2, {1: 2, 2: 0, 3: 0}),
        ("trimap", "ignore", 2, {1: 1, 2: 0, 3: 2}),
    ],
)
def test_what_a_trimap_becomes(mode, border, species, expected) -> None:
    assert label_map(mode, border, species) == expected


def test_every_wrong_option_is_named() -> None:
    faults = option_faults("validation", "tri", "ignored")
    assert [fault.split()[0] for fault in faults] == ["split", "mode", "border"]
    assert "train, val, trainval, test" in faults[0]
    (fault,) = option_faults("train", "species", "ignore", ("background", "animal"))
    assert "background, animal" in fault and "3 classes (background, cat, dog)" in fault
    (fault,) = option_faults("train", "trimap", "background")
    assert "a class itself" in fault
    assert option_faults("val", "trimap", "ignore", ("a", "b", "c")) == []


def test_lists_that_disagree_are_all_named(pets: Path) -> None:
    with (pets / TEST).open("a") as stream:
        stream.write("Bengal_1 6 1 2\nBengal_99 6 1 2\n")
    replace_line(pets / TRAINVAL, "beagle_2 5 2 1", "beagle_2 5 1 1")
    replace_line(pets / TRAINVAL, "Abyssinian_4 1 1 1\n", "")
    faults = read_lists(pets).faults
    assert set(faults) == {
        f"Bengal_1 is in both {TRAINVAL} and {TEST}",
        f"Bengal_99 is in {TEST}, but not in {LIST}",
        f"beagle_2 is '5 1 1' in {TRAINVAL}, but '5 2 1' in {LIST}",
        f"Abyssinian_4 is in {LIST}, but neither in {TRAINVAL} nor in {TEST}",
    }


def test_a_breed_of_two_species_is_named(pets: Path) -> None:
    for name in (LIST, TRAINVAL):
        replace_line(pets / name, "Bengal_2 6 1 2", "Bengal_2 6 2 2")
    (fault,) = read_lists(pets).faults
    assert fault == (f"{LIST}: Bengal_2 is '6 2 2', but Bengal_1 of the same breed is '6 1 2'")


def test_names_without_a_number_are_of_no_common_breed(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    lines = {TRAINVAL: "minka 1 1 1\n", TEST: "rex 2 2 1\n"}
    for name, text in {**lines, LIST: "".join(lines.values())}.items():
        (tmp_path / name).write_text(text)
    assert read_lists(tmp_path).faults == ()


@pytest.mark.parametrize(
    "line",
    [
        "../../etc/passwd 1 1 1",
        "/etc/passwd 1 1 1",
        ".hidden_1 1 1 1",
        "a/b_1 1 1 1",
        "Bengal_7 6 1",
        "Bengal_7 6 1 2 9",
        "Bengal_7 six 1 2",
        "Bengal_7 6 3 2",
        "Bengal_7 6 -1 2",
        "Bengal_7 6 1 " + "9" * 5000,
    ],
)
def test_lines_that_are_none_are_named_with_their_number(pets: Path, line: str) -> None:
    text = (pets / TEST).read_text()
    (pets / TEST).write_text(f"# a remark\n\n{line}\n{text}")
    (fault,) = read_lists(pets).faults
    assert fault.startswith(f"{TEST}:3: ") and line[:50] in fault


def test_lists_that_an_editor_of_windows_saved_are_the_same_lists(pets: Path) -> None:
    expected = read_lists(pets)
    for name in LISTS:
        text = (pets / name).read_text()
        (pets / name).write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())
    assert read_lists(pets) == expected and not expected.faults


def test_missing_empty_and_binary_lists_are_faults_not_tracebacks(pets: Path) -> None:
    (pets / LIST).unlink()
    (pets / TEST).write_bytes(b"")
    (pets / TRAINVAL).write_bytes(bytes(range(256)))
    faults = "\n".join(read_lists(pets).faults)
    for name in LISTS:
        assert name in faults
    assert f"{TEST}: lists no image" in faults
    (pets / TRAINVAL).write_text("Bengal_1 6 1 2\nBengal_1 6 1 2\n")
    assert f"{TRAINVAL}:2: Bengal_1 is listed twice" in read_lists(pets).faults


@pytest.mark.parametrize(
    ("classes", "mode"),
    [
        (("background", "animal"), "binary"),
        (("nothing", "beast"), "binary"),
        (("background", "cat", "dog"), "species"),
        (("0", "1", "2"), "species"),
        (("background", "animal", "border"), "trimap"),
        ((), "binary"),
    ],
)
def test_the_masks_that_classes_are_for(classes: tuple[str, ...], mode: str) -> None:
    assert mode_of(classes) == mode
