"""Options of painting in one pass, with trained styles or any style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class FastOptions(Options, title="Trained styles (`method=fast`)"):
    """The noise that textures grow from."""

    noise_seed: Annotated[
        int, Doc("Seed of the noise inputs, which vary the texture of flat areas."), Range(0, 2**32 - 1)
    ] = 0
