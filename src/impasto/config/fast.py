"""Options of painting by strips, with trained styles and those that are predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class FastOptions(Options):
    """How much memory a large picture may take."""

    memory_gb: Annotated[
        float,
        Doc(
            "Gigabytes for a large picture and its features. With less they are computed again, which takes longer and "
            "changes nothing else."
        ),
        Range(0),
    ] = 2.7
