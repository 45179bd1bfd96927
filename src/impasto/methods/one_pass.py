"""One pass: the networks of trained styles that a job names, and the memory of painting."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence

import torch

from impasto.config.job import Job
from impasto.core.errors import OptionError, WeightsError
from impasto.core.memory import BASE_BYTES
from impasto.core.paths import first_free
from impasto.encoders.table import Progress
from impasto.image.resize import SizeHW
from impasto.image.strips import LARGE_PX
from impasto.nets import fast as nets
from impasto.nets.fast import FastNetwork, several
from impasto.styles.resolved import ResolvedStyle, TrainedStyle
from impasto.styles.text import StyleName, is_weight_file

FEATURES = 6
"""Values per pixel of the smallest features of the bundled networks, which are always kept: 96 channels at a quarter of
the size."""


def trained_among(styles: Sequence[ResolvedStyle]) -> list[TrainedStyle]:
    """The trained styles of a mix."""
    return [style for style in styles if isinstance(style, TrainedStyle)]


def trained_weights(styles: Sequence[ResolvedStyle]) -> tuple[str, ...]:
    """The names or files of their networks."""
    return tuple(dict.fromkeys(style.at.network for style in trained_among(styles)))


def network_digests(networks: Iterable[FastNetwork], *, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The digests by the names of the networks, after `more`; the name of another network is numbered."""
    digests = dict(more or {})
    for network in networks:
        others = {name for name, sha256 in digests.items() if sha256 != network.sha256}
        digests[first_free(network.name, taken=others.__contains__)] = network.sha256
    return digests


def load_trained(
    styles: Sequence[TrainedStyle],
    *,
    precision: str,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> dict[str, FastNetwork]:
    """A network of one style by each style's text; networks from one file share its convolutions.

    Raises `WeightsError` and its kinds, and `OptionError` for a network that turns out to have several styles.
    """
    whole: dict[str, FastNetwork] = {}
    single: dict[StyleName, FastNetwork] = {}
    for style in styles:
        if style.at in single:
            continue
        if style.at.network not in whole:
            whole[style.at.network] = _read_network(style.at.network, precision=precision, progress=progress)
            whole[style.at.network].net.to(device)
        single[style.at] = _single_style(whole[style.at.network], style.at)
    return {style.source.source: single[style.at] for style in styles}


def _read_network(network: str, *, precision: str, progress: Progress | None) -> FastNetwork:
    if is_weight_file(network) and not os.path.exists(os.path.expanduser(network)):
        raise WeightsError(f"{network} does not exist; the weight file of a trained style is needed.")
    return nets.load_fast_network(network, precision=precision, progress=progress)


def _single_style(network: FastNetwork, name: StyleName) -> FastNetwork:
    if name.style:
        return network.of({name.style: 1.0})
    if len(network.styles) > 1:  # its styles became known when it was downloaded
        raise OptionError(several(name.network, network.styles))
    return network


def room_bytes(job: Job) -> int:
    """Memory for the picture and its features within `memory_gb`."""
    return max(0, round(job.paint.memory_gb * 1e9) - BASE_BYTES)


def one_pass_bytes(job: Job, size_hw: SizeHW, *, dtype: torch.dtype) -> int:
    """Approximate minimum of memory of one pass at `size_hw`: content, output, features and masks."""
    area = math.prod(size_hw)
    picture = 3 * (2 if area > LARGE_PX else 4)
    masks = sum(style.mask is not None for style in job.styles)
    each = 2 * picture + FEATURES * dtype.itemsize + 4 * masks * 2
    return BASE_BYTES + each * area
