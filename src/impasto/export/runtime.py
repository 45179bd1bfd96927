"""ONNX Runtime Web, the engine of the page: from the npm registry, or from a folder."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import ChecksumMismatch, WeightsError
from impasto.core.paths import sha256_of
from impasto.weights.catalogue import Entry, fetched
from impasto.weights.download import Progress

VERSION = "1.30.0"

PACKAGE = Entry(
    name="onnxruntime-web",
    kind="runtime",
    checkpoint_format="npm package",
    urls=(f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz",),
    sha256="d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
    size_bytes=33_106_585,
    licence="MIT",
    about="ONNX Runtime for browsers, of Microsoft",
)

INSTEAD = "or name a folder that has its files with `runtime`"


@dataclass(frozen=True)
class Engine:
    """The files of one build of the runtime: its script, the loader of its WebAssembly module, and that module."""

    script: str
    loader: str
    binary: str


WASM = Engine("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""The fastest on a processor, for every browser of these years."""

WEBGPU = Engine("ort.jspi.min.js", "ort-wasm-simd-threaded.jspi.mjs", "ort-wasm-simd-threaded.jspi.wasm")
"""With WebGPU, for browsers that suspend WebAssembly for a promise (JSPI); the build without JSPI is half as large
again, and takes four times as long on a processor."""


def runtime_files(engine: Engine, *, folder: Path | None = None, progress: Progress | None = None) -> dict[str, bytes]:
    """The files of `engine` by name: from `folder`, which has them itself or in `dist`, or from the npm package.

    The package is downloaded once, into the cache folder. Raises `WeightsError` for files that are missing or of
    another version, and its kinds.
    """
    names = (engine.script, engine.loader, engine.binary)
    files = dict(_from_package(names, progress) if folder is None else _from_folder(names, folder))
    if f"v{VERSION}".encode() not in files[engine.script][:1000]:
        raise WeightsError(f"{engine.script} in {folder} is not of version {VERSION} of onnxruntime-web. Get that one.")
    return files


def _from_folder(names: tuple[str, ...], folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in names:
        places = [place / name for place in (folder.expanduser(), folder.expanduser() / "dist")]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise WeightsError(
                f"{folder} has no {name}; the package onnxruntime-web {VERSION} has it in dist. "
                "Name that folder, or leave out `runtime` to download it."
            )
        yield name, found.read_bytes()


def _from_package(names: tuple[str, ...], progress: Progress | None) -> Iterator[tuple[str, bytes]]:
    path = fetched(PACKAGE, progress=progress, instead=INSTEAD)
    if (digest := sha256_of(path)) != PACKAGE.sha256:
        raise ChecksumMismatch(f"{path} has the sha256 {digest}; {PACKAGE.sha256} is right. Delete it, and try again.")
    with tarfile.open(path) as package:
        for name in names:
            member = package.extractfile(f"package/dist/{name}")
            if member is None:
                raise WeightsError(f"{path} has no {name}.")
            yield name, member.read()
