"""Options of painting any style in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Doc, Options


@dataclass(frozen=True, kw_only=True)
class ArbitraryOptions(Options, title="One pass (`method=arbitrary`)"):
    """Which network paints."""

    network: Annotated[str, Doc("Network: a name of `impasto models list`, or a weight file.")] = "compact-any"


AUTO = "auto"
SMALL_NETWORK = "compact-any-half"


@dataclass(frozen=True, kw_only=True)
class FrameNetworkOptions(ArbitraryOptions, title="One pass (`method=arbitrary`)"):
    """Which network paints the frames of films and cameras."""

    network: Annotated[
        str,
        Doc(
            f"Network: a name of `impasto models list`, or a weight file; {AUTO}: networks with less arithmetic, "
            f"{SMALL_NETWORK} for pictures and compact-styles-half for trained styles, where all styles have one; "
            f"otherwise {ArbitraryOptions().network} and compact-styles."
        ),
    ] = AUTO
