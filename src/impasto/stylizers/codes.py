"""Codes: a style picture as the statistics of its features, by which one-pass networks paint."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from impasto.core.errors import ImageTooSmall, OptionError
from impasto.image.colour import palette_by_luminance
from impasto.image.resize import fit, resized
from impasto.image.tiling import NO_WRAPS, Wraps, resized_wrapped, rounded
from impasto.nets.bands import BANDS, band_covariances
from impasto.nets.codes import code_from
from impasto.nets.colours import COLOURS, HUES
from impasto.nets.layers import mixed_params
from impasto.nets.moments import RunningMoments
from impasto.nets.protocol import Code, StyleParams
from impasto.nets.statistics import Running, joined_running
from impasto.nets.table import Network
from impasto.nets.windows import WINDOW_PX, mirrored, windows

OPTIONAL = (HUES, BANDS)
"""Entries of a code that styles saved by earlier versions do not have."""

OWN_SIDE_PX = 512  # statistics of a content's features hardly change with its size above this
ROWS = 256  # of a picture whose colours are counted at a time


@torch.no_grad()
def code_of(
    picture: Tensor, network: Network, *, name: str = "", window_px: int = WINDOW_PX, wraps: Wraps = NO_WRAPS
) -> Code:
    """The statistics of `picture` `(1, 3, h, w)` at the network's code layers, in float32.

    A picture of more than `window_px` is encoded strip by strip, with the same result. `name` is for the message of
    `ImageTooSmall`, which is raised for a picture smaller than the encoder's deepest layer needs. A picture that
    `wraps` is encoded whole.
    """
    encoder, layers = network.encoder.wrapped(wraps), network.net.code_layers
    height, width = picture.shape[-2:]
    if min(height, width) < (need := encoder.smallest_px(layers)):
        raise ImageTooSmall(
            f"the style {name or 'picture'} is {width}×{height} px; {network.name} needs {need} px a side. "
            "Use a larger picture of it."
        )
    reach_px = encoder.reach_px(layers)
    hues = {HUES: hues_of(picture).to(network.device)} if network.net.recolours else {}
    if height * width <= window_px or reach_px is None or any(wraps):
        picture = picture.float().to(network.device)
        return {**code_from(encoder(picture, layers), picture, net=network.net, wraps=wraps), **hues}
    stride = max(encoder.stride(layer) for layer in layers)
    running: dict[str, Running] = {}
    reach_px = -(-reach_px // stride) * stride
    for window in windows((height, width), reach_px=reach_px, stride=stride, window_px=window_px):
        feats = encoder(picture[..., window.first : window.last, :].float().to(network.device), layers)
        own = {layer: window.own_rows(feats[layer], stride=encoder.stride(layer)) for layer in layers}
        running = joined_running(running, own, statistic=network.net.statistic)
    code = {layer: part.value() for layer, part in running.items()} | hues
    if network.net.recolours:
        colours = {COLOURS: colours_of(picture), BANDS: band_covariances(picture)}
        code |= {name: value.to(network.device) for name, value in colours.items()}
    return code


@torch.no_grad()
def colours_of(picture: Tensor) -> Tensor:
    """Mean and covariance of the colours of `picture` `(1, 3, h, w)`, `(1, 4, 3)`, without a copy of it."""
    parts = (RunningMoments.of(part, covariances=True) for part in torch.split(picture, ROWS, dim=2))
    return reduce(RunningMoments.joined, parts).value()


def hues_of(picture: Tensor) -> Tensor:
    """The prevailing chroma of `picture` `(1, 3, h, w)` by rank of luminance, `(1, 2, 32)`, by a copy of 512 px."""
    size = (picture.shape[-2], picture.shape[-1])
    small = picture if max(size) <= OWN_SIDE_PX else resized(picture, fit(size, long_side_px=OWN_SIDE_PX))
    return palette_by_luminance(small.float()).float()


def own_code(content: Tensor, network: Network, *, wraps: Wraps = NO_WRAPS) -> Code:
    """The content's own code, by a copy of at most 512 px; a tiny content is mirrored until it is large enough."""
    height, width = content.shape[-2:]
    small = content
    if max(height, width) > OWN_SIDE_PX:
        size = rounded(fit((height, width), long_side_px=OWN_SIDE_PX), wraps=wraps)
        small = resized_wrapped(content, size, wraps=wraps)
    need = network.encoder.smallest_px(network.net.code_layers)
    return code_of(mirrored(small, (max(small.shape[-2], need), max(small.shape[-1], need))), network, wraps=wraps)


def mixed(codes: Sequence[StyleParams], weights: Sequence[float]) -> dict[str, Tensor]:
    """The weighted sum of codes or style parameters; weights are any real numbers with a positive sum."""
    if len(codes) != len(weights) or not codes:
        raise OptionError(f"{len(codes)} codes and {len(weights)} weights are given; as many of each are needed.")
    entries = [name for name in codes[0] if name not in OPTIONAL or all(name in code for code in codes)]
    return {entry: mixed_params(entry, [code[entry] for code in codes], weights=weights) for entry in entries}


def checked_code(code: Code, network: Network, *, name: str) -> Code:
    """The entries of a saved style that the network needs, on its device; `OptionError` where they are missing."""
    entries: dict[str, Tensor] = {}
    for entry, needed in network.code_shapes.items():
        if entry not in code or tuple(code[entry].shape) != needed:
            has = f"has {entry} of shape {tuple(code[entry].shape)}" if entry in code else f"does not have {entry}"
            raise OptionError(
                f"the saved style {name!r} {has}; {network.name} needs {entry} of shape {needed}. "
                "Save it again for this network, or use the network that it was saved for."
            )
        entries[entry] = code[entry].float().to(network.device)
    for entry in OPTIONAL if network.net.recolours else ():  # styles that were saved before have none
        if entry in code:
            entries[entry] = code[entry].float().to(network.device)
    return entries
