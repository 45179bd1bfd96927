"""Where the runtime of the page comes from."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from impasto.core.errors import ChecksumMismatch, DownloadFailed, WeightsError
from impasto.export import runtime
from impasto.export.runtime import PACKAGE, VERSION, WASM, runtime_files

FILES = {
    WASM.script: f"/* ONNX Runtime Web v{VERSION} */".encode(),
    WASM.loader: b"export default 1;",
    WASM.binary: b"\0asm",
}


@pytest.fixture
def package() -> bytes:
    """A package of the files of one build."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in FILES.items():
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def registry(package: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A local registry with the package, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(package)))
            self.end_headers()
            self.wfile.write(package)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/onnxruntime-web-{VERSION}.tgz"
    digest = hashlib.sha256(package).hexdigest()
    monkeypatch.setattr(
        runtime, "PACKAGE", dataclasses.replace(PACKAGE, urls=(url,), sha256=digest, size_bytes=len(package))
    )
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("IMPASTO_OFFLINE", raising=False)
    monkeypatch.delenv("IMPASTO_MIRROR", raising=False)
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_package_is_fetched_once(registry: list[str]) -> None:
    assert runtime_files(WASM) == FILES
    assert runtime_files(WASM) == FILES
    assert len(registry) == 1


def test_a_package_that_was_changed_in_the_cache_is_refused(registry: list[str], tmp_path: Path) -> None:
    runtime_files(WASM)
    path = tmp_path / "cache" / f"onnxruntime-web-{VERSION}.tgz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ChecksumMismatch, match="Delete it"):
        runtime_files(WASM)


def test_another_package_is_refused(registry: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "PACKAGE", dataclasses.replace(runtime.PACKAGE, sha256="0" * 64))
    with pytest.raises(ChecksumMismatch):
        runtime_files(WASM)


def test_offline_the_folder_is_named(registry: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    with pytest.raises(DownloadFailed, match="set `runtime` to a folder with its files"):
        runtime_files(WASM)
    assert registry == []


@pytest.mark.parametrize("place", ["", "dist"])
def test_a_folder_is_enough(place: str, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    for name, data in FILES.items():
        (tmp_path / place / name).write_bytes(data)
    assert runtime_files(WASM, folder=tmp_path) == FILES


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no ort\.wasm\.min\.js, which the package onnxruntime-web"):
        runtime_files(WASM, folder=tmp_path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data.replace(VERSION.encode(), b"0.1.0"))
    with pytest.raises(WeightsError, match=f"not of version {VERSION}"):
        runtime_files(WASM, folder=tmp_path)
