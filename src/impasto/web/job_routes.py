"""Handlers of jobs: paintings, films, trainings and sheets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from impasto.config.pictures import SizeOptions
from impasto.core.errors import OptionError
from impasto.core.options import from_dict
from impasto.session.inputs import output_size
from impasto.styles.catalogue import StyleCatalogue
from impasto.web.jobs import FINISHED, QueueFull, StudioJob
from impasto.web.requests import Uploads, film_task, job_options, learn_task, sheet_task
from impasto.web.store import UploadRefused, timed
from impasto.web.studio import Studio
from impasto.web.upload_routes import jpeg

LONGEST_JSON = 200_000  # bytes of a request for a job
KEEP_ALIVE_S = 15.0
MOST_FOLLOWERS = 8  # of one job


async def post_job(studio: Studio, request: Request) -> Response:
    """Queue a painting of a picture or film; 202 with its row. A draft is painted from previews of the pictures."""
    body = await _json(request)
    live, draft = (isinstance(body, dict) and body.pop(name, False) is True for name in ("live", "draft"))
    uploads = _uploads(studio, previews=draft)
    if isinstance(body, dict) and "film" in body:
        task = film_task(body, uploads)
    else:
        task = {"kind": "paint", "job": job_options(body, uploads)}
    _check_output(studio, body)
    title = ", ".join(_title(studio, style) for style in body["styles"])
    return _submitted(studio, request, task=task, title=title, body=body, live=live, draft=draft)


def _check_output(studio: Studio, body: Mapping[str, Any]) -> None:
    """Raise `OptionError` for a picture or frame that would be larger than uploads may be."""
    source = studio.films[body["film"]] if "film" in body else studio.pictures[body["content"]]
    size = from_dict(SizeOptions, body.get("size", {}), where="size")
    height, width = output_size((source.more["height"], source.more["width"]), size)
    if height * width > studio.most_pixels:
        raise OptionError(
            f"the painting would have {width}×{height} px; {studio.most_pixels / 1e6:g} megapixels are allowed. "
            "Choose a smaller size."
        )


async def post_sheet(studio: Studio, request: Request) -> Response:
    """Queue a sheet of every trained style; 202 with its row."""
    body = await _json(request)
    task = sheet_task(body, _uploads(studio))
    return _submitted(studio, request, task=task, title="sheet", body=body)


async def post_style(studio: Studio, request: Request) -> Response:
    """Queue the training of a style; 202 with its row."""
    if not studio.options.learn:
        raise OptionError("this studio trains no styles.")
    body = await _json(request)
    task = learn_task(body, _uploads(studio))
    name = task["name"]
    StyleCatalogue().check_new(name)
    if name in studio.sources or any(job.task.get("name") == name for job in studio.jobs.unfinished()):
        raise OptionError(f"there is a style {name} already. Choose another name.")
    return _submitted(studio, request, task=task, title=name, body=body)


def _submitted(
    studio: Studio, request: Request, *, task: dict[str, Any], title: str, body: Mapping[str, Any], **kind: bool
) -> Response:
    job = studio.jobs.submit(task, client=_client(request), title=title, request=body, **kind)
    return JSONResponse(job.row(), status_code=202)


def _uploads(studio: Studio, *, previews: bool = False) -> Uploads:
    """The uploads by id; with `previews`, the small JPEG of each picture."""
    return Uploads(
        pictures=lambda id: studio.pictures[id].preview if previews else studio.pictures[id].path,
        films=lambda id: studio.films[id].path,
        saved=lambda id: studio.saved[id].path,
        sources=studio.sources,
    )


def _title(studio: Studio, style: Mapping[str, Any]) -> str:
    """What the history calls a style."""
    return str(style.get("name") or (studio.saved[style["saved"]].more["name"] if "saved" in style else "picture"))


async def list_jobs(studio: Studio, request: Request) -> Response:
    """The client's jobs, oldest first, each with its request."""
    client = _client(request)
    rows = [job.row() | {"request": job.request} for job in studio.jobs if job.client == client]
    return JSONResponse({"jobs": rows})


async def get_job(studio: Studio, request: Request) -> Response:
    """The row of a job, with its request."""
    job = _job(studio, request)
    return JSONResponse(job.row() | {"request": job.request})


async def delete_job(studio: Studio, request: Request) -> Response:
    """Cancel a job; what was made so far is kept."""
    studio.jobs.cancel(job := _job(studio, request))
    return JSONResponse(job.row())


async def job_events(studio: Studio, request: Request) -> Response:
    """Server-sent events: the job's row at every change, to its end."""
    job = _job(studio, request)
    if job.followers >= MOST_FOLLOWERS:  # else one client could hold all connections of the server
        raise QueueFull(f"{MOST_FOLLOWERS} connections follow this job. Close one of them.")
    return StreamingResponse(_sent_events(job), media_type="text/event-stream")


async def _sent_events(job: StudioJob) -> AsyncIterator[str]:
    rows = aiter(job.events())
    following = asyncio.ensure_future(anext(rows))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=KEEP_ALIVE_S)
            if not done:
                yield ": still here\n\n"
                continue
            try:
                yield f"data: {json.dumps(following.result())}\n\n"
            except StopAsyncIteration:
                return
            following = asyncio.ensure_future(anext(rows))
    finally:
        following.cancel()


async def job_preview(studio: Studio, request: Request) -> Response:
    """The picture so far, as JPEG."""
    job = _job(studio, request)
    if not job.preview:
        raise KeyError(job.id)
    return jpeg(job.preview)


async def job_result(studio: Studio, request: Request) -> Response:
    """What a job made: PNG or MP4 with its recipe, or the weights of a style."""
    from impasto.training.run import NETWORK

    job = _job(studio, request)
    kinds = {"film": ("video/mp4", ""), "learn": ("application/octet-stream", NETWORK)}
    media_type, inside = kinds.get(job.kind, ("image/png", ""))
    path = job.output / inside if inside else job.output
    if job.state not in FINISHED or not path.exists():
        raise KeyError(job.id)
    return FileResponse(path, media_type=media_type, filename=f"impasto-{job.id}{path.suffix}")


def _job(studio: Studio, request: Request) -> StudioJob:
    """The job of a path. Raises `KeyError`, also for a job of another client."""
    job = studio.jobs[request.path_params["id"]]
    if job.client != _client(request):
        raise KeyError(job.id)
    return job


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


async def _json(request: Request) -> Any:
    body = bytearray()
    async for chunk in timed(request.stream()):
        body += chunk
        if len(body) > LONGEST_JSON:
            raise UploadRefused(f"the request is longer than {LONGEST_JSON:,} bytes.", 413)
    try:
        value = json.loads(body)
        json.dumps(
            value, allow_nan=False, ensure_ascii=False
        ).encode()  # what is kept is sent back: no NaN, no half characters
        return value
    except (ValueError, RecursionError):
        raise OptionError("the request is not JSON.") from None
