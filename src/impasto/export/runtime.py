"""ONNX Runtime Web for the page, from the npm registry or a folder."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import ChecksumMismatch, WeightsError
from impasto.core.paths import sha256_of
from impasto.weights.catalogue import CatalogueEntry, fetched
from impasto.weights.download import Progress

VERSION = "1.30.0"

PACKAGE = CatalogueEntry(
    name="onnxruntime-web",
    kind="runtime",
    checkpoint_format="npm package",
    urls=(f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz",),
    sha256="d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
    size_bytes=33_106_585,
    licence="MIT",
    about="ONNX Runtime for browsers, by Microsoft",
)

INSTEAD = "or set `runtime` to a folder with its files"


@dataclass(frozen=True)
class RuntimeFiles:
    """The files of a build of the runtime: script, loader of the WebAssembly module, and the module."""

    script: str
    loader: str
    binary: str


WASM = RuntimeFiles("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""For every current browser; the fastest build on a CPU."""

WEBGPU = RuntimeFiles("ort.jspi.min.js", "ort-wasm-simd-threaded.jspi.mjs", "ort-wasm-simd-threaded.jspi.wasm")
"""With WebGPU, for browsers with JavaScript Promise Integration (JSPI). The build without JSPI is 1.5 times as large,
and takes four times as long on a CPU."""


def runtime_files(
    engine: RuntimeFiles, *, folder: Path | None = None, progress: Progress | None = None
) -> dict[str, bytes]:
    """The files of `engine` by name, from `folder` (or its subfolder `dist`), or from the npm package.

    The package is downloaded once to the cache folder. Raises `WeightsError` and its kinds, also for missing files and
    for files of another version.
    """
    names = (engine.script, engine.loader, engine.binary)
    files = dict(_from_package(names, progress) if folder is None else _from_folder(names, folder))
    if f"v{VERSION}".encode() not in files[engine.script][:1000]:
        raise WeightsError(
            f"{engine.script} in {folder} is not of version {VERSION} of onnxruntime-web. Use that version."
        )
    return files


def _from_folder(names: tuple[str, ...], folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in names:
        places = [place / name for place in (folder.expanduser(), folder.expanduser() / "dist")]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise WeightsError(
                f"{folder} has no {name}, which the package onnxruntime-web {VERSION} has in its folder dist. Set "
                "`runtime` to that folder, or omit it to download the package."
            )
        yield name, found.read_bytes()


def _from_package(names: tuple[str, ...], progress: Progress | None) -> Iterator[tuple[str, bytes]]:
    path = fetched(PACKAGE, progress=progress, instead=INSTEAD)
    if (digest := sha256_of(path)) != PACKAGE.sha256:
        raise ChecksumMismatch(f"{path} has the sha256 {digest}; {PACKAGE.sha256} is needed. Delete it, and try again.")
    with tarfile.open(path) as package:
        for name in names:
            member = package.extractfile(f"package/dist/{name}")
            if member is None:
                raise WeightsError(f"{path} has no {name}.")
            yield name, member.read()
