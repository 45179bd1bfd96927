"""Options of painting any style in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class ArbitraryOptions(Options):
    """Which network paints, and in how large pieces."""

    network: Annotated[str, Doc("Network: a name of `impasto models list`, or a weight file.")] = "compact-any"
    tile_px: Annotated[
        int,
        Doc(
            "Side of the pieces that a large picture is painted in, which bounds the memory and changes nothing else; "
            "0 paints any picture whole. For networks that do not paint by strips."
        ),
        Range(0, 100_000),
    ] = 1024
