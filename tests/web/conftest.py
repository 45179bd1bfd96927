"""Clients: of an ASGI application without a network, and of a studio that serves on a real socket."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from impasto.config.studio import StudioOptions
from impasto.web.app import create_app
from impasto.web.server import TimedProtocol

TOKEN = "a-token-for-tests-only"


class Client:
    """Synchronous requests to an application; `headers` go with each."""

    def __init__(self, app: Any, *, base_url: str, headers: dict[str, str]) -> None:
        self.app, self.base_url, self.headers = app, base_url, headers

    def request(self, method: str, path: str, *, headers: dict[str, Any] | None = None, **body: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
                return await client.request(method, path, headers={**self.headers, **(headers or {})}, **body)

        return asyncio.run(ask())


@pytest.fixture
def client_of() -> Callable[..., Client]:
    return Client


@contextmanager
def served(**options: Any) -> Iterator[httpx.Client]:
    """A client of a studio that serves in another thread."""
    chosen = StudioOptions(
        **({"threads": 1, "client_jobs": 8, "queue": 12, "upload_mb": 0.5, "megapixels": 1.0} | options)
    )
    app = create_app(chosen, token=TOKEN, names=("wave", "scream"))
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=TimedProtocol,
        ws="none",
        log_level="critical",
        limit_concurrency=300,
        timeout_graceful_shutdown=1,
    )
    serving = uvicorn.Server(config)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        with httpx.Client(base_url=address, headers={"x-impasto-token": TOKEN}, timeout=600) as client:
            while not serving.started:
                time.sleep(0.01)
            client.app = app  # type: ignore[attr-defined]
            yield client
    finally:
        serving.should_exit = True
        thread.join(120)
        listening.close()


@pytest.fixture(scope="session")
def running() -> Callable[..., AbstractContextManager[httpx.Client]]:
    return served


@pytest.fixture(scope="session")
def token() -> str:
    return TOKEN
