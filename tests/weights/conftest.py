"""An empty cache folder for every test, and a file server with faults on demand."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("IMPASTO_CACHE", str(folder))
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("IMPASTO_MIRROR", "IMPASTO_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@dataclass
class Served:
    """What the server gives, and what it was asked: `(path, Range header)`."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    says_length: bool = True
    cuts: list[int] = field(default_factory=list)  # body bytes after which each of the next answers breaks off
    statuses: list[int] = field(default_factory=list)  # of the next answers
    wrong_range: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_GET(self) -> None:
            asked_range = self.headers.get("Range")
            served.asked.append((self.path, asked_range))
            if served.statuses:
                return self._end(served.statuses.pop(0))
            if self.path not in served.files:
                return self._end(404)
            body = served.files[self.path]
            start = int(asked_range.split("=")[1].rstrip("-")) if asked_range and served.ranges else None
            if start is not None and start >= len(body):
                return self._end(416, {"Content-Range": f"bytes */{len(body)}"})
            headers = {}
            if start is not None:
                start = 0 if served.wrong_range else start
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            piece = body[start or 0 :]
            if served.says_length:
                headers["Content-Length"] = str(len(piece))
            self._end(200 if start is None else 206, headers)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(piece[: served.cuts.pop(0)] if served.cuts else piece)

        def _end(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

    return Handler


@pytest.fixture
def served() -> Iterator[Served]:
    state = Served(address="")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
