"""Attacks over a real socket, and what they must not reach; the others are in test_server.py and test_guard.py."""

from __future__ import annotations

import concurrent.futures
import functools
import http.client
import io
import json
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from wire import PNG, head, ids, picture, raw, status

from impasto.web import server, store

Running = Callable[..., AbstractContextManager[httpx.Client]]

PATHS = [
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\x",
    "file:///etc/passwd",
    "http://127.0.0.1/x.png",
    "a\r\nX-Evil: 1",
    "\x00",
]


@pytest.fixture(scope="module")
def studio(running: Running) -> Iterator[httpx.Client]:
    with running(client_jobs=50, queue=60) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example", "origin": "http://evil.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"x_impasto_token": "wrong"}, 401),
        ({"content_length": "10000000000"}, 413),
        ({"content_length": "9" * 400}, 400),
    ],
)
@pytest.mark.parametrize("path", ["/api/pictures", "/api/films"])
def test_refused_by_the_head_alone(
    studio: httpx.Client, token: str, path: str, headers: dict[str, str], code: int
) -> None:
    """Nothing of the body is waited for: rebinding, another site, no token, and ten gigabytes."""
    given = {"content_length": "8"} | headers
    assert status(raw(studio, head("PUT", path, token, **given))) == code


def test_lengths_that_contradict_each_other_are_refused(studio: httpx.Client, token: str) -> None:
    for extra in ("content-length: 4\r\ncontent-length: 5", "transfer-encoding: chunked, identity"):
        data = head("PUT", "/api/pictures", token).replace(b"\r\n\r\n", f"\r\n{extra}\r\n\r\n".encode()) + b"abcd"
        assert status(raw(studio, data)) in (400, 501)


def test_a_body_that_trickles_is_ended(studio: httpx.Client, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_TIMEOUT_S", 0.3)
    answer = raw(studio, head("PUT", "/api/pictures", token, content_length="1000") + PNG)
    assert status(answer) == 408


def test_slow_connections_do_not_keep_others_out(studio: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_TIMEOUT_S", 2.0)
    address = (studio.base_url.host, studio.base_url.port)
    slow = [socket.create_connection(address) for _ in range(150)]
    try:
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
        assert studio.get("/health").status_code == 200
        slow[-1].settimeout(30)
        assert slow[-1].recv(100) == b""
    finally:
        for connection in slow:
            connection.close()


def test_two_hundred_clients_at_once(studio: httpx.Client, token: str) -> None:
    photo = studio.put("/api/pictures", content=picture()).json()["id"]
    body = json.dumps({"content": photo, "styles": [{"name": "wave"}], "size": {"size": 48}})

    def ask(client: int) -> tuple[int, str, str]:
        address = f"10.0.{client // 100}.{client % 100}"
        headers = {"Host": "127.0.0.1", "X-Impasto-Token": token, "X-Forwarded-For": address}
        connection = http.client.HTTPConnection(studio.base_url.host, studio.base_url.port, timeout=180)
        connection.request("POST", "/api/jobs", body, headers)
        answer = connection.getresponse()
        row = json.loads(answer.read())
        connection.close()
        return answer.status, address, row.get("id", "")

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(ask, range(200)))
    assert {code for code, _, _ in answers} == {202, 429}
    taken = [(address, id) for code, address, id in answers if code == 202]
    assert len(taken) >= 60  # as many as the queue takes, and what was painted meanwhile
    assert studio.get("/health").status_code == 200
    for address, id in taken:
        assert studio.delete(f"/api/jobs/{id}", headers={"x-forwarded-for": address}).status_code == 200


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@functools.cache
def bombs() -> dict[str, bytes]:
    """Small files that promise, or become, far more than is allowed."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    small = struct.pack(">IIBBBBB", 40, 40, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(121 * 40))
    text = zlib.compress(bytes(60_000_000), 9)
    tiff = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(tiff, "TIFF", compression="tiff_deflate")
    frames = [Image.new("L", (200, 200), i) for i in range(100)]
    gif = io.BytesIO()
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    return {
        "pixels": PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""),
        "text": PNG
        + chunk(b"IHDR", small)
        + chunk(b"zTXt", b"a\0\0" + text)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b""),
        "profile": PNG
        + chunk(b"IHDR", small)
        + chunk(b"iCCP", b"a\0\0" + text)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b""),
        "rows": PNG + chunk(b"IHDR", small) + chunk(b"IDAT", text) + chunk(b"IEND", b""),
        "tiff": tiff.getvalue(),
        "gif": gif.getvalue(),
    }


@pytest.mark.parametrize("name", ["pixels", "text", "profile", "rows", "tiff", "gif"])
def test_bombs(running: Running, studio: httpx.Client, name: str) -> None:
    """A bomb is refused or, where its surplus is passed over, a small picture; the server goes on either way."""
    data = bombs()[name]
    assert len(data) < 1_000_000
    answer = studio.put("/api/pictures", content=data)
    assert answer.status_code in (201, 413, 415)
    if name in ("pixels", "tiff", "gif"):
        assert answer.status_code in (413, 415)
    assert studio.put("/api/pictures", content=picture()).status_code == 201


@pytest.mark.parametrize("text", PATHS)
def test_no_field_takes_a_path_or_an_address(studio: httpx.Client, text: str) -> None:
    photo = ids(studio)
    wave = {"content": photo, "styles": [{"name": "wave"}]}
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/api/jobs", {**wave, "content": text}),
        ("/api/jobs", {**wave, "film": text}),
        ("/api/jobs", {"film": text, "styles": [{"name": "wave"}]}),
        ("/api/jobs", {**wave, "styles": [{"name": text}]}),
        ("/api/jobs", {**wave, "styles": [{"picture": text}]}),
        ("/api/jobs", {**wave, "styles": [{"name": "wave", "mask": text}]}),
        ("/api/jobs", {**wave, "losses": {"encoder": text}}),
        ("/api/jobs", {**wave, "arbitrary": {"network": text}}),
        ("/api/jobs", {**wave, "optimise": {"init_picture": text}}),
        ("/api/jobs", {**wave, "paint": {"method": text}}),
        ("/api/sheets", {"content": text}),
        ("/api/styles", {"picture": text, "name": "new"}),
        ("/api/styles", {"picture": photo, "name": text}),
        ("/api/styles", {"picture": photo, "name": "new", "style": {"network": text}}),
        ("/api/styles", {"picture": photo, "name": "new", "style": {"contents": [text]}}),
        ("/api/styles", {"picture": photo, "name": "new", "style": {"replace": True}}),
        ("/api/styles", {"picture": photo, "name": "new", "fit": {"tensorboard": True}}),
    ]
    for path, body in bodies:
        answer = studio.post(path, json=body)
        assert answer.status_code == 400, (path, body, answer.text)
        assert "evil" not in {name.lower() for name in answer.headers}
        assert "/tmp" not in answer.text


@pytest.mark.parametrize(
    "path", ["/api/jobs/%0d%0aX-Evil:%201/result", "/api/styles/a%0d%0aX-Evil:%201", "/page/a%0d%0aX-Evil:1"]
)
def test_no_header_can_be_injected_by_a_path(studio: httpx.Client, token: str, path: str) -> None:
    answer = raw(studio, head("GET", path, token))
    assert status(answer) == 404
    assert b"x-evil" not in answer.lower()


def test_no_header_can_be_injected_by_a_file_name(studio: httpx.Client, token: str) -> None:
    """The name of a file is the client's own affair: what is downloaded is named by the studio."""
    data = picture()
    evil = {"content-disposition": 'attachment; filename="a.png\\r\\nX-Evil: 1.svg"', "content-type": "image/svg+xml"}
    photo = studio.put("/api/pictures", content=data, headers=evil).json()["id"]
    job = studio.post("/api/jobs", json={"content": photo, "styles": [{"name": "wave"}], "size": {"size": 48}}).json()
    deadline = time.monotonic() + 180
    while (
        studio.get(f"/api/jobs/{job['id']}").json()["state"] not in ("done", "failed") and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    answer = studio.get(f"/api/jobs/{job['id']}/result")
    assert answer.headers["content-disposition"] == f'attachment; filename="impasto-{job["id"]}.png"'
    assert answer.headers["content-type"] == "image/png"
    assert "x-evil" not in answer.headers


PLAYLIST = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAYLIST,
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture(),
        b"\x00\x00\x00\x18ftypmp42" + PLAYLIST,
        b"\x1a\x45\xdf\xa3" + PLAYLIST,
        b"GIF89a" + PLAYLIST,
    ],
)
def test_what_is_not_a_film_is_refused(studio: httpx.Client, data: bytes) -> None:
    answer = studio.put("/api/films", content=data)
    assert answer.status_code == 415
    assert "/tmp" not in answer.text
    assert "root:" not in answer.text


def test_a_file_of_another_format_is_not_waited_for(studio: httpx.Client) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        while len(sent) < 10_000:
            sent.append(0)
            yield bytes(65536)

    with suppress(httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        assert studio.put("/api/films", content=endless()).status_code == 415
    assert len(sent) < 500


def test_jobs_of_another_client_are_not_seen(studio: httpx.Client) -> None:
    photo = ids(studio)
    body = {"content": photo, "styles": [{"name": "wave"}], "size": {"size": 48}}
    job = studio.post("/api/jobs", json=body).json()["id"]
    other = {"x-forwarded-for": "10.9.9.9"}
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/preview"), ("GET", "/result")):
        assert studio.request(method, f"/api/jobs/{job}{path}", headers=other).status_code == 404
    assert job not in json.dumps(studio.get("/api/jobs", headers=other).json())


def test_uploads_are_bounded_together(tmp_path: Path) -> None:
    bounded = store.FileStore(tmp_path, formats=store.PICTURES, longest_bytes=100, most=9, most_bytes=250)
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(bytes(100))
        bounded.add(store.Received(tmp_path / f"{i}.png", 100, str(i)), preview=b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2-preview.jpg", "2.png", "3-preview.jpg", "3.png"]
    assert bounded.with_digest("1") is None
    assert bounded.with_digest("3") is bounded["3"]
