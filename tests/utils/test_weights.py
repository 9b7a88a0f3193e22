"""Where pretrained weights are looked for, and what is said when they are nowhere."""

import hashlib
import http.server
import io
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from seglab.utils import weights as module
from seglab.utils.errors import UserError
from seglab.utils.weights import (
    KNOWN_WEIGHTS,
    PretrainedWeights,
    find_weights,
    known_weights,
)

CONTENT = b"weights of a network"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any weights: every place points into an empty folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SEGLAB_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.chdir(tmp_path)
    fake = replace(KNOWN_WEIGHTS["mit_b2"], sha256=SHA256[:8], url="http://127.0.0.1:9/none.pth")
    monkeypatch.setitem(KNOWN_WEIGHTS, "mit_b2", fake)
    return tmp_path


def put(folder: Path, content: bytes = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / KNOWN_WEIGHTS["mit_b2"].filename
    path.write_bytes(content)
    return path


def test_order_path_then_local_then_cache(places: Path) -> None:
    cached = put(places / "torch" / "hub" / "checkpoints")
    assert find_weights("mit_b2") == cached
    local = put(places / "weights")
    assert find_weights("mit_b2") == local
    named = put(places / "mine")
    assert find_weights("mit_b2") == named
    given = places / "other.pth"
    given.write_bytes(b"anything")
    assert find_weights(str(given)) == given


def test_an_installed_package_carries_the_offline_default() -> None:
    path = find_weights("efficientnet_lite2")
    assert path.name == "efficientnet-lite2-9656183e.pth"


def test_a_damaged_file_is_refused(places: Path) -> None:
    put(places / "mine", b"torn")
    with pytest.raises(UserError, match=r"mit_b2_20220624-66e8bf70\.pth are damaged"):
        find_weights("mit_b2")


def test_offline_message_has_all_a_person_needs_within_ten_seconds(places: Path) -> None:
    start = time.perf_counter()
    with pytest.raises(UserError) as caught:
        find_weights("mit_b2")
    assert time.perf_counter() - start < 10
    text = str(caught.value)
    for needed in (
        "mit_b2_20220624-66e8bf70.pth",
        "http://",
        "MB",
        "sha256",
        "weights",
        "--from-scratch",
    ):
        assert needed in text


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts connections and never answers: a firewall that drops packets looks like this."""
    import socket

    server = socket.create_server(("127.0.0.1", 0))
    yield f"http://127.0.0.1:{server.getsockname()[1]}/x.pth"
    server.close()


def test_a_host_that_never_answers_is_given_up(
    places: Path, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    changed = replace(KNOWN_WEIGHTS["mit_b2"], url=silent_server)
    monkeypatch.setitem(KNOWN_WEIGHTS, "mit_b2", changed)
    start = time.perf_counter()
    with pytest.raises(UserError, match="could not be downloaded"):
        find_weights("mit_b2")
    assert time.perf_counter() - start < 5


def test_a_resolver_that_hangs_is_given_up(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A socket's time-out does not bound name resolution.
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: time.sleep(60))
    start = time.perf_counter()
    with pytest.raises(UserError, match="no answer within"):
        find_weights("mit_b2")
    assert time.perf_counter() - start < 5


@pytest.fixture
def stand_in_host(tmp_path: Path) -> Iterator[str]:
    """A stand-in for the official host: serves one file on 127.0.0.1."""
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "file.pth").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/file.pth"
    server.shutdown()


def test_download_is_verified_and_cached(
    places: Path, stand_in_host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = replace(KNOWN_WEIGHTS["mit_b2"], url=stand_in_host)
    monkeypatch.setitem(KNOWN_WEIGHTS, "mit_b2", good)
    path = find_weights("mit_b2")
    assert path.parent == places / "torch" / "hub" / "checkpoints"
    assert path.read_bytes() == CONTENT

    path.unlink()
    monkeypatch.setitem(KNOWN_WEIGHTS, "mit_b2", replace(good, sha256="00000000"))
    with pytest.raises(UserError, match="damaged"):
        find_weights("mit_b2")
    assert list(path.parent.iterdir()) == []  # a bad download leaves nothing behind


def test_a_download_that_breaks_off_leaves_nothing_behind(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but its size tells half of a file for which no checksum is published."""

    def answer(read: Callable[[int], bytes] | None = None) -> io.BytesIO:
        half = io.BytesIO(CONTENT[:7])
        half.headers = {"Content-Length": str(len(CONTENT))}  # type: ignore[attr-defined]
        half.read = read or half.read  # type: ignore[method-assign, assignment]
        return half

    monkeypatch.setattr(module, "_open_url", lambda url: answer())
    yolo = PretrainedWeights("y.pt", "y.pt", "", 7, "http://127.0.0.1:9/y.pt")
    with pytest.raises(UserError) as caught:
        module.find_published(yolo, "name another file")
    assert "broke off after 7 bytes" in str(caught.value) and "sha256" not in str(caught.value)
    assert list((places / "torch/hub/checkpoints").iterdir()) == []

    def stall(size: int) -> bytes:
        raise TimeoutError("timed out")

    monkeypatch.setattr(module, "_open_url", lambda url: answer(stall))
    with pytest.raises(UserError, match=r"could not be downloaded \(timed out\)"):
        module.find_published(yolo, "name another file")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("open-mmlab://resnet50_v1c", "resnet50_v1c"),
        ("https://elsewhere.org/a/mit_b0_20220624-7e0fe6dd.pth", "mit_b0"),
        ("mit_b0", "mit_b0"),
        ("mit_b9", None),
        ("https://elsewhere.org/other.pth", None),
    ],
)
def test_names_aliases_and_urls(spec: str, name: str | None) -> None:
    found = known_weights(spec)
    assert (found.name if found else None) == name


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UserError, match="neither a file nor one of .*mit_b2"):
        find_weights("mit_b9")


def test_openmmlab_names_carry_their_checksum() -> None:
    for weights in KNOWN_WEIGHTS.values():
        assert f"-{weights.sha256[:8]}.pth" in weights.filename
