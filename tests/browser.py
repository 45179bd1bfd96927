"""Headless Chromium for tests, driven by its DevTools protocol over a pair of pipes; no further package is needed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = bool(os.environ.get("IMPASTO_CHROMIUM_REQUIRED"))
"""Set by `make test-all`: a test that needs Chromium then fails where it is missing."""

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="Chromium is not installed (Debian: apt-get install chromium)"
)

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--hide-scrollbars",
    "--mute-audio",
    "--remote-debugging-pipe",
)
AS_3_AND_4 = """import os, sys
r, w, *command = sys.argv[1:]
r, w = os.dup(int(r)), os.dup(int(w))
os.dup2(r, 3), os.dup2(w, 4)
os.set_inheritable(3, True), os.set_inheritable(4, True)
os.execv(command[0], command)
"""
"""A program that becomes Chromium, which talks on these file descriptors."""

KEYS = {
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Tab": (9, ""),
    " ": (32, " "),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "Home": (36, ""),
    "End": (35, ""),
}
MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}


class BrowserError(AssertionError):
    """The page threw, or did not do in time what was waited for."""


class Browser:
    """A running Chromium. Only one thread may use it."""

    def __init__(self, process: subprocess.Popen[bytes], read_fd: int, *, write_fd: int) -> None:
        self._process, self._read_fd, self._write_fd = process, read_fd, write_fd
        self._buffer, self._number = bytearray(), 0
        self._pages: dict[str, Page] = {}

    def page(self, *, width: int = 1280, height: int = 800, dark: bool = False, touch: bool = False) -> Page:
        """A new page with storage of its own, in a viewport of this size in CSS pixels."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, context=context)
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            page.send(f"{domain}.enable")
        page.resize(width, height, dark=dark, touch=touch)
        return page

    def close(self, page: Page) -> None:
        """Close a page and forget its storage. A page left open goes on listening and drawing."""
        self._pages = {session: other for session, other in self._pages.items() if other is not page}
        self.send("Target.disposeBrowserContext", browserContextId=page.context)

    def send(self, method: str, session: str = "", **params: Any) -> Any:
        """The result of a command; events that arrive in between go to their pages."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for answer in self._messages(deadline - time.monotonic()):
                if answer.get("id") == number:
                    if "error" in answer:
                        raise BrowserError(f"{method}: {answer['error']['message']}")
                    return answer["result"]
        raise BrowserError(f"{method}: Chromium does not answer")

    def _messages(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        if b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read_fd], [], [], max(0.0, timeout_s))
            if not ready:
                return
            data = os.read(self._read_fd, 1 << 20)
            if not data:
                raise BrowserError(f"Chromium ended with code {self._process.wait()}")
            self._buffer += data
        while (end := self._buffer.find(b"\0")) >= 0:
            message = json.loads(bytes(self._buffer[:end]))
            del self._buffer[: end + 1]
            if "method" in message and message.get("sessionId") in self._pages:
                self._pages[message["sessionId"]].heard(message["method"], message["params"])
            yield message
            if "id" in message:
                return


class Page:
    """A page. `requests` are the addresses that it asked for, `errors` what it threw or reported."""

    def __init__(self, browser: Browser, session: str, *, context: str) -> None:
        self._browser, self._session, self.context = browser, session, context
        self.requests: list[str] = []
        self.errors: list[str] = []

    def send(self, method: str, **params: Any) -> Any:
        """The result of a command of the DevTools protocol."""
        return self._browser.send(method, self._session, **params)

    def heard(self, method: str, params: dict[str, Any]) -> None:
        """Take note of an event."""
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def resize(self, width: int, height: int, *, dark: bool = False, touch: bool = False) -> None:
        """Another viewport, colour scheme and way of pointing."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Load an address and wait for its `load` event."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=url)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """The value of an expression, of its promise where it is one. Raises `BrowserError` for what it throws."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, script: str, *, timeout_s: float = 60) -> Any:
        """The first true value of an expression. Raises `BrowserError` after `timeout_s`."""
        deadline, last = time.monotonic() + timeout_s, ""
        while time.monotonic() < deadline:
            try:
                if (value := self.evaluate(script)) not in (None, False, 0, ""):  # an element comes as an empty dict
                    return value
            except BrowserError as error:  # the page is being replaced, or not yet complete
                last = str(error)
            time.sleep(0.03)
        raise BrowserError(f"not within {timeout_s:g} s: {script} {last} {self.errors}")

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen, or with `whole` the whole document, as PNG."""
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def place(self, selector: str) -> tuple[float, float]:
        """The middle of an element, scrolled into view."""
        found = self.evaluate(
            f"""(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;
            e.scrollIntoView({{ block: "nearest" }}); const b = e.getBoundingClientRect();
            return [b.x + b.width / 2, b.y + b.height / 2]; }})()"""
        )
        if found is None:
            raise BrowserError(f"there is no {selector}")
        return found[0], found[1]

    def click(self, selector: str, *, modifiers: Sequence[str] = ()) -> None:
        """Press and release the mouse on an element."""
        self.drag(self.place(selector), modifiers=modifiers)

    def drag(self, *places: tuple[float, float], modifiers: Sequence[str] = ()) -> None:
        """Press the mouse at the first place, move it over the others, and release it at the last."""
        keys = sum(MODIFIERS[name] for name in modifiers)
        rows = [("mouseMoved", places[0]), ("mousePressed", places[0])]
        rows += [*(("mouseMoved", place) for place in places[1:]), ("mouseReleased", places[-1])]
        pressed = False
        for kind, (x, y) in rows:
            pressed = pressed or kind == "mousePressed"
            held: dict[str, Any] = {"button": "left", "buttons": 1, "clickCount": 1} if pressed else {}
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, modifiers=keys, **held)

    def touch(self, *paths: Sequence[tuple[float, float]]) -> None:
        """Touch with a finger for each path: down at its first place, along the others, and up."""
        for index in range(max(map(len, paths))):
            points = [dict(zip(("x", "y"), path[min(index, len(path) - 1)], strict=True)) for path in paths]
            self.send("Input.dispatchTouchEvent", type="touchMove" if index else "touchStart", touchPoints=points)
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def tap(self, selector: str) -> None:
        """Touch an element."""
        self.touch([self.place(selector)])

    def press(self, key: str, *, modifiers: Sequence[str] = ()) -> None:
        """Press and release a key by its DOM name: `a`, `Enter`, `ArrowLeft`."""
        code, text = KEYS.get(key, (ord(key[0].upper()), key))
        row: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code}
        row["modifiers"] = sum(MODIFIERS[name] for name in modifiers)
        self.send("Input.dispatchKeyEvent", type="keyDown", **row, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **row)

    def choose_files(self, selector: str, *paths: Path) -> None:
        """Give files to a file input, as its dialog would."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def accessible(self) -> list[dict[str, str]]:
        """Role and name of every node that assistive technology sees."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        seen = [node for node in nodes if not node.get("ignored")]
        return [
            {key: str(node.get(key, {}).get("value", "")) for key in ("role", "name", "description")} for node in seen
        ]


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Start Chromium with a fresh profile; it ends with the block."""
    assert CHROMIUM, "Chromium is not installed (Debian: apt-get install chromium)"
    their_read, write_fd = os.pipe()
    read_fd, their_write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, "about:blank"]
        program = [sys.executable, "-ISc", AS_3_AND_4, str(their_read), str(their_write), *command]
        process = subprocess.Popen(program, pass_fds=(their_read, their_write), stderr=subprocess.DEVNULL)
        os.close(their_read)
        os.close(their_write)
        try:
            yield Browser(process, read_fd, write_fd=write_fd)
        finally:
            os.close(write_fd)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(read_fd)
