"""Handlers of styles, pictures and films."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from impasto.config.job import REST
from impasto.core.errors import OptionError
from impasto.core.paths import sha256_of
from impasto.styles.text import CODE_SUFFIX, SIGN, may_be_name
from impasto.web.store import FileStore, Received, UploadRefused
from impasto.web.studio import Studio
from impasto.web.worker import Message

INSPECT_TIMEOUT_S, FILM_TIMEOUT_S = 30.0, 120.0
PREVIEW_PX = 1280
THUMBNAIL_PX, MOST_THUMBNAILS = 168, 1000
FILM_TYPES = {".mp4": "video/mp4", ".mkv": "video/webm", ".gif": "image/gif", ".webp": "image/webp"}


async def styles(studio: Studio, request: Request) -> Response:
    """The names and kinds of the styles, and whether new ones can be trained."""
    rows = [{"name": name, "kind": kind_of(source)} for name, source in studio.sources.items()]
    return JSONResponse({"styles": rows, "learn": studio.options.learn})


def kind_of(source: str) -> str:
    """`trained`, `code` or `picture`, by a style's text."""
    if may_be_name(source) or SIGN in source:
        return "trained"
    return "code" if source.endswith(CODE_SUFFIX) else "picture"


async def thumbnail(studio: Studio, request: Request) -> Response:
    """A sample photograph in a style; painted once."""
    return await _thumbnail(studio, studio.sources[request.path_params["name"]])


async def put_saved_style(studio: Studio, request: Request) -> Response:
    """Receive a saved style as the raw body; 201 with its id and name."""
    with studio.saved.arriving():
        file = await studio.saved.receive(request.stream())
        last = await _inspected(studio, file, task={"kind": "inspect_style"}, timeout_s=INSPECT_TIMEOUT_S)
        return JSONResponse(studio.saved.add(file, name=last["name"]).row(), status_code=201)


async def saved_thumbnail(studio: Studio, request: Request) -> Response:
    """A sample photograph in an uploaded style; painted once."""
    return await _thumbnail(studio, str(studio.saved[request.path_params["id"]].path))


async def _thumbnail(studio: Studio, source: str) -> Response:
    if source not in studio.thumbnails:
        task = {"kind": "thumbnail", "style": source, "px": THUMBNAIL_PX, "folder": str(studio.folder)}
        last = await studio.painter.run(task, timeout_s=studio.options.timeout_s)
        if last["kind"] == "failed":
            raise OptionError(last["error"])
        studio.thumbnails[source] = last["preview"]
        while len(studio.thumbnails) > MOST_THUMBNAILS:
            del studio.thumbnails[next(iter(studio.thumbnails))]
    return jpeg(studio.thumbnails[source])


async def put_picture(studio: Studio, request: Request) -> Response:
    """Receive a picture as the raw body; 201 with its id, size, and whether it is `painted`, i.e. has a recipe."""
    task = {"kind": "inspect", "most_pixels": studio.most_pixels, "preview_px": PREVIEW_PX}
    with studio.pictures.arriving():
        file = await studio.pictures.receive(request.stream())
        last = await _inspected(studio, file, task=task, timeout_s=INSPECT_TIMEOUT_S)
        width, height = last["size"]
        stored = studio.pictures.add(file, preview=last["preview"], width=width, height=height, painted=last["painted"])
    return JSONResponse(stored.row(), status_code=201)


async def put_film(studio: Studio, request: Request) -> Response:
    """Receive a film as the raw body; 201 with its id and the ids of three of its frames as pictures."""
    task = {"kind": "inspect_film", "most_pixels": studio.most_pixels, "most_s": studio.options.film_s}
    task |= {"folder": str(studio.folder / "pictures")}
    with studio.films.arriving():
        file = await studio.films.receive(request.stream())
        last = await _inspected(studio, file, task=task, timeout_s=FILM_TIMEOUT_S)
        size = dict(zip(("width", "height"), last["size"], strict=True))
        frames = [_kept(studio.pictures, frame, size=size) for frame in last["frames"]]
        numbers = {name: last[name] for name in ("duration_s", "fps")}
        stored = studio.films.add(file, frames=frames, **size, **numbers)
    return JSONResponse(stored.row(), status_code=201)


async def _inspected(studio: Studio, file: Received, *, task: Message, timeout_s: float) -> Message:
    """The worker's findings about an upload. An unusable one is removed, and raises `UploadRefused`."""
    last = await studio.inspector.run({**task, "path": str(file.path)}, timeout_s=timeout_s)
    if last["kind"] == "failed":
        file.path.unlink(missing_ok=True)
        raise UploadRefused(last["error"], 415)
    return last


def _kept(pictures: FileStore, frame: Mapping[str, Any], *, size: Mapping[str, int]) -> str:
    path = Path(frame["path"])
    received = Received(path, path.stat().st_size, sha256_of(path))
    return pictures.add(received, preview=frame["preview"], **size).id


async def film_file(studio: Studio, request: Request) -> Response:
    """An uploaded film, unchanged."""
    path = studio.films[request.path_params["id"]].path
    return FileResponse(path, media_type=FILM_TYPES[path.suffix], filename=f"film{path.suffix}")


async def picture_preview(studio: Studio, request: Request) -> Response:
    """A JPEG of an uploaded picture, scaled down."""
    return jpeg(studio.pictures[request.path_params["id"]].preview.read_bytes())


async def picture_recipe(studio: Studio, request: Request) -> Response:
    """The options in the metadata of an uploaded painting, with the ids of its inputs that are still stored."""
    path = studio.pictures[request.path_params["id"]].path
    last = await studio.inspector.run({"kind": "recipe", "path": str(path)}, timeout_s=INSPECT_TIMEOUT_S)
    if last["kind"] == "failed":
        raise OptionError("the picture has no recipe of impasto.")
    pictures, saved = (
        {name: stored.id for name, digest in last["inputs"].items() if (stored := store.with_digest(digest))}
        for store in (studio.pictures, studio.saved)
    )
    return JSONResponse(public_recipe(last["job"], pictures, saved=saved, sources=studio.sources))


def public_recipe(
    job: Mapping[str, Any], ids: Mapping[str, str], *, saved: Mapping[str, str], sources: Mapping[str, str]
) -> dict[str, Any]:
    """The options of a recipe without its files: styles by name, and uploads by their ids where they are still here."""
    names = {source: name for name, source in sources.items()}
    rows = []
    for style in job.get("styles", []):
        row = {key: style[key] for key in ("weight", "scale") if key in style}
        if style["source"] in names:
            row["name"] = names[style["source"]]
        elif style["source"] in ids:
            row["picture"] = ids[style["source"]]
        elif style["source"] in saved:
            row["saved"] = saved[style["source"]]
        if style.get("mask") == str(REST):
            row["mask"] = str(REST)
        elif style.get("mask") in ids:
            row["mask"] = ids[style["mask"]]
        rows.append(row)
    groups = {key: value for key, value in job.items() if key not in ("content", "styles")}
    return {"content": ids.get(str(job.get("content"))), "styles": rows, "options": groups}


def jpeg(data: bytes) -> Response:
    """A JPEG response."""
    return Response(data, media_type="image/jpeg")
