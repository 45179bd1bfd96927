"""Checks of every request before it is read: host, origin, token, length; and security headers of responses."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
TOKEN_HEADER = "x-impasto-token"
OPEN_PATHS = frozenset({"/", "/health"})
"""Paths that need no token; the page itself contains no data."""

HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s@/\\?#:\[\]]+)(?::[0-9]{1,5})?")
SAFE_METHODS = frozenset({"GET", "HEAD"})

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
)

SECURITY_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Rules:
    """Which requests the server accepts. `hosts` are names without port; `longest_body` is in bytes.

    `longer_bodies` has other limits by path.
    """

    token: str
    hosts: frozenset[str] = LOOPBACK
    longest_body: int = 50_000_000
    longer_bodies: Mapping[str, int] = field(default_factory=dict)
    open_paths: frozenset[str] = field(default=OPEN_PATHS)

    def refusal(self, method: str, path: str, *, headers: Headers) -> tuple[int, str] | None:
        """Status and reason of a refusal; None for an acceptable request.

        Checked in this order: the Host header (against DNS rebinding), the origin, the token, the content length.
        """
        if host_name(headers.get("host", "")) not in self.hosts:
            return 421, "this host name is not served here. Open the address that the studio printed."
        if method not in SAFE_METHODS and not self._same_origin(headers):
            return 403, "the request comes from another site."
        is_open = path in self.open_paths or path.startswith("/page/")
        if not is_open and not hmac.compare_digest(given_token(headers).encode(), self.token.encode()):
            return 401, "the token is missing or wrong. Open the address that the studio printed."
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            return 400, "the content length is not a number."
        longest = self.longer_bodies.get(path, self.longest_body)
        if len(length) > 15 or int(length) > longest:
            return 413, f"the upload has {length} bytes; {longest} are allowed."
        return None

    def _same_origin(self, headers: Headers) -> bool:
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


class Guard:
    """ASGI middleware: applies `Rules`, and adds security headers to every response."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                message["headers"] = headers.raw
            await send(message)

        refusal = self.rules.refusal(scope["method"], scope["path"], headers=Headers(scope=scope))
        if refusal is None:
            await self.app(scope, receive, send_guarded)
        else:
            status, reason = refusal
            await JSONResponse({"error": reason}, status_code=status)(scope, receive, send_guarded)


def host_name(host: str) -> str:
    """The name in a Host header, without the port: `[::1]:80` gives `::1`. Empty if the header has another form."""
    match = HOST.fullmatch(host)
    return match[1].strip("[]").lower() if match else ""


def given_token(headers: Headers) -> str:
    """The token of a request, from its own header or as a bearer token; empty if there is none."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return headers.get(TOKEN_HEADER) or (bearer.strip() if scheme.lower() == "bearer" else "")


def served_hosts(host: str, more: Iterable[str] = ()) -> frozenset[str]:
    """Accepted host names of a server that listens on `host`."""
    own = {host_name(f"[{host}]" if ":" in host else host)} - {"0.0.0.0", "::"}
    return LOOPBACK | own | {name.lower() for name in more}
