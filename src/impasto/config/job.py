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


@dataclass(frozen=True, kw_only=True)
class StyleSource(Options):
    """A style of the mix, by file."""

    source: Annotated[
        str,
        Doc("Picture whose style is taken, a style of `impasto style save`, or the name or file of a trained style."),
    ]
    weight: Annotated[float, Doc("Share of this style against the others; below 0 leads away from it."), Range()] = 1.0
    scale: Annotated[float, Doc("Size of its strokes; 1 lays the picture over the whole output."), Range(0.05, 20)] = (
        1.0
    )
    mask: Annotated[Path | None, Doc("Region that this style paints: white in a grey picture, or its alpha.")] = None


@dataclass(frozen=True, kw_only=True)
class PaintOptions(Options, title="Painting"):
    """The options that every method shares."""

    strength: Annotated[
        float, Doc("How much style: 0 gives the content back, 1 is the default, more is stronger."), Range(0, 10)
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
        Doc("Arithmetic of encoder and network; auto takes what this processor is fastest at."),
        Choice(("auto", "float32", "bfloat16")),
    ] = "auto"
    device: Annotated[
        str,
        Doc("Where painting computes; auto is an NVIDIA GPU where PyTorch finds one, and else the processor."),
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
    feather: Annotated[float, Doc("Softness of the masks' edges, in parts of the long side."), Range(0, 0.5)] = 0.02
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
    """One content, its styles and all options; what a recipe holds."""

    content: Annotated[str, Doc("Picture to repaint.")]
    styles: Annotated[tuple[StyleSource, ...], Doc("Styles of the mix.")]
