"""Bytes to a server over a socket, and what comes back."""

from __future__ import annotations

import io
import socket
from typing import Any

import httpx
import numpy as np
from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"


def picture(seed: int = 0, kind: str = "PNG", **options: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def raw(studio: httpx.Client, data: bytes, *, timeout_s: float = 120) -> bytes:
    """What the server sends back to these bytes, until it closes the connection or `timeout_s` passed."""
    received = bytearray()
    with socket.create_connection((studio.base_url.host, studio.base_url.port)) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(data)
        try:
            while chunk := connection.recv(65536):
                received += chunk
                if b"\r\n\r\n" in received and not data.startswith(b"PUT"):
                    break
        except (TimeoutError, ConnectionResetError):
            pass
    return bytes(received)


def head(method: str, path: str, token: str, **headers: str) -> bytes:
    rows = {"host": "127.0.0.1", "x_impasto_token": token, "connection": "close"} | headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in rows.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def ids(studio: httpx.Client) -> str:
    return str(studio.put("/api/pictures", content=picture()).json()["id"])
