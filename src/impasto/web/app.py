"""The studio's HTTP application: the page, pictures, jobs and their events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from impasto.config.studio import StudioOptions
from impasto.core.errors import ImpastoError, OptionError
from impasto.web import openapi
from impasto.web.guard import Guard, Rules, served_hosts
from impasto.web.jobs import FINISHED, JobQueue, PaintJob, QueueFull
from impasto.web.processes import WorkerProcess
from impasto.web.requests import form, job_options
from impasto.web.store import PictureStore, StoredPicture, UploadRefused

Handler = Callable[["Studio", Request], Awaitable[Response]]

PAGE = files("impasto.web") / "page"
PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LONGEST_JSON = 200_000  # bytes of a request for a job
INSPECT_TIMEOUT_S = 30.0
PREVIEW_PX = 1280
THUMBNAIL_PX = 224
KEEP_ALIVE_S = 15.0
DRAINED_BYTES, DRAINED_S = 4_000_000, 3.0


@dataclass
class Studio:
    """What the handlers share: stored pictures, the queue, and two worker processes, one of which only inspects."""

    options: StudioOptions
    folder: Path
    names: tuple[str, ...]
    painter: WorkerProcess
    inspector: WorkerProcess
    pictures: PictureStore
    jobs: JobQueue
    thumbnails: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, options: StudioOptions, folder: Path, *, names: tuple[str, ...]) -> Studio:
        """A studio with its files in `folder` (and finished pictures in `options.keep`) and its styles' `names`."""
        memory_bytes = int(options.memory_gb * 1e9)
        painter = WorkerProcess(memory_bytes=memory_bytes, threads=options.threads)
        results = options.keep or folder / "results"
        jobs = JobQueue(
            painter,
            results,
            longest=options.queue,
            of_client=options.client_jobs,
            timeout_s=options.timeout_s,
            keeps_files=options.keep is not None,
        )
        pictures = PictureStore(folder / "pictures", longest_bytes=int(options.upload_mb * 1e6))
        inspector = WorkerProcess(memory_bytes=memory_bytes, threads=1)
        return cls(options, folder, names, painter, inspector, pictures, jobs)

    async def warm_up(self) -> None:
        """Start both processes, so that the first picture does not wait for them."""
        await asyncio.gather(
            *(worker.run({"kind": "ready"}, timeout_s=120) for worker in (self.inspector, self.painter))
        )

    def close(self) -> None:
        """End the processes."""
        self.painter.close()
        self.inspector.close()


def create_app(options: StudioOptions, *, token: str, names: tuple[str, ...]) -> Starlette:
    """The application. `names` are the trained styles that it offers."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="impasto-studio-") as folder:
            app.state.studio = studio = Studio.of(options, Path(folder), names=names)
            running = [asyncio.create_task(work) for work in (studio.jobs.run(), studio.warm_up())]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()
                studio.close()

    rules = Rules(
        token=token,
        hosts=served_hosts(options.host, options.allow_host),
        longest_body=int(options.upload_mb * 1e6),
    )
    middleware = [Middleware(Guard, rules=rules)]
    return Starlette(routes=_routes(), middleware=middleware, lifespan=lifespan)


def _routes() -> list[Route]:
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/", page),
        ("GET", "/page/{name}", page),
        ("GET", "/health", health),
        ("GET", "/metrics", metrics),
        ("GET", "/api/openapi.json", description),
        ("GET", "/api/options", options_form),
        ("GET", "/api/styles", styles),
        ("GET", "/api/styles/{name}", thumbnail),
        ("PUT", "/api/pictures", put_picture),
        ("GET", "/api/pictures/{id}", picture_preview),
        ("GET", "/api/pictures/{id}/recipe", picture_recipe),
        ("POST", "/api/jobs", post_job),
        ("GET", "/api/jobs", list_jobs),
        ("GET", "/api/jobs/{id}", get_job),
        ("DELETE", "/api/jobs/{id}", delete_job),
        ("GET", "/api/jobs/{id}/events", job_events),
        ("GET", "/api/jobs/{id}/preview", job_preview),
        ("GET", "/api/jobs/{id}/result", job_result),
    ]
    return [Route(path, _answering(handler), methods=[method]) for method, path, handler in table]


def _answering(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A handler with the library's errors as JSON answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request.app.state.studio, request)
        except UploadRefused as error:
            await _drain(request)  # a client that still sends would see a reset, and not the answer
            return JSONResponse({"error": str(error)}, status_code=error.status, headers={"connection": "close"})
        except QueueFull as error:
            return JSONResponse({"error": str(error)}, status_code=429, headers={"retry-after": "5"})
        except ImpastoError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except KeyError:
            return JSONResponse({"error": "there is nothing of this name."}, status_code=404)
        except ClientDisconnect:
            return Response(status_code=400)

    return answer


async def _drain(request: Request) -> None:
    """Read the rest of a refused upload, up to `DRAINED_BYTES` and `DRAINED_S`; then the connection is closed."""
    left = DRAINED_BYTES
    with contextlib.suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(DRAINED_S):
            while left > 0:
                message = await request.receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return


# Page and description


async def page(studio: Studio, request: Request) -> Response:
    """A file of the page; only names that are there are read."""
    name = request.path_params.get("name", "index.html")
    known = {entry.name: entry for entry in PAGE.iterdir()}
    suffix = Path(name).suffix
    return Response(known[name].read_bytes(), media_type=PAGE_TYPES[suffix])


async def health(studio: Studio, request: Request) -> Response:
    """Whether the server answers."""
    return JSONResponse({"status": "ok", "waiting": len(studio.jobs.unfinished())})


async def metrics(studio: Studio, request: Request) -> Response:
    """Counters and gauges in Prometheus' text format."""
    lines = ["# TYPE impasto_jobs_total counter"]
    lines += [f'impasto_jobs_total{{state="{state}"}} {count}' for state, count in sorted(studio.jobs.counts.items())]
    lines += ["# TYPE impasto_jobs_unfinished gauge", f"impasto_jobs_unfinished {len(studio.jobs.unfinished())}"]
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


async def description(studio: Studio, request: Request) -> Response:
    """The API as OpenAPI 3.1."""
    return JSONResponse(openapi.document())


async def options_form(studio: Studio, request: Request) -> Response:
    """Every option of a job, by group."""
    return JSONResponse({"groups": form()})


# Styles and pictures


async def styles(studio: Studio, request: Request) -> Response:
    """The names of the trained styles."""
    return JSONResponse({"styles": list(studio.names)})


async def thumbnail(studio: Studio, request: Request) -> Response:
    """A photograph in a trained style; painted once."""
    name = request.path_params["name"]
    if name not in studio.names:
        raise KeyError(name)
    if name not in studio.thumbnails:
        task = {"kind": "thumbnail", "style": name, "px": THUMBNAIL_PX, "folder": str(studio.folder)}
        studio.thumbnails[name] = _preview(await studio.painter.run(task, timeout_s=studio.options.timeout_s))
    return _jpeg(studio.thumbnails[name])


async def put_picture(studio: Studio, request: Request) -> Response:
    """Take a picture as the raw body; 201 with its id."""
    path = await studio.pictures.receive(request.stream())
    most = int(studio.options.megapixels * 1e6)
    task = {"kind": "inspect", "path": str(path), "most_pixels": most, "preview_px": PREVIEW_PX}
    last = await studio.inspector.run(task, timeout_s=INSPECT_TIMEOUT_S)
    if last["kind"] == "failed":
        path.unlink(missing_ok=True)
        raise UploadRefused(last["error"], 415)
    return JSONResponse(
        _picture_row(studio.pictures.add(path, tuple(last["size"]), preview=last["preview"])), status_code=201
    )


def _picture_row(picture: StoredPicture) -> dict[str, Any]:
    return {"id": picture.id, "width": picture.size[0], "height": picture.size[1]}


async def picture_preview(studio: Studio, request: Request) -> Response:
    """A JPEG of an uploaded picture, scaled down."""
    return _jpeg(studio.pictures[request.path_params["id"]].preview)


async def picture_recipe(studio: Studio, request: Request) -> Response:
    """The options in the metadata of an uploaded picture that impasto made; file names are left out."""
    path = studio.pictures[request.path_params["id"]].path
    last = await studio.inspector.run({"kind": "recipe", "path": str(path)}, timeout_s=INSPECT_TIMEOUT_S)
    if last["kind"] == "failed":
        raise OptionError("the picture carries no recipe of impasto.")
    return JSONResponse(public_recipe(last["job"], names=studio.names))


def public_recipe(job: dict[str, Any], *, names: tuple[str, ...]) -> dict[str, Any]:
    """The options of a recipe without its files; styles are kept by name, pictures by their weight only."""
    rows = [
        {"weight": style.get("weight", 1.0)} | ({"name": style["source"]} if style.get("source") in names else {})
        for style in job.get("styles", [])
    ]
    groups = {key: value for key, value in job.items() if key not in ("content", "styles")}
    return {"styles": rows, "options": groups}


# Jobs


async def post_job(studio: Studio, request: Request) -> Response:
    """Queue a painting; 202 with its row."""
    body = await _json(request)
    live = isinstance(body, dict) and body.pop("live", False) is True
    names = frozenset(studio.names)
    options = job_options(body, path_of=lambda id: studio.pictures[id].path, names=names)
    title = ", ".join(style.get("name", "picture") for style in body["styles"])
    job = studio.jobs.submit(options, client=_client(request), title=title, live=live)
    return JSONResponse(job.row(), status_code=202)


async def list_jobs(studio: Studio, request: Request) -> Response:
    """The client's jobs, oldest first."""
    client = _client(request)
    return JSONResponse({"jobs": [job.row() for job in studio.jobs if job.client == client]})


async def get_job(studio: Studio, request: Request) -> Response:
    """The row of a job."""
    return JSONResponse(_job(studio, request).row())


async def delete_job(studio: Studio, request: Request) -> Response:
    """Cancel a job; what was painted so far is kept."""
    studio.jobs.cancel(job := _job(studio, request))
    return JSONResponse(job.row())


async def job_events(studio: Studio, request: Request) -> Response:
    """Server-sent events: the job's row at every change, to its end."""
    return StreamingResponse(_sent_events(_job(studio, request)), media_type="text/event-stream")


async def _sent_events(job: PaintJob) -> AsyncIterator[str]:
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
    return _jpeg(job.preview)


async def job_result(studio: Studio, request: Request) -> Response:
    """The finished picture, as PNG with its recipe."""
    job = _job(studio, request)
    if job.state not in FINISHED or not job.output.exists():
        raise KeyError(job.id)
    return FileResponse(job.output, media_type="image/png", filename=f"impasto-{job.id}.png")


def _job(studio: Studio, request: Request) -> PaintJob:
    """The job of a path. Raises `KeyError`, also for a job of another client."""
    job = studio.jobs[request.path_params["id"]]
    if job.client != _client(request):
        raise KeyError(job.id)
    return job


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


async def _json(request: Request) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_JSON:
            raise UploadRefused(f"the request is longer than {LONGEST_JSON:,} bytes.", 413)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise OptionError("the request is not JSON.") from None


def _preview(message: dict[str, Any]) -> bytes:
    if message["kind"] == "failed":
        raise OptionError(message["error"])
    preview: bytes = message["preview"]
    return preview


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg")
