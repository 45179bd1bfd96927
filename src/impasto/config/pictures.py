"""Options of sizes, colours and output files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.core.errors import OptionError
from impasto.core.options import Choice, Doc, Options, Range, changed_options, option


@dataclass(frozen=True, kw_only=True)
class SizeOptions(Options, title="Size"):
    """Size of the output, by one of its sides, its area or both sides."""

    size: Annotated[int, Doc("Long side of the output in pixels; 0 keeps the content's size."), Range(0, 100_000)] = 512
    short_side: Annotated[int | None, Doc("Short side of the output in pixels."), Range(1, 100_000)] = None
    megapixels: Annotated[float | None, Doc("Area of the output in millions of pixels."), Range(0.0001, 1000)] = None
    exact: Annotated[tuple[int, int] | None, Doc("Width and height of the output in pixels."), Range(1, 100_000)] = None
    tileable: Annotated[
        str,
        Doc(
            "Sides without a seam: x continues the left edge at the right one (a 360° panorama), y the top at the "
            "bottom, xy both (a texture). These sides become multiples of 32 px."
        ),
        Choice(("no", "x", "y", "xy")),
    ] = "no"

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [option(name) for name in changed_options(self) if name != "tileable"]
        if len(given) > 1:
            raise OptionError(f"{' and '.join(given)} are both given, and each sets the size. Leave one of them out.")


@dataclass(frozen=True, kw_only=True)
class ColourOptions(Options, title="Colours"):
    """What happens to the colours."""

    keep_colours: Annotated[
        str, Doc("Keep the content's chroma under the output's luminance (yiq or lab)."), Choice(("no", "yiq", "lab"))
    ] = "no"
    keep_luminance: Annotated[
        str, Doc("Keep the content's luminance under the output's chroma."), Choice(("no", "yiq", "lab"))
    ] = "no"
    match_style: Annotated[
        str,
        Doc("Before painting, give the style pictures the content's colours."),
        Choice(("no", "histogram", "covariance")),
    ] = "no"
    match_output: Annotated[
        str, Doc("After painting, give the output the content's colours."), Choice(("no", "histogram", "covariance"))
    ] = "no"


@dataclass(frozen=True, kw_only=True)
class OutputOptions(Options, title="Output"):
    """What is written, and how."""

    bits: Annotated[int, Doc("Bits a channel: 8, or 16 for PNG and TIFF."), Range(8, 16)] = 8
    quality: Annotated[int, Doc("Quality of JPEG, WebP and AVIF."), Range(1, 100)] = 95
    strip: Annotated[
        bool, Doc("Write no metadata: neither date, camera and copyright of the content, nor the recipe.")
    ] = False
    sidecar: Annotated[bool, Doc("Also write the recipe to a JSON file next to the output.")] = False
    snapshots: Annotated[int, Doc("Steps between snapshots; 0 disables them."), Range(0)] = 0
    animation: Annotated[Path | None, Doc("Animation of the painting steps: a .gif or .mp4 file.")] = None
