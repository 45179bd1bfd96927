"""The studio's HTTP application: routes, and errors as responses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from impasto.config.studio import StudioOptions
from impasto.core.errors import ImpastoError
from impasto.web import job_routes, openapi, upload_routes
from impasto.web.guard import CONTENT_POLICY, Guard, Rules, served_hosts
from impasto.web.jobs import QueueFull
from impasto.web.requests import form
from impasto.web.store import UploadRefused
from impasto.web.studio import Studio

Handler = Callable[["Studio", Request], Awaitable[Response]]

STYLE_SHEET = '<link rel="stylesheet" href="/page/studio.css">'
PAGE_TYPES = {".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
DRAINED_BYTES, DRAINED_S = 4_000_000, 3.0


def create_app(options: StudioOptions, *, token: str, names: tuple[str, ...]) -> Starlette:
    """The application, with the trained styles `names`."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="impasto-studio-", ignore_cleanup_errors=True) as folder:
            app.state.studio = studio = Studio.of(options, Path(folder), names=names)
            running = [asyncio.create_task(work) for work in (studio.jobs.run(), studio.warm_up())]
            try:
                yield
            finally:
                await studio.close()
                for task in running:
                    task.cancel()

    rules = Rules(
        token=token,
        hosts=served_hosts(options.host, options.allow_host),
        longest_body=int(options.upload_mb * 1e6),
        longer_bodies={"/api/films": int(options.film_mb * 1e6)},
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
        ("GET", "/api/styles", upload_routes.styles),
        ("POST", "/api/styles", job_routes.post_style),
        ("GET", "/api/styles/{name}", upload_routes.thumbnail),
        ("PUT", "/api/pictures", upload_routes.put_picture),
        ("GET", "/api/pictures/{id}", upload_routes.picture_preview),
        ("GET", "/api/pictures/{id}/recipe", upload_routes.picture_recipe),
        ("PUT", "/api/saved-styles", upload_routes.put_saved_style),
        ("GET", "/api/saved-styles/{id}", upload_routes.saved_thumbnail),
        ("PUT", "/api/films", upload_routes.put_film),
        ("GET", "/api/films/{id}", upload_routes.film_file),
        ("POST", "/api/jobs", job_routes.post_job),
        ("POST", "/api/sheets", job_routes.post_sheet),
        ("GET", "/api/jobs", job_routes.list_jobs),
        ("GET", "/api/jobs/{id}", job_routes.get_job),
        ("DELETE", "/api/jobs/{id}", job_routes.delete_job),
        ("GET", "/api/jobs/{id}/events", job_routes.job_events),
        ("GET", "/api/jobs/{id}/preview", job_routes.job_preview),
        ("GET", "/api/jobs/{id}/result", job_routes.job_result),
    ]
    return [Route(path, _answering(handler), methods=[method]) for method, path, handler in table]


def _answering(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A handler that turns the library's errors into JSON responses."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request.app.state.studio, request)
        except UploadRefused as error:
            await _drain(request)  # a client that is still sending would get a reset instead of the response
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
    """Read the rest of a refused upload, up to `DRAINED_BYTES` and `DRAINED_S`, before the connection is closed."""
    left = DRAINED_BYTES
    with contextlib.suppress(ClientDisconnect, TimeoutError, RuntimeError):  # RuntimeError: all of it was read already
        async with asyncio.timeout(DRAINED_S):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return


async def page(studio: Studio, request: Request) -> Response:
    """A file of the page by its name."""
    name = request.path_params.get("name", "index.html")
    content, headers = page_files()[name]
    return Response(content, media_type=PAGE_TYPES[Path(name).suffix], headers=headers)


@cache
def page_files() -> Mapping[str, tuple[str, Mapping[str, str]]]:
    """The files of the page by name, each with additional headers.

    `index.html` contains the style sheet, so that the first paint waits for no other file.
    """
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in (files("impasto.web") / "page").iterdir()}
    sheet = texts.pop("studio.css")
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    index = texts["index.html"].replace(STYLE_SHEET, f"<style>{sheet}</style>")
    policy = f"{CONTENT_POLICY}; style-src 'sha256-{digest}'"
    pages: dict[str, tuple[str, Mapping[str, str]]] = {name: (text, {}) for name, text in texts.items()}
    return pages | {"index.html": (index, {"content-security-policy": policy})}


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
    return JSONResponse(form())
