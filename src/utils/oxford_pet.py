"""The Oxford-IIIT Pet data set: its lists, its splits and what its trimaps mean.

The official layout is `images/NAME.jpg`, `annotations/{list,trainval,test}.txt` and
`annotations/trimaps/NAME.png` (Parkhi et al., "Cats and Dogs", CVPR 2012). A line of a list is
`NAME CLASS-ID SPECIES BREED-ID`: the class (1 to 37) is the breed, the species is 1 for cats and
2 for dogs, the last column counts the breeds within a species. A trimap's pixels are 1 on the
animal, 2 on the background and 3 on the border between them, "not classified".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json

IMAGES = "images"
TRIMAPS = "annotations/trimaps"
LIST, TRAINVAL, TEST = (f"annotations/{name}.txt" for name in ("list", "trainval", "test"))
LISTS = (LIST, TRAINVAL, TEST)
IMAGE_SUFFIX, TRIMAP_SUFFIX = ".jpg", ".png"

#: Pixel value of a trimap -> its name.
TRIMAP_VALUES = {1: "animal", 2: "background", 3: "border"}
IGNORED = 255
SPLITS = ("train", "val", "trainval", "test")
#: Mode -> its classes, in the order of their labels.
MODES: dict[str, tuple[str, ...]] = {
    "binary": ("background", "animal"),
    "species": ("background", "cat", "dog"),
    "trimap": ("background", "animal", "border"),
}
BORDERS = ("ignore", "foreground", "background")
#: The share of each breed's trainval images that is val.
VAL_SHARE = 0.2

#: What `prepare-oxford-pet --mask-folders` leaves beside its folders, and what it calls itself.
FOLDERS_RECORD, FOLDERS_FORMAT = "dataset.json", "seglab-oxford-pet-folders"

_SPECIES = {1: "cat", 2: "dog"}
_NAME = re.compile(r"\w[\w.-]*")
_NUMBER = re.compile(r"\d{1,4}")


@dataclass(frozen=True)
class Pet:
    """One line of a list.

    Attributes:
        name: Name of the image without its suffix.
        breed: Class id.
        species: 1 cat, 2 dog.
        number: The breed's number within its species.
    """

    name: str
    breed: int
    species: int
    number: int


@dataclass(frozen=True)
class PetLists:
    """What the three lists say.

    Attributes:
        pets: List (`annotations/trainval.txt`) -> its images in their order, each once.
        faults: What is wrong in them or between them, each naming file and image.
    """

    pets: Mapping[str, tuple[Pet, ...]]
    faults: tuple[str, ...]

    def split(self, name: str, exclude: Collection[str] = ()) -> list[Pet]:
        """The images of 'train', 'val', 'trainval' or 'test', sorted by name.

        'train' and 'val' are the same parts of 'trainval' on every machine, see `val_names`.

        Args:
            name: The split.
            exclude: Names of images to leave out; the others stay in their splits.

        Raises:
            ValueError: There is no such split.
        """
        if name not in SPLITS:
            raise ValueError(f"{name!r} is no split")
        pets = sorted(self.pets[TEST if name == "test" else TRAINVAL], key=lambda pet: pet.name)
        if name in ("train", "val"):
            held_out = val_names(pets)
            pets = [pet for pet in pets if (pet.name in held_out) == (name == "val")]
        return [pet for pet in pets if pet.name not in exclude]

    def unknown(self, names: Iterable[str]) -> list[str]:
        """What is wrong with names to leave out: those that no list has."""
        known = {pet.name for pets in self.pets.values() for pet in pets}
        return [f"exclude: no list has {name!r}" for name in names if name not in known]


def read_lists(root: Path) -> PetLists:
    """Read and compare the lists of a data set.

    Args:
        root: The data root.

    Returns:
        Their images and every fault, those of missing files included.
    """
    pets: dict[str, tuple[Pet, ...]] = {}
    faults: list[str] = []
    for name in LISTS:
        try:
            text = (root / name).read_text(encoding="utf-8-sig", errors="replace")
        except OSError as error:
            faults.append(f"{name}: {error.strerror}")
            text = ""
        pets[name], found = _parse(name, text)
        faults += found
    # A list that could not be read would disagree with the others in every image.
    if all((root / name).is_file() for name in LISTS):
        faults += _disagreements(pets)
    return PetLists(pets, tuple(faults))


def val_names(trainval: Iterable[Pet]) -> set[str]:
    """The val part of trainval: of each breed, `VAL_SHARE` of the images, at least one of two.

    Which ones is decided by the SHA-256 of their names: the same on every machine, in every
    version of every library, and in whatever order they are listed.

    Args:
        trainval: The images of trainval.
    """
    breeds: dict[int, list[str]] = {}
    for pet in trainval:
        breeds.setdefault(pet.breed, []).append(pet.name)
    chosen: set[str] = set()
    for names in breeds.values():
        count = max(round(VAL_SHARE * len(names)), int(len(names) > 1))
        chosen.update(sorted(names, key=_rank)[:count])
    return chosen


def _rank(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def files_of(pet: Pet) -> tuple[str, str]:
    """Where the photograph and the trimap of an image lie, from the data root on."""
    return f"{IMAGES}/{pet.name}{IMAGE_SUFFIX}", f"{TRIMAPS}/{pet.name}{TRIMAP_SUFFIX}"


def folders_hint(root: Path, mode: str = "binary") -> str:
    """What to do with a data set in the official layout where folders of masks are needed.

    Args:
        root: A data root.
        mode: Of the masks that are needed: masks of another would be taken for other classes.

    Returns:
        A sentence with the command; empty where `root` is not in the official layout.
    """
    if not is_official(root):
        return ""
    return (
        f"{root} is Oxford-IIIT Pet in its official layout: write it as folders with "
        f"`{folders_command(root, mode)}`, and give DIR"
    )


def folders_command(root: Path, mode: str) -> str:
    """The command that writes the official layout as folders of masks of a mode."""
    return f"seglab prepare-oxford-pet --out {root} --mask-folders DIR --mode {mode}"


def mode_of(classes: Sequence[str]) -> str:
    """The mode whose masks a config's classes are for: the one of these names, or so many."""
    named = {names: mode for mode, names in MODES.items()}
    numbered = {len(names): mode for mode, names in reversed(MODES.items())}
    return named.get(tuple(classes), numbered.get(len(classes), "binary"))


def other_masks(root: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes of folders of masks that are not those of a config.

    Args:
        root: A data root.
        classes: The config's class names. Other names for the same classes are taken.

    Returns:
        The classes of the masks; empty where they fit, or where no such record lies there.
    """
    try:
        record = read_json(root / FOLDERS_RECORD)
    except UserError:
        return ()
    ours = isinstance(record, Mapping) and record.get("format") == FOLDERS_FORMAT
    written = MODES.get(str(record.get("mode")), ()) if ours else ()
    of_another = tuple(classes) in MODES.values() and tuple(classes) != written
    return written if written and (of_another or len(classes) != len(written)) else ()


def is_official(root: Path) -> bool:
    """Whether a folder is laid out as the data set's authors do it."""
    return (root / IMAGES).is_dir() and any((root / name).is_file() for name in LISTS)


def as_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Names to leave out; one alone may be given without brackets around it."""
    return (names,) if isinstance(names, str) else tuple(names)


def label_map(mode: str, border: str, species: int) -> dict[int, int]:
    """What each value of a trimap becomes.

    Args:
        mode: A mode of `MODES`.
        border: What the border counts as, of `BORDERS`; the mode 'trimap' keeps it as a class.
        species: The animal's, for the mode 'species'.

    Returns:
        Value of the trimap -> label, `IGNORED` where the pixel does not count.
    """
    animal = species if mode == "species" else 1
    edge = {"ignore": IGNORED, "foreground": animal, "background": 0}[border]
    return {1: animal, 2: 0, 3: 2 if mode == "trimap" else edge}


def option_faults(split: str, mode: str, border: str, classes: Sequence[str] = ()) -> list[str]:
    """What is wrong with the options of a data set, all of it.

    Args:
        split: As in `SPLITS`.
        mode: As in `MODES`.
        border: As in `BORDERS`.
        classes: The class names given; empty for the mode's own.
    """
    faults = [
        f"{key} is {value!r}: use one of {', '.join(known)}"
        for key, value, known in (
            ("split", split, SPLITS),
            ("mode", mode, tuple(MODES)),
            ("border", border, BORDERS),
        )
        if value not in known
    ]
    if mode == "trimap" and border in ("foreground", "background"):
        faults.append(f"border is {border!r}, but in mode 'trimap' the border is a class itself")
    if mode in MODES and classes and len(classes) != len(MODES[mode]):
        faults.append(
            f"metainfo.classes are {', '.join(classes)}, but mode {mode!r} has "
            f"{len(MODES[mode])} classes ({', '.join(MODES[mode])})"
        )
    return faults


def _parse(name: str, text: str) -> tuple[tuple[Pet, ...], list[str]]:
    """The images of one list, and what is wrong with its lines."""
    pets: dict[str, Pet] = {}
    faults = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        pet = _parse_line(line)
        if pet is None:
            faults.append(f"{name}:{number}: {line[:60]!r} is not NAME CLASS-ID SPECIES BREED-ID")
        elif pet.name in pets:
            faults.append(f"{name}:{number}: {pet.name} is listed twice")
        else:
            pets[pet.name] = pet
    if not pets:
        faults.append(f"{name}: lists no image")
    return tuple(pets.values()), faults


def _parse_line(line: str) -> Pet | None:
    words = line.split()
    # A name is looked up as a file: one that climbs out of the folder is none.
    if len(words) != 4 or not _NAME.fullmatch(words[0]):
        return None
    if not all(_NUMBER.fullmatch(word) for word in words[1:]):
        return None
    pet = Pet(words[0], *map(int, words[1:]))
    return pet if pet.species in _SPECIES else None


def _disagreements(lists: Mapping[str, Sequence[Pet]]) -> list[str]:
    """Where the lists contradict one another, or a list contradicts itself."""
    known = {pet.name: pet for pet in lists[LIST]}
    by_split = {name: {pet.name: pet for pet in lists[name]} for name in (TRAINVAL, TEST)}
    faults = [
        f"{name} is in both {TRAINVAL} and {TEST}"
        for name in by_split[TRAINVAL]
        if name in by_split[TEST]
    ]
    for split, pets in by_split.items():
        for pet in pets.values():
            if pet.name not in known:
                faults.append(f"{pet.name} is in {split}, but not in {LIST}")
            elif pet != known[pet.name]:
                said, other = _columns(pet), _columns(known[pet.name])
                faults.append(f"{pet.name} is {said} in {split}, but {other} in {LIST}")
    faults += [
        f"{name} is in {LIST}, but neither in {TRAINVAL} nor in {TEST}"
        for name in known
        if not any(name in pets for pets in by_split.values())
    ]
    return faults + _torn_breeds(lists[LIST])


def _torn_breeds(pets: Sequence[Pet]) -> list[str]:
    """Images whose columns differ from those of the other images of the same breed by name."""
    faults = []
    first: dict[str, Pet] = {}
    for pet in pets:
        breed = pet.name.rpartition("_")[0] or pet.name  # a name without a number is one image
        other = first.setdefault(breed, pet)
        if _columns(pet) != _columns(other):
            faults.append(
                f"{LIST}: {pet.name} is {_columns(pet)}, but {other.name} of the same breed is "
                f"{_columns(other)}"
            )
    return faults


def _columns(pet: Pet) -> str:
    return f"'{pet.breed} {pet.species} {pet.number}'"
