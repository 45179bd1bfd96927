"""The stylizer of a network that paints in any style: by tiles, or by rows that it predicts."""

from __future__ import annotations

from impasto.nets.fast import MEMORY_BYTES
from impasto.nets.predicted import Predicted
from impasto.nets.table import Network
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.codes import TILE_PX
from impasto.stylizers.predicted import Predictive


def any_style(network: Network, *, tile_px: int = TILE_PX, memory_bytes: int = MEMORY_BYTES) -> Arbitrary | Predictive:
    """What paints with `network`; tiles have `tile_px` a side, strips use about `memory_bytes`, whichever it paints."""
    if isinstance(network.net, Predicted):
        return Predictive(network, memory_bytes)
    return Arbitrary(network, tile_px)
