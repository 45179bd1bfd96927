"""Serving the studio: address, token, graceful shutdown, and idle connections."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from impasto.config.studio import StudioOptions
from impasto.core.errors import OptionError
from impasto.web.app import create_app

HEADER_TIMEOUT_S = 10.0
CONNECTIONS = 400


class TimedProtocol(H11Protocol):
    """HTTP that closes a connection which sends bytes without a complete head of a request for `HEADER_TIMEOUT_S`.

    That is the first head, that of a further request, or the rest of a body whose request was refused (slow loris).
    """

    def connection_made(self, transport: Any) -> None:
        """Start the timeout."""
        super().connection_made(transport)
        self._clock: asyncio.TimerHandle | None = None
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Start the timeout, or end it with the head of a request."""
        super().data_received(data)
        self._watch()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        if self._is_answering:
            self._unwatch()
        elif self._clock is None:
            self._clock = asyncio.get_running_loop().call_later(HEADER_TIMEOUT_S, self._close_if_idle)

    def _unwatch(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _close_if_idle(self) -> None:
        self._clock = None
        if not self._is_answering and not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout."""
        self._unwatch()
        super().connection_lost(exc)


def check_exposure(options: StudioOptions) -> None:
    """Raise `OptionError` if other machines could reach the studio without a token chosen by the user."""
    if not is_loopback(options.host) and not options.token:
        raise OptionError(
            f"the host is {options.host}, which other machines can reach, and there is no `token`. Set one of at least "
            "16 characters."
        )
    if options.token is not None and len(options.token) < 16:
        raise OptionError("the token is shorter than 16 characters. Set a longer one, or none for a random token.")


def is_loopback(host: str) -> bool:
    """Whether a server on `host` is reachable from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def serve(options: StudioOptions, *, names: tuple[str, ...], started: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; the running job saves its work. `started` is called with the address to open.

    Raises `OptionError` if the address is in use, or is reachable from other machines without a token.
    """
    check_exposure(options)
    token = options.token or secrets.token_urlsafe(24)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listening = socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        raise OptionError(
            f"port {options.port} of {options.host} is not free ({error.strerror}). Use `port=0`."
        ) from error
    port = listening.getsockname()[1]
    host = f"[{options.host}]" if ":" in options.host else options.host
    config = uvicorn.Config(
        create_app(options, token=token, names=names),
        http=TimedProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=10,
    )
    started(f"http://{host}:{port}/#{token}")
    with listening:
        uvicorn.Server(config).run(sockets=[listening])
