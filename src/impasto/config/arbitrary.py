"""Options of painting any style in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Doc, Options


@dataclass(frozen=True, kw_only=True)
class ArbitraryOptions(Options, title="One pass (`method=arbitrary`)"):
    """Which network paints."""

    network: Annotated[str, Doc("Network: a name of `impasto models list`, or a weight file.")] = "compact-any"
