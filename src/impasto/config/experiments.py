"""Options of loss curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Choice, Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class CurveOptions(Options, title="Curves"):
    """How the losses of training runs are drawn."""

    scale: Annotated[
        str,
        Doc("Scale of the loss axis. auto: logarithmic if the largest loss is at least 20 times the smallest."),
        Choice(("auto", "linear", "log")),
    ] = "auto"
    smooth: Annotated[
        float, Doc("Window of the running mean as a fraction of the run; 0 disables smoothing."),
        Range(0, 1),
    ] = 0.04  # fmt: skip
