"""Options of painting in one pass, with trained styles or any style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class FastOptions(Options, title="Trained styles (`method=fast`)"):
    """Memory for large pictures, and the noise that textures grow from."""

    memory_gb: Annotated[
        float,
        Doc("Gigabytes for a large picture and its features. Less is slower and changes nothing else."),
        Range(0, 1e6),
    ] = 2.7
    noise_seed: Annotated[int, Doc("Seed of the noise that textures in flat areas grow from."), Range(0, 2**32 - 1)] = 0
