"""Options of exports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.arbitrary import SMALL_NETWORK
from impasto.core.options import Choice, Doc, Options, Range

FORMATS = ("onnx", "openvino")


@dataclass(frozen=True, kw_only=True)
class OnnxOptions(Options, title="File"):
    """A network as a file for other engines."""

    format: Annotated[str, Doc("File format."), Choice(FORMATS)] = "onnx"
    size: Annotated[
        tuple[int, int] | None,
        Doc("Fixed picture size, in multiples of 8 px. Without: dynamic, in multiples of 8 px."),
        Range(8, 16384),
    ] = None
    layers: Annotated[tuple[str, ...], Doc("Encoder layers to output. Without: the layers of its losses.")] = ()
    noise_seed: Annotated[int, Doc("Seed of the noise inside a network."), Range(0, 2**32 - 1)] = 0


@dataclass(frozen=True, kw_only=True)
class BrowserOptions(Options, title="Page"):
    """A page that paints in a browser."""

    style: Annotated[
        tuple[str, ...],
        Doc(
            "Styles on the page: trained styles, networks with several styles, pictures, saved styles. Without: "
            "compact-styles."
        ),
    ] = ()
    any: Annotated[bool, Doc("Accept pictures as styles on the page; embeds `network` and its encoder.")] = False
    network: Annotated[
        str,
        Doc(
            f"Arbitrary network for style pictures: a name or a file. With {SMALL_NETWORK}, trained styles are painted "
            "with compact-styles-half."
        ),
    ] = SMALL_NETWORK
    style_px: Annotated[int, Doc("Long side of style pictures; larger means larger strokes."), Range(64, 4096)] = 512
    webgpu: Annotated[bool, Doc("Include the WebGPU runtime; doubles the size of the page.")] = True
    runtime: Annotated[
        Path | None, Doc("Folder with the files of onnxruntime-web. Without: downloaded once from the npm registry.")
    ] = None
