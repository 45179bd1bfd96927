"""The studio over a real socket: painting, and attacks on every way in."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from impasto.config.studio import StudioOptions
from impasto.core.errors import OptionError
from impasto.nets import table
from impasto.styles.code_file import save_code
from impasto.web import server, store

Running = Callable[..., AbstractContextManager[httpx.Client]]


def png(width: int = 48, height: int = 32, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def studio(running: Running) -> Iterator[httpx.Client]:
    with running() as client:
        yield client


@pytest.fixture(scope="module")
def saved_style(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A saved style of the network in the package."""
    path = tmp_path_factory.mktemp("saved") / "blue.safetensors"
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    save_code(path, picture, network=table.load_network("compact-any"), made_from={})
    return path.read_bytes()


def upload(studio: httpx.Client, data: bytes | None = None) -> str:
    answer = studio.put("/api/pictures", content=png() if data is None else data)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def submit(studio: httpx.Client, **body: Any) -> httpx.Response:
    request = {"styles": [{"name": "wave"}], "size": {"size": 48}} | body
    return studio.post("/api/jobs", json={"content": upload(studio)} | request)


def rows(studio: httpx.Client, id: str) -> list[dict[str, Any]]:
    """Every event of a job, to its end."""
    with studio.stream("GET", f"/api/jobs/{id}/events") as answer:
        lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines]


def test_a_picture_is_painted_and_can_be_made_again(studio: httpx.Client) -> None:
    job = submit(studio).json()
    last = rows(studio, job["id"])[-1]
    assert (last["state"], last["size"], last["method"]) == ("done", [48, 32], "fast"), last
    assert studio.get(f"/api/jobs/{job['id']}/preview").headers["content-type"] == "image/jpeg"
    result = studio.get(f"/api/jobs/{job['id']}/result")
    assert Image.open(io.BytesIO(result.content)).size == (48, 32)
    recipe = studio.get(f"/api/pictures/{upload(studio, result.content)}/recipe").json()
    assert recipe["styles"] == [{"name": "wave", "weight": 1.0, "scale": 1.0}]
    assert studio.get(f"/api/pictures/{recipe['content']}").status_code == 200
    assert "content" not in recipe["options"]
    assert "/" not in json.dumps(recipe)


def test_a_saved_style_is_a_style_of_the_client(studio: httpx.Client, saved_style: bytes) -> None:
    saved = studio.put("/api/saved-styles", content=saved_style).json()
    assert saved["name"] == "blue"
    assert studio.get(f"/api/saved-styles/{saved['id']}").headers["content-type"] == "image/jpeg"
    mask = upload(studio, png(seed=2))
    styles = [{"saved": saved["id"], "mask": mask}, {"name": "wave", "mask": "rest"}]
    job = submit(studio, styles=styles).json()
    assert job["title"] == "blue, wave"
    assert rows(studio, job["id"])[-1]["state"] == "done"
    result = studio.get(f"/api/jobs/{job['id']}/result").content
    recipe = studio.get(f"/api/pictures/{upload(studio, result)}/recipe").json()
    assert [{key: style[key] for key in style if key in styles[0] | styles[1]} for style in recipe["styles"]] == styles


def test_other_weights_are_not_a_saved_style(studio: httpx.Client, saved_style: bytes) -> None:
    weights = saved_style.replace(b"style", b"grain", 1)  # in the kind of its card
    for data in (weights, saved_style[:200], b"\0" * 8 + b'{"' + b"x" * 90, png()):
        answer = studio.put("/api/saved-styles", content=data)
        assert answer.status_code == 415, answer.text
        assert "/" not in answer.json()["error"]


def test_a_picture_without_a_recipe(studio: httpx.Client) -> None:
    assert studio.get(f"/api/pictures/{upload(studio)}/recipe").status_code == 400


def test_the_page_is_complete_and_small(studio: httpx.Client) -> None:
    page = studio.get("/").text
    names = [part.split('"')[0].split("#")[0] for part in page.split("/page/")[1:]]
    files = {name: studio.get(f"/page/{name}") for name in [*names, "api.js", "viewer.js", "mask.js"]}
    assert all(answer.status_code == 200 for answer in files.values())
    assert 'rel="stylesheet"' not in page  # it is inside
    assert len(page) + sum(len(answer.content) for answer in files.values()) < 150_000
    for text in [page, *(answer.text for answer in files.values())]:
        assert "https://" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    "path", ["/page/../app.py", "/page/%2e%2e%2fapp.py", "/page/..%5capp.py", "/page//etc/passwd", "/page/x"]
)
def test_no_other_file_is_served(studio: httpx.Client, path: str) -> None:
    assert studio.get(path).status_code == 404


@pytest.mark.parametrize("id", ["x", "..%2f..%2fetc", "%00", "a" * 5000])
def test_unknown_ids(studio: httpx.Client, id: str) -> None:
    for path in ("pictures/{}", "pictures/{}/recipe", "jobs/{}", "jobs/{}/events", "jobs/{}/result", "styles/{}"):
        assert studio.get(f"/api/{path.format(id)}").status_code in (404, 414)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SVG,
        b"<!doctype html><script>alert(1)</script>",
        b"\x89PNG\r\n\x1a\n" + b"x" * 99,
        png()[:60],
        b"RIFF....WAVE",
        b"\x00" * 999,
    ],
)
def test_what_is_no_picture_is_refused(studio: httpx.Client, data: bytes) -> None:
    answer = studio.put("/api/pictures", content=data)
    assert answer.status_code == 415
    assert "/tmp" not in answer.text


def test_a_bomb_is_refused_before_it_is_decoded(studio: httpx.Client) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    answer = studio.put("/api/pictures", content=buffer.getvalue())
    assert answer.status_code == 415
    assert "1 megapixels are allowed" in answer.text


def test_an_animation_counts_all_its_frames(studio: httpx.Client) -> None:
    buffer, frames = io.BytesIO(), [Image.new("L", (200, 200), i) for i in range(40)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert "frames" in studio.put("/api/pictures", content=buffer.getvalue()).text


def test_a_body_without_a_length_is_counted_while_it_comes(studio: httpx.Client) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        while len(sent) < 10_000:
            sent.append(0)
            yield b"\x89PNG\r\n\x1a\n" + bytes(65536)

    with contextlib.suppress(httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):  # closed while we send
        assert studio.put("/api/pictures", content=endless()).status_code == 413
    assert len(sent) < 200


def test_an_upload_that_pauses_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(store, "CHUNK_TIMEOUT_S", 0.05)

    async def slow() -> Any:
        yield b"\x89PNG\r\n\x1a\n"
        await asyncio.sleep(5)

    with pytest.raises(store.UploadRefused, match="paused"):
        asyncio.run(store.FileStore(tmp_path, formats=store.PICTURES, longest_bytes=99).receive(slow()))
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_sends_no_request_is_closed(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_TIMEOUT_S", 0.2)
    with running() as studio, socket.create_connection((studio.base_url.host, studio.base_url.port)) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        slow.settimeout(20)
        assert slow.recv(1000) == b""


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"null", b'{"content": NaN', b"\xff"])
def test_bodies_that_are_no_job(studio: httpx.Client, body: bytes) -> None:
    assert studio.post("/api/jobs", content=body).status_code == 400


def test_a_body_of_a_job_is_bounded(studio: httpx.Client) -> None:
    assert studio.post("/api/jobs", content=b'"' + b"x" * 300_000).status_code == 413


def test_full_queues_answer_429_and_a_cancelled_job_leaves_room(studio: httpx.Client) -> None:
    slow = {"paint": {"method": "optimise"}, "optimise": {"steps": [5000]}, "size": {"size": 64}}
    slow["styles"] = [{"picture": upload(studio, png(seed=1))}]  # type: ignore[assignment]
    answers = [submit(studio, **slow) for _ in range(9)]
    ids = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    assert (len(ids), answers[-1].status_code) == (8, 429)
    for id in reversed(ids):
        studio.delete(f"/api/jobs/{id}")
    ended = [rows(studio, id)[-1] for id in ids]
    assert {row["state"] for row in ended} <= {"cancelled", "stopped"}, ended
    another = submit(studio, **slow)
    assert another.status_code == 202
    studio.delete(f"/api/jobs/{another.json()['id']}")
    assert rows(studio, another.json()["id"])[-1]["state"] in ("cancelled", "stopped")


def test_stopping_keeps_the_picture_so_far(studio: httpx.Client) -> None:
    style = [{"picture": upload(studio, png(seed=1))}]
    job = submit(studio, styles=style, paint={"method": "optimise"}, optimise={"steps": [5000]}).json()
    seen = []
    with studio.stream("GET", f"/api/jobs/{job['id']}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))
                if seen[-1]["step"] and len(seen) < 4:
                    studio.delete(f"/api/jobs/{job['id']}")
    assert seen[-1]["state"] == "stopped", seen[-1]
    assert studio.get(f"/api/jobs/{job['id']}/result").status_code == 200


def test_a_new_live_job_replaces_the_older_ones(studio: httpx.Client) -> None:
    request = {"content": upload(studio), "styles": [{"name": "wave"}], "size": {"size": 640}, "live": True}
    ids = [studio.post("/api/jobs", json=request).json()["id"] for _ in range(5)]
    states = [rows(studio, id)[-1]["state"] for id in ids]
    assert states[-1] == "done"
    assert "cancelled" in states[:-1]


def test_a_worker_that_dies_is_replaced(studio: httpx.Client) -> None:
    style = [{"picture": upload(studio, png(seed=1))}]
    job = submit(studio, styles=style, paint={"method": "optimise"}, optimise={"steps": [5000]}).json()
    deadline = time.monotonic() + 120
    while not studio.get(f"/api/jobs/{job['id']}").json()["step"] and time.monotonic() < deadline:
        time.sleep(0.05)
    painter = studio.app.state.studio.painter  # type: ignore[attr-defined]
    os.kill(painter.pid, signal.SIGKILL)
    last = rows(studio, job["id"])[-1]
    assert last["state"] == "failed"
    assert "ended unexpectedly" in last["error"]
    assert rows(studio, submit(studio).json()["id"])[-1]["state"] == "done"


def test_a_job_that_takes_longer_than_the_limit_keeps_what_it_has(
    studio: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = studio.app.state.studio.jobs  # type: ignore[attr-defined]
    monkeypatch.setattr(queue, "_limits", dataclasses.replace(queue._limits, timeout_s=1.0))
    style = [{"picture": upload(studio, png(seed=1))}]
    job = submit(studio, styles=style, paint={"method": "optimise"}, optimise={"steps": [50_000]}).json()
    last = rows(studio, job["id"])[-1]
    assert last["state"] in ("stopped", "failed")  # the latter where a busy machine had not reached the first step
    assert "exceeded its time limit" in last["error"]
    has_picture = studio.get(f"/api/jobs/{job['id']}/result").status_code == 200
    assert has_picture == (last["state"] == "stopped")


def test_health_metrics_and_description(studio: httpx.Client) -> None:
    assert httpx.get(f"{studio.base_url}/health").json()["status"] == "ok"
    assert "impasto_jobs_total" in studio.get("/metrics").text
    document = studio.get("/api/openapi.json").json()
    served: dict[str, set[str]] = {}
    for route in studio.app.routes:  # type: ignore[attr-defined]
        served.setdefault(route.path, set()).update(route.methods - {"HEAD"})
    for path, operations in document["paths"].items():
        assert {method.upper() for method in operations} == served[path]
    described = set(document["paths"])
    assert {path for path in served if path.startswith("/api/")} - described == {"/api/openapi.json"}


def test_thumbnails_are_pictures(studio: httpx.Client) -> None:
    answer = studio.get("/api/styles/wave")
    assert max(Image.open(io.BytesIO(answer.content)).size) == 168


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("paint.example", False)],
)
def test_only_loopback_needs_no_token(host: str, loopback: bool) -> None:
    assert server.is_loopback(host) == loopback
    if not loopback:
        with pytest.raises(OptionError, match="token"):
            server.check_exposure(StudioOptions(host=host))
    server.check_exposure(StudioOptions(host=host, token="0123456789abcdef"))
    with pytest.raises(OptionError, match="shorter"):
        server.check_exposure(StudioOptions(host=host, token="short"))


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OptionError, match="not free"):
        server.serve(StudioOptions(port=taken.getsockname()[1]), names=(), started=print)
