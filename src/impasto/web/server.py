"""Serving the studio: address, token, graceful stop, and connections that send nothing."""

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


class PatientProtocol(H11Protocol):
    """HTTP that closes a connection whose first request has not arrived whole after `HEADER_TIMEOUT_S` (slow loris)."""

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._clock = asyncio.get_running_loop().call_later(HEADER_TIMEOUT_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._clock.cancel()
        super().connection_lost(exc)


def check_exposure(options: StudioOptions) -> None:
    """Raise `OptionError` where others could reach the studio without a token of the user's choice."""
    if not is_loopback(options.host) and not options.token:
        raise OptionError(
            f"the host is {options.host}, which other machines can reach, and there is no `token`. Give one of 16 "
            "characters or more."
        )
    if options.token is not None and len(options.token) < 16:
        raise OptionError("the token is shorter than 16 characters. Give a longer one, or leave it out.")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def serve(options: StudioOptions, *, names: tuple[str, ...], started: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; a running job keeps what it has. `started` is given the address to open.

    Raises `OptionError` for an address that cannot be listened on, or without a token for one that others can reach.
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
        http=PatientProtocol,
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
