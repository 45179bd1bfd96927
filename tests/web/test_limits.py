"""What one client may hold, fill or break: connections, uploads, outputs, and values that are repeated to it."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from wire import PNG, head, ids, raw, status

from impasto.core.errors import ImageError, MissingExtra
from impasto.web import job_routes, server, store
from impasto.web.pictures import check_header

Running = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def studio(running: Running) -> Iterator[httpx.Client]:
    with running() as client:
        yield client


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", 200),
        ("PUT /api/pictures HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9999\r\n\r\n", 401),
    ],
)
def test_a_connection_cannot_be_held_after_its_first_request(
    studio: httpx.Client, monkeypatch: pytest.MonkeyPatch, first: str, code: int
) -> None:
    """By the head of a second request, or by the body of a refused one, byte by byte."""
    monkeypatch.setattr(server, "HEADER_TIMEOUT_S", 0.4)
    with socket.create_connection((studio.base_url.host, studio.base_url.port)) as connection:
        connection.settimeout(60)
        connection.sendall(first.encode())
        assert status(connection.recv(4000)) == code
        deadline, ended = time.monotonic() + 60, False
        while not ended and time.monotonic() < deadline:
            with suppress(TimeoutError):
                connection.settimeout(0.1)
                connection.sendall(b"G")
                ended = connection.recv(4000) == b""
    assert ended


def test_a_slow_upload_is_ended(studio: httpx.Client, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is short, but it would take a day."""
    monkeypatch.setattr(store, "CHUNK_TIMEOUT_S", 0.5)
    for method, path in (("PUT", "/api/pictures"), ("POST", "/api/jobs")):
        with socket.create_connection((studio.base_url.host, studio.base_url.port)) as connection:
            connection.sendall(head(method, path, token, content_length="100000") + PNG)
            connection.settimeout(0.2)
            answer, deadline = b"", time.monotonic() + 60
            while not answer and time.monotonic() < deadline:
                with suppress(TimeoutError):
                    connection.sendall(b"x")
                    answer = connection.recv(4000)
        assert status(answer) == 408


def test_uploads_that_arrive_at_the_same_time_are_bounded(tmp_path: Path) -> None:
    bounded = store.FileStore(tmp_path, formats=store.PICTURES, longest_bytes=100, most_arriving=2)
    with bounded.arriving(), bounded.arriving(), pytest.raises(store.UploadRefused, match="2 uploads"):
        bounded.arriving().__enter__()
    with bounded.arriving():
        pass


@pytest.mark.parametrize(
    "size",
    [{"size": 1500}, {"exact": [100_000, 100_000]}, {"short_side": 100_000}, {"megapixels": 1000}, {"size": 10**30}],
)
def test_a_painting_may_not_be_larger_than_an_upload(studio: httpx.Client, size: dict[str, Any]) -> None:
    body = {"content": ids(studio), "styles": [{"name": "wave"}], "size": size}
    for draft in (False, True):
        answer = studio.post("/api/jobs", json={**body, "draft": draft})
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", '"\\ud800"', "9" * 5000, "[" * 3000, "{}", "null"])
def test_values_that_cannot_be_sent_back(studio: httpx.Client, value: str) -> None:
    """The list of jobs repeats the requests: one strange value may not break it for good."""
    photo = ids(studio)
    for path, rest in (
        ("/api/jobs", f'"content": "{photo}", "styles": [{{"name": "wave", "weight": {value}}}]'),
        ("/api/jobs", f'"content": "{photo}", "styles": [{{"name": "wave"}}], "paint": {{"strength": {value}}}'),
        ("/api/styles", f'"picture": "{photo}", "name": "new", "style": {{"about": {value}}}'),
        ("/api/styles", f'"picture": "{photo}", "name": {value}'),
    ):
        answer = studio.post(path, content=f"{{{rest}}}")
        assert answer.status_code == 400, (rest[-60:], answer.text)
    assert studio.get("/api/jobs").status_code == 200


def test_a_style_has_a_short_name(studio: httpx.Client) -> None:
    """The name becomes that of a file, after minutes of training."""
    photo = ids(studio)
    for name in ("", "x" * 61, "x" * 5000, ".", "..", "CON/x", "a b", "wave", "-x"):
        answer = studio.post("/api/styles", json={"picture": photo, "name": name})
        assert answer.status_code == 400, (name, answer.text)


def test_odd_requests_leave_the_server_standing(studio: httpx.Client, token: str) -> None:
    rows = [
        b"GET http://evil.example/api/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        b"GET /api/jobs HTTP/1.0\r\n\r\n",
        head("GET", "/api/jobs", token).replace(b"host:", b"host: evil.example\r\nhost:"),
        head("GET", "/api/jobs", token, host="127.0.0.1@evil.example"),
        head("GET", "/api/jobs", token, host="evil.example:x@127.0.0.1"),
        head("GET", "/api/jobs", token, host="127.0.0.1:80x"),
        head("TRACE", "/api/jobs", token),
        head("CONNECT", "127.0.0.1:22", token),
        head("GET", "/" + "a" * 90_000, token),
        head("GET", "/api/jobs", token + "\x00"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    ]
    for data in rows:
        answer = raw(studio, data)
        assert not answer or 400 <= status(answer) < 500, (data[:80], answer)
    assert studio.get("/health").status_code == 200


def test_ranges_of_a_result(studio: httpx.Client) -> None:
    """Thousands of ranges, and ones that do not exist, are refused or answered, soon."""
    film = {"range": "bytes=" + ",".join(f"{i}-{i}" for i in range(1500))}
    body = {"content": ids(studio), "styles": [{"name": "wave"}], "size": {"size": 48}}
    job = studio.post("/api/jobs", json=body).json()["id"]
    with studio.stream("GET", f"/api/jobs/{job}/events") as events:
        list(events.iter_lines())
    for headers in (film, {"range": "bytes=5-1"}, {"range": "bytes=99999999-"}, {"range": "bytes=-" + "9" * 4000}):
        answer = studio.get(f"/api/jobs/{job}/result", headers=headers, timeout=60)
        assert answer.status_code in (200, 206, 400, 416)


def test_one_job_has_few_followers(studio: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_routes, "MOST_FOLLOWERS", 2)
    slow = {"paint": {"method": "optimise"}, "optimise": {"steps": [5000]}, "size": {"size": 48}}
    picture = ids(studio)
    job = studio.post("/api/jobs", json={"content": picture, "styles": [{"picture": picture}], **slow}).json()["id"]
    path = f"/api/jobs/{job}/events"
    with studio.stream("GET", path) as first, studio.stream("GET", path) as second:
        rows = [first.iter_lines(), second.iter_lines()]  # a generator that is forgotten closes its connection
        assert all(next(lines).startswith("data") for lines in rows)
        refused = studio.get(path)
        assert refused.status_code == 429
        assert "2 connections follow this job" in refused.json()["error"]
        assert studio.delete(f"/api/jobs/{job}").status_code == 200
    deadline = time.monotonic() + 30
    while (code := studio.get(path, timeout=60).status_code) == 429 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert code == 200  # both have ended


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def test_a_heic_picture_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(HEIC)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtra, match=r"for HEIC it needs pillow_heif: pip install 'impasto\[heic\]'"):
        check_header(tmp_path / "a.heic", 1000)


def test_a_damaged_heic_picture_is_refused(studio: httpx.Client) -> None:
    """With its package as without."""
    answer = studio.put("/api/pictures", content=HEIC)
    assert answer.status_code == 415
    assert "HEIC" in answer.json()["error"] or "damaged" in answer.json()["error"]


def test_a_heic_picture_is_received_within_the_limits(studio: httpx.Client, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (96, 64), "red")).save(tmp_path / "a.heic")
    answer = studio.put("/api/pictures", content=(tmp_path / "a.heic").read_bytes())
    assert answer.status_code == 201, answer.text
    assert (answer.json()["width"], answer.json()["height"]) == (96, 64)
    with pytest.raises(ImageError, match=r"96×64 px; 0\.001 megapixels are allowed"):
        check_header(tmp_path / "a.heic", 1000)
