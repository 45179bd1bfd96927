"""Films, trainings and sheets of the studio, and styles from a folder."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from impasto.core.errors import OptionError
from impasto.training import sampling
from impasto.web.learning import folded
from impasto.web.studio import Studio, saved_styles
from impasto.web.upload_routes import kind_of

Running = Callable[..., AbstractContextManager[httpx.Client]]


def png(width: int = 96, height: int = 80, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def clip(frames: int = 6) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * i % 256, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def rows(studio: httpx.Client, id: str) -> list[dict[str, Any]]:
    """Every event of a job, to its end."""
    with studio.stream("GET", f"/api/jobs/{id}/events") as answer:
        lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def studio(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("styles")
    (folder / "field.png").write_bytes(png(seed=4))
    (folder / "notes.txt").write_text("no style")
    with running(styles=folder, film_s=2, film_mb=0.1) as client:
        yield client


def test_a_film_is_painted_frame_by_frame(studio: httpx.Client) -> None:
    film = studio.put("/api/films", content=clip()).json()
    assert (film["width"], film["height"], film["fps"], len(film["frames"])) == (64, 48, 10.0, 3)
    shown = [Image.open(io.BytesIO(studio.get(f"/api/pictures/{id}").content)) for id in film["frames"]]
    greys = [np.asarray(picture).mean() for picture in shown]
    assert greys == sorted(greys)
    assert greys[0] < greys[-1] - 60
    body = {"film": film["id"], "styles": [{"name": "wave"}], "size": {"size": 0}, "video": {"every": 2}}
    job = studio.post("/api/jobs", json=body).json()
    last = rows(studio, job["id"])[-1]
    assert (last["state"], last["size"], last["kind"]) == ("done", [64, 48], "film"), last
    result = studio.get(f"/api/jobs/{job['id']}/result")
    assert result.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(result.content)) as container:
        assert len(list(container.decode(video=0))) == 3
    assert studio.get(f"/api/films/{film['id']}").content == clip()


def test_films_over_a_limit_are_refused(studio: httpx.Client) -> None:
    assert "2 s are allowed" in studio.put("/api/films", content=clip(30)).text
    assert studio.put("/api/films", content=clip() + bytes(200_000)).status_code == 413


@pytest.mark.slow
def test_a_style_is_trained_and_offered(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    with running() as studio:
        picture = studio.put("/api/pictures", content=png(128, 112)).json()["id"]
        body: dict[str, Any] = {"picture": picture, "name": "mine", "style": {"crop_px": 64}}
        job = studio.post("/api/styles", json=body | {"fit": {"steps": 2, "batch_size": 1}}).json()
        assert studio.post("/api/styles", json=body).status_code == 400  # the name is taken
        last = rows(studio, job["id"])[-1]
        assert last["state"] == "done", last
        assert {"name": "mine", "kind": "trained"} in studio.get("/api/styles").json()["styles"]
        assert studio.get(f"/api/jobs/{job['id']}/result").status_code == 200
        again = {"content": picture, "styles": [{"name": "mine"}], "size": {"size": 48}}
        assert rows(studio, studio.post("/api/jobs", json=again).json()["id"])[-1]["state"] == "done"
        long = body | {"name": "other", "fit": {"steps": 5000, "batch_size": 1}}
        stopped = studio.post("/api/styles", json=long).json()["id"]
        for row in events(studio, stopped):
            if row["step"]:
                studio.delete(f"/api/jobs/{stopped}")
        assert row["state"] == "stopped", row
        assert {"name": "other", "kind": "trained"} in studio.get("/api/styles").json()["styles"]


@pytest.mark.parametrize("rows", [2, 5, 8])
def test_samples_are_shown_in_two_blocks_side_by_side(rows: int) -> None:
    cells = torch.arange(2.0 + 2 * rows).view(-1, 2, 1, 1, 1).expand(-1, -1, 3, 8, 8)
    shown = folded(sampling.side_by_side(cells))
    assert shown.shape[-2] == (rows + 1) // 2 * 12 - 4
    assert set(shown.flatten().tolist()) == {1.0, *range(2, 2 + 2 * rows)}
    assert shown[0, 0, 0, [0, 12]].tolist() == [2, 3]
    assert shown[0, 0, 0, -1] == 3 + 2 * ((rows + 1) // 2)


def events(studio: httpx.Client, id: str) -> Any:
    """The events of a job as they come."""
    with studio.stream("GET", f"/api/jobs/{id}/events") as answer:
        yield from (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))


def test_a_studio_may_train_no_styles(studio: httpx.Client) -> None:
    state: Studio = studio.app.state.studio  # type: ignore[attr-defined]
    allowed, state.options = state.options, dataclasses.replace(state.options, learn=False)
    try:
        assert studio.get("/api/styles").json()["learn"] is False
        assert "trains no styles" in studio.post("/api/styles", json={"picture": "x", "name": "y"}).text
    finally:
        state.options = allowed


@pytest.mark.slow
def test_a_sheet_of_every_style(studio: httpx.Client) -> None:
    picture = studio.put("/api/pictures", content=png()).json()["id"]
    job = studio.post("/api/sheets", json={"content": picture, "size": 64}).json()
    last = rows(studio, job["id"])[-1]
    assert last["state"] == "done", last
    assert Image.open(io.BytesIO(studio.get(f"/api/jobs/{job['id']}/result").content)).width > 200


def test_styles_from_a_folder(studio: httpx.Client) -> None:
    names = {row["name"]: row["kind"] for row in studio.get("/api/styles").json()["styles"]}
    assert names == {"wave": "trained", "scream": "trained", "field": "picture"}
    picture = studio.put("/api/pictures", content=png()).json()["id"]
    body = {"content": picture, "styles": [{"name": "field"}], "size": {"size": 48}}
    last = rows(studio, studio.post("/api/jobs", json=body).json()["id"])[-1]
    assert (last["state"], last["method"]) == ("done", "arbitrary"), last


def test_a_folder_of_styles_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="not a folder"):
        saved_styles(tmp_path / "missing")


@pytest.mark.parametrize(
    ("source", "kind"),
    [("wave", "trained"), ("net#wave", "trained"), ("/a/b.png", "picture"), ("/a/b.safetensors", "code")],
)
def test_kinds_of_styles(source: str, kind: str) -> None:
    assert kind_of(source) == kind
