"""The stylizer of a network that paints in any style."""

from __future__ import annotations

from collections.abc import Mapping

from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.nets.noise import Noise
from impasto.nets.painting import MEMORY_BYTES
from impasto.nets.protocol import StyleParams
from impasto.nets.table import Network
from impasto.stylizers.arbitrary import Arbitrary


def any_style(
    network: Network,
    *,
    memory_bytes: int = MEMORY_BYTES,
    noise: Noise | None = None,
    trained: Mapping[str, StyleParams] | None = None,
    wraps: Wraps = NO_WRAPS,
) -> Arbitrary:
    """The stylizer of `network`; a pass over a large picture uses about `memory_bytes`.

    `trained` are the parameters of trained styles, as `arbitrary.trained_params` gives them. Sides that `wraps`
    continue at the opposite edge.
    """
    return Arbitrary(network, memory_bytes, noise, trained or {}, wraps)
