"""One picture to be made: everything that decides how it looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.fast import FastOptions
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import ColourOptions, SizeOptions
from impasto.core.options import Choice, Doc, Options, Range

METHODS = ("arbitrary", "fast", "optimise")
"""The modules of `methods/`, by which a job names its method."""

OF_PICTURES = ("arbitrary", "optimise")
"""The methods that take any picture for a style."""

DEFAULT_METHOD = "arbitrary"

REST = Path("rest")
"""The mask of the style that paints all pixels outside the other masks."""


@dataclass(frozen=True, kw_only=True)
class StyleSource(Options):
    """A style of the mix, by file."""

    source: Annotated[
        str, Doc("Style: a picture, a file of `impasto style save`, or the name or file of a trained style.")
    ]
    weight: Annotated[
        float, Doc("Weight of this style relative to the others; below 0 moves away from it."), Range()
    ] = 1.0
    scale: Annotated[
        float, Doc("Stroke size; 1 scales the style picture to the size of the output."), Range(0.05, 20)
    ] = 1.0
    mask: Annotated[
        Path | None,
        Doc(
            "Mask of the region in this style: white in a grey picture, or the alpha channel; rest: outside the masks "
            "of the other styles leave."
        ),
    ] = None

    @property
    def mask_file(self) -> Path | None:
        """The file of the mask, where it has one."""
        return None if self.paints_rest else self.mask

    @property
    def paints_rest(self) -> bool:
        """Whether it paints all pixels outside the masks of the other styles."""
        return self.mask == REST


@dataclass(frozen=True, kw_only=True)
class PaintOptions(Options, title="Painting"):
    """The options that every method shares."""

    strength: Annotated[
        float, Doc("Style strength: 0 returns the content, 1 is the default, more is stronger."), Range(0, 10)
    ] = 1.0
    method: Annotated[
        str,
        Doc(
            "arbitrary paints any style in one pass of a network, fast paints trained styles by name, optimise moves "
            "the pixels themselves for a minute; auto is fast for trained styles alone, and else arbitrary."
        ),
        Choice(("auto", *METHODS)),
    ] = "auto"
    precision: Annotated[
        str,
        Doc("Precision of encoder and network; auto: the fastest on this processor."),
        Choice(("auto", "float32", "bfloat16")),
    ] = "auto"
    device: Annotated[
        str,
        Doc("Device; auto: an NVIDIA GPU if PyTorch finds one, else the CPU."),
        Choice(("auto", "cpu", "cuda", "mps")),
    ] = "auto"
    memory_gb: Annotated[
        float,
        Doc(
            "Gigabytes of memory, those of the program itself included. With less a large picture is computed in more "
            "and smaller parts, which is slower and changes no more than the last digits."
        ),
        Range(0, 1e6),
    ] = 3.2
    feather: Annotated[float, Doc("Feathering of the masks' edges, as a fraction of the long side."), Range(0, 0.5)] = (
        0.02
    )
    alpha: Annotated[
        str, Doc("The content's transparency: keep it, or lay the picture over white."), Choice(("keep", "drop"))
    ] = "keep"


@dataclass(frozen=True, kw_only=True)
class LookOptions(Options):
    """All that decides how a painting looks, apart from its content and styles."""

    paint: PaintOptions = field(default_factory=PaintOptions)
    size: SizeOptions = field(default_factory=SizeOptions)
    colour: ColourOptions = field(default_factory=ColourOptions)
    arbitrary: ArbitraryOptions = field(default_factory=ArbitraryOptions)
    fast: FastOptions = field(default_factory=FastOptions)
    losses: LossOptions = field(default_factory=LossOptions)
    optimise: OptimiseOptions = field(default_factory=OptimiseOptions)


@dataclass(frozen=True, kw_only=True)
class Job(LookOptions):
    """One content, its styles and all options; stored in the recipe."""

    content: Annotated[str, Doc("Picture to repaint.")]
    styles: Annotated[tuple[StyleSource, ...], Doc("Styles of the mix.")]
