"""The data set from the net, from archives and from a folder."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer
from PIL import Image

from seglab.data import prepare_oxford_pet
from seglab.data.preparing import oxford_pet as preparing
from seglab.data.preparing.oxford_pet import ARCHIVES, PetSource, check, prepare
from seglab.utils.download import PublishedFile
from seglab.utils.errors import UserError

NAMES = ("images", "annotations")


def pack(root: Path, into: Path) -> dict[str, Path]:
    """Both archives of a data set."""
    into.mkdir(exist_ok=True)
    for name in NAMES:
        with tarfile.open(into / f"{name}.tar.gz", "w:gz") as tar:
            tar.add(root / name, arcname=name)
    return {name: into / f"{name}.tar.gz" for name in NAMES}


def publish(archives: dict[str, Path], server: FileServer | None = None) -> list[PublishedFile]:
    """Say that these very archives are the published ones."""
    files = []
    for path in archives.values():
        data = path.read_bytes()
        url = server.url(path.name) if server else f"http://127.0.0.1:9/{path.name}"
        if server:
            server.files[f"/{path.name}"] = data
        files.append(PublishedFile(path.name, url, hashlib.sha256(data).hexdigest(), len(data)))
    return files


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_what_is_published_is_what_others_know_too() -> None:
    # The MD5 sums that torchvision checks are of files of these sizes and SHA-256 sums
    # (tensorflow_datasets' url_checksums/oxford_iiit_pet.txt lists the latter).
    images, annotations = ARCHIVES
    assert (images.size, images.sha256[:8]) == (791918971, "67195c5e")
    assert (annotations.size, annotations.sha256[:8]) == (19173078, "52425fb6")
    from torchvision.datasets import OxfordIIITPet

    assert [url for url, _ in OxfordIIITPet._RESOURCES] == [file.url for file in ARCHIVES]


def test_download_unpack_check(pets: Path, server: FileServer, tmp_path: Path) -> None:
    published = publish(pack(pets, tmp_path / "packed"), server)
    server.breaks_after = max(file.size for file in published) - 500  # the longer one, once
    out = tmp_path / "new" / "oxford_pet"
    source = PetSource(downloads=tmp_path / "downloads")
    assert prepare(source, out, published) == []
    assert snapshot(out) == snapshot(pets)
    assert check(out) == []
    asked = len(server.ranges)
    assert asked > 2
    assert prepare(source, out, published) == []  # it is there: only checked
    assert len(server.ranges) == asked
    assert [path.name for path in out.parent.iterdir()] == ["oxford_pet"]


def test_archives_by_hand_also_under_a_browsers_names(pets: Path, tmp_path: Path) -> None:
    archives = pack(pets, tmp_path / "packed")
    published = publish(archives)
    renamed = archives["images"].rename(tmp_path / "packed" / "images.tar (1).gz")
    given = (archives["annotations"], renamed)
    assert prepare(PetSource(archives=given), tmp_path / "out", published) == []
    assert snapshot(tmp_path / "out") == snapshot(pets)


def test_every_wrong_archive_is_named_before_anything_is_written(
    pets: Path, tmp_path: Path
) -> None:
    archives = pack(pets, tmp_path / "packed")
    published = publish(archives)
    data = archives["images"].read_bytes()
    archives["images"].write_bytes(data[:-100])  # a truncated download
    spoilt = bytearray(archives["annotations"].read_bytes())
    spoilt[30] ^= 1
    archives["annotations"].write_bytes(bytes(spoilt))
    given = (*archives.values(), tmp_path / "nowhere.tar.gz")
    with pytest.raises(UserError) as caught:
        prepare(PetSource(archives=given), tmp_path / "out", published)
    said = str(caught.value)
    assert "(3 faults)" in said and "nowhere.tar.gz: no such file" in said
    assert "images.tar.gz is truncated: it has" in said
    assert "annotations.tar.gz is not the published annotations.tar.gz: its sha256" in said
    with pytest.raises(UserError, match=r"annotations.tar.gz is not among the archives given"):
        prepare(PetSource(archives=given[:1]), tmp_path / "out", published)
    assert not (tmp_path / "out").exists()


def test_a_hostile_archive_leaves_nothing(pets: Path, tmp_path: Path) -> None:
    archives = pack(pets, tmp_path / "packed")
    with tarfile.open(archives["images"], "w:gz") as tar:
        tar.add(pets / "images", arcname="images")
        tar.addfile(tarfile.TarInfo("images/../../climbs"))
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"images/\.\./\.\./climbs: climbs out"):
        prepare(PetSource(archives=tuple(archives.values())), tmp_path / "out", publish(archives))
    assert {path.name for path in tmp_path.iterdir()} == before


def test_archives_without_a_listed_image_or_with_other_lists(pets: Path, tmp_path: Path) -> None:
    (pets / "images/Bengal_1.jpg").unlink()
    with (pets / "annotations/test.txt").open("a") as stream:
        stream.write("Bengal_2 6 1 2\n")
    archives = pack(pets, tmp_path / "packed")
    with pytest.raises(UserError) as caught:
        prepare(PetSource(archives=tuple(archives.values())), tmp_path / "out", publish(archives))
    assert "images/Bengal_1.jpg is listed but not in the archives" in str(caught.value)
    assert "Bengal_2 is in both" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_faults_of_the_published_files_are_said_and_do_not_stop(pets: Path, tmp_path: Path) -> None:
    path = pets / "images/Bengal_1.jpg"
    path.write_bytes(path.read_bytes()[:-100])
    archives = pack(pets, tmp_path / "packed")
    (finding,) = prepare(
        PetSource(archives=tuple(archives.values())), tmp_path / "out", publish(archives)
    )
    assert finding.code == "unreadable-image"
    assert finding.files == (str(tmp_path / "out/images/Bengal_1.jpg"),)


def test_a_folder_is_checked_and_copied(
    pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (pets / "annotations/trimaps/._Bengal_1.png").write_bytes(b"of macOS")
    before = snapshot(pets)
    assert prepare_oxford_pet.main(["--folder", str(pets), "--out", str(out)]) == 0
    assert f"--data-root {out}" in capsys.readouterr().out
    assert snapshot(pets) == before
    del before["annotations/trimaps/._Bengal_1.png"]
    assert snapshot(out) == before


def test_grey_and_cmyk_photographs_of_a_folder_are_named(
    pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, mode in (("Bengal_1", "L"), ("beagle_2", "CMYK")):
        path = pets / f"images/{name}.jpg"
        Image.open(path).convert(mode).save(path)
    out = tmp_path / "out"
    assert prepare_oxford_pet.main(["--folder", str(pets), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Bengal_1.jpg (mode L)" in said and "beagle_2.jpg (mode CMYK)" in said
    assert "a training would stop" not in said
    assert prepare_oxford_pet.main(["--folder", str(pets), "--out", str(out)]) == 0
    assert "already holds the data set" in capsys.readouterr().out


def test_all_faults_of_a_folder_at_once(pets: Path, tmp_path: Path) -> None:
    Image.new("L", (24, 18), 9).save(pets / "annotations/trimaps/beagle_1.png")
    (pets / "images/Bengal_1.jpg").unlink()
    with pytest.raises(UserError) as caught:
        prepare(PetSource(folder=pets), tmp_path / "out")
    assert "beagle_1.png (value 9)" in str(caught.value) and "Bengal_1.jpg" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_each_of_many_faulty_files_is_named(pets: Path, tmp_path: Path) -> None:
    trimaps = sorted((pets / "annotations/trimaps").iterdir())
    for path in trimaps:
        Image.new("L", (24, 18), 9).save(path)
    with pytest.raises(UserError) as caught:
        prepare(PetSource(folder=pets), tmp_path / "out")
    assert [path for path in trimaps if f"{path.name} (value 9)" not in str(caught.value)] == []


def test_nothing_of_the_users_is_overwritten(pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match=r"is not empty \(it holds thesis.txt\)"):
        prepare(PetSource(folder=pets), out)
    with pytest.raises(UserError, match="is a file"):
        prepare(PetSource(folder=pets), out / "thesis.txt")
    with pytest.raises(UserError, match="exclude each other"):
        prepare_oxford_pet.main(["--folder", str(pets), "--archives", "a.gz", "--out", str(out)])
    with pytest.raises(UserError, match="is no folder"):
        prepare_oxford_pet.main(["--folder", str(tmp_path / "nowhere")])
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_without_a_net_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = (PublishedFile("images.tar.gz", "http://127.0.0.1:9/i.gz", "0" * 64, 5),)
    with pytest.raises(UserError) as caught:
        prepare(PetSource(downloads=tmp_path / "d"), tmp_path / "out", nobody)
    assert "--archives" in caught.value.fix
    assert all(file.url in caught.value.fix for file in ARCHIVES)  # not only the first
    assert not (tmp_path / "out").exists()


def test_archives_downloaded_earlier_are_judged_together(pets: Path, tmp_path: Path) -> None:
    archives = pack(pets, tmp_path / "packed")
    published = publish(archives)
    for path in archives.values():
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError) as caught:
        prepare(PetSource(downloads=tmp_path / "packed"), tmp_path / "out", published)
    assert str(caught.value).count("is truncated: it has") == 2


@pytest.mark.shared
def test_the_real_sample(shared_dir: Path, tmp_path: Path) -> None:
    sample = shared_dir / "data" / "oxford_pet_sample"
    assert prepare(PetSource(folder=sample), tmp_path / "out") == []
    assert len(list((tmp_path / "out/images").iterdir())) == 180
    assert preparing.check(tmp_path / "out") == []
