"""FFmpeg's containers, opened by PyAV; untyped, since PyAV's types allow None where an open file has a value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av


def reading(path: Path) -> Any:
    """The container at `path`, open for reading. Raises `av.FFmpegError`."""
    return av.open(str(path))


def writing(path: Path, format_name: str, options: Mapping[str, str] | None = None) -> Any:
    """A new container of FFmpeg's format `format_name` at `path`. Raises `av.FFmpegError`."""
    return av.open(str(path), "w", format=format_name, options=dict(options or {}))
