"""A local web page with the picture, as a stream of JPEG files (MJPEG)."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from impasto.core.errors import OptionError
from impasto.flow.estimators import opencv
from impasto.live.capture import Levels
from impasto.live.controls import KEYS, SAME

HOST = "127.0.0.1"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
QUALITY = 85
BOUNDARY = "frame"
MARK = "-" * 2 + BOUNDARY
LONGEST_KEY = 8  # bytes
STALL_S = 1.0  # the last picture is sent again after this time, which detects clients that have gone
PAGE = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>impasto live</title>
<style>html,body{{margin:0;height:100%;background:#000}}img{{width:100%;height:100%;object-fit:contain}}</style>
<img src="/stream.mjpg" alt="the painted picture">
<script>addEventListener("keydown",e=>{{const k=e.key==="Escape"?"":e.key;
if(k.length===1)fetch("/key",{{method:"POST",body:k}})}})</script>
<!-- keys: {", ".join(f"{key} {about}" for key, about in KEYS.items())} -->"""


class Page:
    """Serves the newest picture at `address`. Slow clients miss pictures. Raises `OptionError` for a port in use."""

    def __init__(self, port: int) -> None:
        self._changed = threading.Condition()
        self._jpeg, self._number, self._clients, self._keys, self._closed = b"", 0, 0, "", False
        try:
            self._server = _Server(self, port)
        except OSError as error:
            raise OptionError(f"port {port} cannot be used: {error.strerror}. Name another one with `port`.") from error
        self.address = f"http://{HOST}:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="page")
        self._thread.start()

    def add(self, levels: Levels) -> None:
        """Show a picture. It is encoded only if a client is connected."""
        with self._changed:
            if self._jpeg and not self._clients:
                return
        cv2: Any = opencv()
        settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), settings)
        with self._changed:
            self._jpeg, self._number = encoded.tobytes(), self._number + 1
            self._changed.notify_all()

    def keys(self) -> str:
        """The keys pressed on the page since the last call."""
        with self._changed:
            keys, self._keys = self._keys, ""
            return keys

    def press(self, key: str) -> bool:
        """A key from the page; returns whether it is known. The page cannot end the program."""
        known = (key in KEYS or key in SAME) and SAME.get(key, key) != "q"
        with self._changed:
            self._keys += key if known else ""
        return known

    def stream(self, write: Any) -> None:
        """Pass every new picture to `write` until it fails or the page is closed."""
        seen = -1
        with self._changed:
            self._clients += 1
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda seen=seen: self._closed or self._number > seen, STALL_S)  # type: ignore[misc]
                    jpeg, seen = self._jpeg, self._number
                    if self._closed:
                        return
                head = f"{MARK}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                write(head.encode() + jpeg + b"\r\n")
        finally:
            with self._changed:
                self._clients -= 1

    def close(self) -> None:
        """End the server and its streams."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    """The page's server."""

    daemon_threads = True

    def __init__(self, page: Page, port: int) -> None:
        self.page = page
        super().__init__((HOST, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    """Answers requests to loopback host names only; others may come from another site (DNS rebinding)."""

    timeout = 30

    def do_GET(self) -> None:
        """The page, or the stream."""
        if not self._is_ours():
            self.send_error(421)
        elif self.path in ("/", "/index.html"):
            self._answer(PAGE.encode(), "text/html; charset=utf-8")
        elif self.path == "/stream.mjpg":
            self._begin(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            with contextlib.suppress(OSError):
                self._page.stream(self.wfile.write)
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """A key."""
        origin, host = self.headers.get("origin"), self.headers.get("host", "")
        length = self.headers.get("content-length", "")
        if not self._is_ours() or (origin is not None and origin != f"http://{host}"):
            self.send_error(403)
        elif self.path != "/key" or not (length.isdecimal() and int(length) <= LONGEST_KEY):
            self.send_error(400)
        elif self._page.press(self.rfile.read(int(length)).decode("utf-8", "replace")):
            self._answer(b"", "text/plain")
        else:
            self.send_error(400)

    @property
    def _page(self) -> Page:
        assert isinstance(self.server, _Server)
        return self.server.page

    def _is_ours(self) -> bool:
        return self.headers.get("host", "").rpartition(":")[0] in LOOPBACK

    def _begin(self, kind: str, *, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _answer(self, body: bytes, kind: str) -> None:
        self._begin(kind, length=len(body))
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not printed."""
