"""Codes: a style picture as the statistics of its features, which one-pass networks paint with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from impasto.core.errors import ImageTooSmall, OptionError
from impasto.image.resize import fit, resized
from impasto.nets.codes import code_from
from impasto.nets.colours import COLOURS
from impasto.nets.moments import RunningMoments
from impasto.nets.protocol import Code
from impasto.nets.table import Network
from impasto.stylizers.tiles import Box, Tile, cut, tiles

OWN_SIDE_PX = 512  # statistics of a content's features hardly change with its size above this
TILE_PX = 1024
ROWS = 256  # of a picture whose colours are counted at a time


@torch.no_grad()
def code_of(picture: Tensor, network: Network, *, name: str = "", tile_px: int = TILE_PX) -> Code:
    """The statistics of `picture` `(1, 3, h, w)` at the network's code layers, in float32.

    Large pictures are looked at tile by tile, with the same result; `tile_px` 0 looks at all at once. `name` is for
    the message of `ImageTooSmall`, which a picture smaller than the encoder's deepest layer needs raises.
    """
    encoder, layers = network.encoder, network.net.code_layers
    height, width = picture.shape[-2:]
    if min(height, width) < (need := encoder.smallest_px(layers)):
        raise ImageTooSmall(
            f"the style {name or 'picture'} is {width}×{height} px; {network.name} needs {need} px a side. "
            "Use a larger picture of it."
        )
    stride = max(encoder.stride(layer) for layer in layers)
    reach_px = encoder.reach_px(layers)
    window_px = 0 if reach_px is None else -(-reach_px // stride) * stride
    plan = tiles((height, width), tile_px=0 if reach_px is None else tile_px, reach_px=window_px, stride=stride)
    if len(plan) == 1:
        picture = picture.float().to(network.device)
        feats = encoder(picture, layers)
        return code_from(feats, picture, net=network.net)
    code = {layer: tally.moments() for layer, tally in _tallied(picture, plan, network).items()}
    return code | ({COLOURS: colours_of(picture).to(network.device)} if network.net.recolours else {})


@torch.no_grad()
def colours_of(picture: Tensor) -> Tensor:
    """Mean and covariance of the colours of `picture` `(1, 3, h, w)`, `(1, 4, 3)`; no copy of it is made."""
    parts = (RunningMoments.of(part, covariances=True) for part in torch.split(picture, ROWS, dim=2))
    return reduce(RunningMoments.joined, parts).moments()


def _tallied(picture: Tensor, plan: Iterable[Tile], network: Network) -> Mapping[str, RunningMoments]:
    encoder, layers = network.encoder, network.net.code_layers
    tallies: dict[str, RunningMoments] = {}
    for tile in plan:
        feats = encoder(cut(picture, tile.window).to(network.device), layers)
        cores = {layer: tile.core_of(feats[layer], stride=encoder.stride(layer)) for layer in layers}
        tallies = tallied(tallies, cores, covariances=network.net.covariances)
    return tallies


def tallied(
    before: Mapping[str, RunningMoments], feats: Mapping[str, Tensor], *, covariances: bool
) -> dict[str, RunningMoments]:
    """The tallies of all tiles so far and of one more, by layer; a tile without a place of a layer adds nothing."""
    found = dict(before)
    for layer, part in feats.items():
        if part.shape[-2] and part.shape[-1]:
            tally = RunningMoments.of(part, covariances=covariances)
            found[layer] = found[layer].joined(tally) if layer in found else tally
    return found


def own_code(content: Tensor, network: Network) -> Code:
    """The content's own code, by a copy of at most 512 px; a tiny content is mirrored until it is large enough."""
    height, width = content.shape[-2:]
    small = content
    if max(height, width) > OWN_SIDE_PX:
        small = resized(content, fit((height, width), long_side_px=OWN_SIDE_PX))
    need = network.encoder.smallest_px(network.net.code_layers)
    box = Box(0, max(small.shape[-2], need), 0, max(small.shape[-1], need))
    return code_of(cut(small, box), network)


def mixed(codes: Sequence[Code], weights: Sequence[float]) -> Code:
    """The sum of the codes, each times its weight: any real numbers, and as they are."""
    if len(codes) != len(weights) or not codes:
        raise OptionError(f"{len(codes)} codes and {len(weights)} weights are given; as many of each are needed.")
    pairs = list(zip(codes, weights, strict=True))
    return {layer: reduce(torch.add, (code[layer] * weight for code, weight in pairs)) for layer in codes[0]}


def checked(code: Code, network: Network, *, name: str) -> Code:
    """The layers of a saved style that the network paints with, on its device; `OptionError` where it has them not."""
    found: dict[str, Tensor] = {}
    for entry, needed in network.code_shapes.items():
        if entry not in code or tuple(code[entry].shape) != needed:
            has = f"has {entry} of shape {tuple(code[entry].shape)}" if entry in code else f"lacks {entry}"
            raise OptionError(
                f"the saved style {name!r} {has}; {network.name} needs {entry} of shape {needed}. "
                "Save it again for this network, or use the network that it was saved for."
            )
        found[entry] = code[entry].float().to(network.device)
    return found
