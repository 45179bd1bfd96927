"""A client that talks to an ASGI application without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest


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
