"""The notation of a style with its weight: `FILE:WEIGHT`."""

from __future__ import annotations

import re
from pathlib import Path

from impasto.core.errors import OptionError

_WEIGHTED = re.compile(r"(?P<path>.+):(?P<weight>[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)", re.IGNORECASE)


def split_weight(text: str) -> tuple[str, float]:
    """`wave.jpg:0.5` is `("wave.jpg", 0.5)`. A file of the whole name wins, and `C:1` is a file on a drive.

    Raises `OptionError` if what follows the colon is not a number.
    """
    parts = _WEIGHTED.fullmatch(text)
    if Path(text).exists() or ":" not in text:
        return text, 1.0
    if parts is None:
        _check_not_meant(text)
        return text, 1.0
    if re.fullmatch("[A-Za-z]", parts["path"]) and not Path(parts["path"]).exists():
        return text, 1.0
    return parts["path"], float(parts["weight"])


def _check_not_meant(text: str) -> None:
    """Raise `OptionError` for `painting.jpg:x`, but for neither an address nor a file on a drive."""
    path, _, weight = text.rpartition(":")
    if path and not re.match(r"[A-Za-z]:|\w+://", text):
        raise OptionError(f"there is no file {text}, and {weight!r} is not a weight; a number is, as in {path}:0.5.")
