"""A style with its weight, as it is written: `FILE:WEIGHT`."""

from __future__ import annotations

import re
from pathlib import Path

_WEIGHTED = re.compile(r"(?P<path>.+):(?P<weight>[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)", re.IGNORECASE)


def split_weight(text: str) -> tuple[str, float]:
    """`wave.jpg:0.5` is `("wave.jpg", 0.5)`. A file of the whole name wins, and `C:1` is a file on a drive."""
    parts = _WEIGHTED.fullmatch(text)
    if parts is None or Path(text).exists():
        return text, 1.0
    if re.fullmatch("[A-Za-z]", parts["path"]) and not Path(parts["path"]).exists():
        return text, 1.0
    return parts["path"], float(parts["weight"])
