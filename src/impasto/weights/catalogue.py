"""The weights that can be used by name: bundled, published for download, or imported."""

from __future__ import annotations

import importlib.resources
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from impasto.core.errors import ChecksumMismatch, DownloadFailed, OptionError, UnknownName, WeightsError
from impasto.core.paths import cache_dir, sha256_of
from impasto.weights.download import Download, Progress, check_digest
from impasto.weights.signatures import check_regular

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".tar", ".model", ".ckpt", ".index", ".onnx", ".bin", ".npz", ".t7")

MANIFEST = "manifest.json"
"""The list of variables in a deeplearn.js folder."""

FAST = "fast"
"""The kind of networks of trained styles, of one or of several."""

INSTEAD = "import a copy (impasto models import FILE), or use the bundled encoder (`encoder=compact-vgg`)"
"""What to do where weights cannot be downloaded."""


@dataclass(frozen=True, kw_only=True)
class CatalogueEntry:
    """One row of the catalogue.

    `checkpoint_format` is the name of its reader, `sha256` the digest in hex or the published first digits of it (8 or
    more), `bundled` the file's name where it comes with the package, `small` the name of a network that paints the
    same styles with less arithmetic, for films and live pictures.
    """

    name: str
    kind: str
    checkpoint_format: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    size_bytes: int | None = None
    licence: str
    about: str
    bundled: str | None = None
    small: str | None = None

    def __post_init__(self) -> None:
        check_digest(self.sha256, self.name)
        if (self.bundled is None) == (not self.urls):
            raise OptionError(f"catalogue entry {self.name!r} needs either urls or a bundled file.")

    @property
    def file_name(self) -> str:
        """The file's name in the package or in the cache folder."""
        return self.bundled if self.bundled is not None else self.urls[0].rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """Weights that are on this machine."""

    name: str
    path: Path
    origin: Literal["bundled", "downloaded", "imported"]
    size_bytes: int


_UMICH = "https://web.eecs.umich.edu/~justincj/models/"
_JOHNSON_S3 = "https://s3-us-west-2.amazonaws.com/jcjohns-models/"
_TORCHVISION_LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet"
_OXFORD_LICENCE = "CC BY 4.0 (Simonyan and Zisserman, Oxford VGG); trained on ImageNet"


def _our_own(name: str, kind: str, *, about: str, small: str | None = None) -> CatalogueEntry:
    """Weights of our own, in the package."""
    return CatalogueEntry(
        name=name,
        kind=kind,
        checkpoint_format="impasto",
        licence="MIT",
        about=f"{about}; comes with the package, needs no network connection",
        bundled=f"{name}.safetensors",
        small=small,
    )


CATALOGUE: dict[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        _our_own("compact-vgg", "encoder", about="our own compact VGG"),
        _our_own(
            "compact-any", "arbitrary", about="our own network that paints in any style", small="compact-any-half"
        ),
        _our_own(
            "compact-any-half", "arbitrary", about="paints in any style with a quarter of the arithmetic of compact-any"
        ),
        _our_own("compact-styles", FAST, about="our own network of trained styles", small="compact-styles-half"),
        _our_own("compact-styles-half", FAST, about="the styles of compact-styles with a quarter of the arithmetic"),
        CatalogueEntry(
            name="vgg16",
            kind="encoder",
            checkpoint_format="torchvision-vgg",
            urls=("https://download.pytorch.org/models/vgg16-397923af.pth",),
            sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            size_bytes=553_433_881,
            licence=_TORCHVISION_LICENCE,
            about="VGG-16 as trained by torchvision",
        ),
        CatalogueEntry(
            name="vgg19",
            kind="encoder",
            checkpoint_format="torchvision-vgg",
            urls=("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",),
            sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
            size_bytes=574_673_361,
            licence=_TORCHVISION_LICENCE,
            about="VGG-19 as trained by torchvision",
        ),
        CatalogueEntry(
            name="vgg16-caffe",
            kind="encoder",
            checkpoint_format="caffe-vgg",
            urls=(_UMICH + "vgg16-00b39a1b.pth", _JOHNSON_S3 + "vgg16-00b39a1b.pth"),
            sha256="00b39a1b",
            licence=_OXFORD_LICENCE,
            about="the original VGG-16 of 2014, converted from Caffe by Justin Johnson",
        ),
        CatalogueEntry(
            name="vgg19-caffe",
            kind="encoder",
            checkpoint_format="caffe-vgg",
            urls=(_UMICH + "vgg19-d01eb7cb.pth", _JOHNSON_S3 + "vgg19-d01eb7cb.pth"),
            sha256="d01eb7cb",
            licence=_OXFORD_LICENCE,
            about="the original VGG-19 of 2014, converted from Caffe by Justin Johnson (used by neural-style-pt)",
        ),
        CatalogueEntry(
            name="vgg19-normalised",
            kind="encoder",
            checkpoint_format="adain-vgg",
            urls=("https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0/vgg_normalised.pth",),
            licence="see source",
            about="VGG-19 rescaled to unit mean activation, with reflection padding: the encoder of AdaIN",
        ),
        CatalogueEntry(
            name="vgg19-gatys",
            kind="encoder",
            checkpoint_format="gatys-vgg",
            urls=("https://bethgelab.org/media/uploads/pytorch_models/vgg_conv.pth",),
            licence="see source",
            about="the VGG-19 of Leon Gatys' own PyTorch code (the server has probably dropped it)",
        ),
    )
}


def located(name_or_path: str | Path, *, progress: Progress | None = None, allow_unverified: bool = False) -> Path:
    """The file of a catalogue name, an imported name, or a path (also of a deeplearn.js folder).

    A published file is downloaded into the cache folder first if necessary: from the server of `IMPASTO_MIRROR` (a
    base address; the file name is appended) if it is set, then from its own; never with `IMPASTO_OFFLINE=1`.
    `allow_unverified` accepts files without a published checksum. Raises `UnknownName`, or `WeightsError` where the
    file is missing or not a regular file.
    """
    path = Path(os.path.expanduser(name_or_path))
    if os.path.exists(path):  # false, not an error, for impossible paths
        if not path.is_dir():
            check_regular(path)
        if path.is_file() or is_weight_folder(path):
            return path
    name = str(name_or_path)
    entry = CATALOGUE.get(name)
    if entry is not None:
        if entry.bundled is not None:
            return _bundled(entry)
        return fetched(entry, progress=progress, allow_unverified=allow_unverified)
    if path.name != name or path.suffix in WEIGHT_SUFFIXES:
        raise WeightsError(f"the weight file {name} does not exist. Give an existing path, or a name of the catalogue.")
    mine = _imported_names()
    if name not in mine:
        raise UnknownName.of("weights", name, known={*CATALOGUE, *mine})
    return imported_path(name)


def is_weight_folder(path: str | Path) -> bool:
    """Whether a path is a deeplearn.js folder."""
    return os.path.isfile(os.path.join(os.path.expanduser(path), MANIFEST))


def imported_path(name: str) -> Path:
    """Where the imported weights `name` are kept. Raises `OptionError` for a name that cannot be one."""
    if name in CATALOGUE:
        raise OptionError(f"{name!r} is a name of the catalogue; choose another for your import.")
    if not _may_name(name):
        raise OptionError(
            f"{name!r} cannot name weights; use letters, digits and . _ + -, first a letter or digit, no file ending."
        )
    return _imported_folder() / f"{name}.safetensors"


def installed() -> list[Installed]:
    """All weights that are on this machine, whole: bundled, then downloaded, then imported, each by name."""
    installed = []
    for entry in sorted(CATALOGUE.values(), key=lambda e: (e.bundled is None, e.name)):
        path = _bundled_path(entry.bundled) if entry.bundled is not None else cache_dir() / entry.file_name
        origin: Literal["bundled", "downloaded"] = "downloaded" if entry.bundled is None else "bundled"
        if path.is_file():
            installed.append(Installed(name=entry.name, path=path, origin=origin, size_bytes=path.stat().st_size))
    for name in _imported_names():
        path = imported_path(name)
        installed.append(Installed(name=name, path=path, origin="imported", size_bytes=path.stat().st_size))
    return installed


def entry_of(sha256: str) -> CatalogueEntry | None:
    """The catalogue's row for a file with this whole digest."""
    rows = (entry for entry in CATALOGUE.values() if entry.sha256 is not None)
    return next((entry for entry in rows if sha256.startswith(str(entry.sha256).lower())), None)


def _bundled(entry: CatalogueEntry) -> Path:
    path = _bundled_path(entry.file_name)
    if not path.is_file():
        raise WeightsError(f"{entry.file_name} is missing from this installation; install impasto again.")
    return path


def _bundled_path(file_name: str) -> Path:
    return Path(str(importlib.resources.files("impasto.weights"))) / "files" / file_name


def fetched(
    entry: CatalogueEntry, *, progress: Progress | None = None, allow_unverified: bool = False, instead: str = INSTEAD
) -> Path:
    """The published file of `entry` in the cache folder, downloaded if missing: see `located`.

    `instead` is the hint if that fails.
    """
    target = cache_dir() / entry.file_name
    if target.is_file():
        size_bytes = target.stat().st_size
        if entry.size_bytes is not None and size_bytes != entry.size_bytes:
            raise ChecksumMismatch(
                f"{target} has {size_bytes} bytes; {entry.name} has {entry.size_bytes}. "
                f"Delete it (impasto models remove {entry.name}) and fetch it again."
            )
        return target
    if os.environ.get("IMPASTO_OFFLINE", "0") not in ("", "0"):
        raise DownloadFailed(
            f"{entry.name} is not on this machine and IMPASTO_OFFLINE forbids downloads. Put {entry.file_name} into "
            f"{cache_dir()}, {instead}."
        )
    mirror = os.environ.get("IMPASTO_MIRROR", "")
    mirrored = (f"{mirror.rstrip('/')}/{entry.file_name}",) if mirror else ()
    try:
        Download(
            target=target,
            sha256=entry.sha256,
            progress=progress,
            allow_unverified=allow_unverified,
            size_bytes=entry.size_bytes,
        ).fetch(*mirrored, *entry.urls)
    except DownloadFailed as error:
        raise DownloadFailed(f"{error} Set IMPASTO_MIRROR to a server with {entry.file_name}, {instead}.") from error
    return target


def check_cached(name: str, path: Path) -> None:
    """Raise `ChecksumMismatch` if `path` is the downloaded file of `name` with another digest than published."""
    entry = CATALOGUE.get(name)
    if entry is not None and entry.bundled is None and path == cache_dir() / entry.file_name:
        check_digest_of(entry, sha256_of(path))


def check_digest_of(entry: CatalogueEntry, sha256: str) -> None:
    """Raise `ChecksumMismatch` if the digest of an entry's file on this machine is not the published one."""
    if entry.sha256 is not None and not sha256.startswith(entry.sha256.lower()):
        raise ChecksumMismatch(
            f"{cache_dir() / entry.file_name} has the sha256 {sha256}; {entry.name} has {entry.sha256}. "
            f"Delete it (impasto models remove {entry.name}) and fetch it again."
        )


def remove_weights(name: str) -> Path:
    """Delete downloaded or imported weights from this machine; the path of the deleted file.

    Raises `OptionError` for bundled weights, `WeightsError` for unknown names.
    """
    entry = CATALOGUE.get(name)
    if entry is not None and entry.bundled is not None:
        raise OptionError(f"{name} is part of the package and cannot be removed.")
    if entry is None and name not in (mine := _imported_names()):
        raise UnknownName.of("weights on this machine", name, known=mine)
    path = imported_path(name) if entry is None else cache_dir() / entry.file_name
    try:
        path.unlink()
    except OSError as error:
        raise WeightsError(f"{name} cannot be removed ({path}: {error.strerror or error}).") from error
    return path


def _imported_folder() -> Path:
    return cache_dir() / "imported"


def _imported_names() -> list[str]:
    files = (file for file in _imported_folder().glob("*.safetensors") if file.is_file())
    return sorted(file.stem for file in files if _may_name(file.stem) and file.stem not in CATALOGUE)


def _may_name(name: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name)) and not name.endswith(WEIGHT_SUFFIXES)
