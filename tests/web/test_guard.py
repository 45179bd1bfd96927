"""What the guard refuses, and what its answers carry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from impasto.web.guard import Guard, Rules, host_name, served_hosts

TOKEN = "a-token-for-tests-only"


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


@pytest.fixture
def client(client_of: Callable[..., Any]) -> Any:
    routes = [Route("/{path:path}", answer, methods=["GET", "PUT", "POST", "DELETE"])]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, rules=Rules(TOKEN, longest_body=1000))])
    return client_of(app, base_url="http://127.0.0.1:8471", headers={"x-impasto-token": TOKEN})


def status(client: Any, method: str = "POST", path: str = "/api/jobs", **headers: Any) -> int:
    return client.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ).status_code


def test_a_request_of_the_page_passes(client: Any) -> None:
    assert status(client) == 200
    assert status(client, origin="http://127.0.0.1:8471", sec_fetch_site="same-origin") == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8471", "", "[::1"])
def test_other_hosts_are_refused(client: Any, host: str) -> None:
    """DNS rebinding: the attacker's name resolves to this machine, and stays in the Host header."""
    assert status(client, "GET", host=host) == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_other_origins_are_refused(client: Any, headers: dict[str, str]) -> None:
    assert status(client, **headers) == 403


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "\xe9"])
def test_the_token_is_needed(client: Any, token: str) -> None:
    assert status(client, x_impasto_token=token.encode("latin-1")) == 401


def test_a_bearer_token_serves_as_well(client: Any) -> None:
    del client.headers["x-impasto-token"]
    assert status(client) == 401
    assert status(client, authorization=f"Bearer {TOKEN}") == 200
    assert status(client, authorization=f"Basic {TOKEN}") == 401


def test_the_page_needs_no_token(client: Any) -> None:
    del client.headers["x-impasto-token"]
    assert [status(client, "GET", path) for path in ("/", "/page/studio.js", "/health")] == [200, 200, 200]
    assert [status(client, "GET", path) for path in ("/api/styles", "/metrics", "/pages")] == [401, 401, 401]


@pytest.mark.parametrize(
    ("length", "code"), [("1000", 200), ("1001", 413), ("10000000000", 413), ("-1", 400), ("x", 400)]
)
def test_announced_lengths(client: Any, length: str, code: int) -> None:
    assert client.request("PUT", "/api/pictures", headers={"content-length": length}).status_code == code


def test_every_answer_carries_the_security_headers(client: Any) -> None:
    for path, headers in (("/", {}), ("/api/jobs", {"x-impasto-token": "wrong"})):
        answer = client.request("GET", path, headers=headers)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("[::1]:80", "::1"),
        ("LocalHost:8471", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("a b", ""),
        ("x@127.0.0.1", ""),
        ("localhost:8x", ""),
    ],
)
def test_host_names(host: str, name: str) -> None:
    assert host_name(host) == name


def test_listening_everywhere_serves_no_further_name() -> None:
    assert served_hosts("0.0.0.0") == served_hosts("127.0.0.1")
    assert "paint.example" in served_hosts("0.0.0.0", ["Paint.example"])
