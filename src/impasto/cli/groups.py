"""The option groups that more than one command takes, as flags."""

from __future__ import annotations

from dataclasses import dataclass, field

from cyclopts import Parameter

from impasto.cli.flags import flagged
from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.console import ConsoleOptions
from impasto.config.fast import FastOptions
from impasto.config.job import PaintOptions
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import ColourOptions, OutputOptions, SizeOptions
from impasto.config.studio import StudioOptions


@flagged("Painting")
class PaintFlags(PaintOptions):
    """Flags of `PaintOptions`."""


@flagged("Size")
class SizeFlags(SizeOptions):
    """Flags of `SizeOptions`."""


@flagged("Colours")
class ColourFlags(ColourOptions):
    """Flags of `ColourOptions`."""


@flagged("One pass (--method arbitrary)")
class ArbitraryFlags(ArbitraryOptions):
    """Flags of `ArbitraryOptions`."""


@flagged("Trained styles (--method fast)")
class FastFlags(FastOptions):
    """Flags of `FastOptions`."""


@flagged("Losses (--method optimise)")
class LossFlags(LossOptions):
    """Flags of `LossOptions`."""


@flagged("Optimisation (--method optimise)")
class OptimiseFlags(OptimiseOptions):
    """Flags of `OptimiseOptions`."""


@flagged("Output")
class OutputFlags(OutputOptions):
    """Flags of `OutputOptions`."""


@flagged("Studio")
class StudioFlags(StudioOptions):
    """Flags of `StudioOptions`."""


@flagged("Console")
class ConsoleFlags(ConsoleOptions):
    """Flags of `ConsoleOptions`."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LookFlags:
    """All that decides how a picture looks, by the names that `Job` has for it."""

    paint: PaintFlags = field(default_factory=PaintFlags)
    size: SizeFlags = field(default_factory=SizeFlags)
    colour: ColourFlags = field(default_factory=ColourFlags)
    arbitrary: ArbitraryFlags = field(default_factory=ArbitraryFlags)
    fast: FastFlags = field(default_factory=FastFlags)
    losses: LossFlags = field(default_factory=LossFlags)
    optimise: OptimiseFlags = field(default_factory=OptimiseFlags)
