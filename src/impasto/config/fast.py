"""Options of painting with learned styles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class FastOptions(Options):
    """How large a picture may be."""

    most_megapixels: Annotated[
        float,
        Doc(
            "The largest picture to begin, in megapixels: a learned style looks at the whole picture at once, and "
            "needs about 350 MB a megapixel."
        ),
        Range(0.01, 10_000),
    ] = 16.0
