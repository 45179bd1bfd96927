"""Trained styles, each in one pass of its fast network (Johnson et al. 2016, Dumoulin et al. 2017)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from impasto.config.job import Job
from impasto.core.errors import OptionError, WeightsError
from impasto.encoders.table import Progress
from impasto.image.resize import SizeHW
from impasto.methods.protocol import Work
from impasto.methods.style_checks import check_trained
from impasto.nets import fast as nets
from impasto.nets.fast import FastNetwork, several
from impasto.nets.noise import SeededNoise
from impasto.nets.protocol import Code
from impasto.styles.resolved import ResolvedStyle, TrainedStyle
from impasto.styles.text import StyleName, is_weight_file
from impasto.stylizers.fast import Fast
from impasto.stylizers.optimised import Paused
from impasto.stylizers.protocol import Mix, Stylizer


@dataclass(frozen=True)
class LoadedStyles:
    """Networks of one style each, by the text of the style."""

    networks: Mapping[str, FastNetwork]

    @property
    def weights(self) -> Mapping[str, str]:
        """The digests by the networks' names; a name that another network has already is numbered."""
        digests: dict[str, str] = {}
        for network in self.networks.values():
            name, number = network.name, 1
            while digests.get(name, network.sha256) != network.sha256:
                number += 1
                name = f"{network.name}-{number}"
            digests[name] = network.sha256
        return digests

    @property
    def dtype(self) -> torch.dtype:
        """The networks' type."""
        return next(iter(self.networks.values())).dtype

    def encode(self, picture: Tensor, *, name: str) -> Code:
        """Raises `OptionError`: a fast network paints its trained styles only."""
        raise OptionError(f"a fast network has no code of {name}. Use an arbitrary network.")

    def read_code(self, path: Path) -> Code:
        """Raises `OptionError`, as `encode` does."""
        raise OptionError(f"a fast network cannot use the saved style {path}. Use an arbitrary network.")

    def stylizer(self, job: Job, *, start: Tensor | None = None, resume: Paused | None = None) -> Stylizer[Any]:
        """One pass of each network, or of their blend; there is no state to resume."""
        return Fast(self.networks, round(job.fast.memory_gb * 1e9), SeededNoise(job.fast.noise_seed))

    def within_seconds(self, job: Job, content: Tensor, mix: Mix) -> Job:
        """The job: one pass has no budget."""
        return job

    def work(self, job: Job, size_hw: SizeHW) -> Work:
        """One step."""
        return ((size_hw, 1),)


@dataclass(frozen=True)
class FastStyles:
    """The row of fast networks."""

    name: Final = "fast"
    groups: Final[tuple[str, ...]] = ("fast",)
    gradual: Final = False
    encodes: Final = False
    style_short_side_px: Final = 1  # there is no style picture

    def check_styles(self, job: Job, styles: Sequence[ResolvedStyle]) -> None:
        """Raise `OptionError` unless every style is a trained one, without options that need its picture."""
        for style in styles:
            check_trained(style, job)

    def weights_of(self, job: Job, styles: Sequence[ResolvedStyle]) -> tuple[str, ...]:
        """The styles' networks."""
        return tuple(dict.fromkeys(style.at.network for style in styles if isinstance(style, TrainedStyle)))

    def with_weights(self, job: Job, weights: str) -> Job:
        """The job itself: its styles name the weights."""
        return job

    def load(
        self, job: Job, styles: Sequence[ResolvedStyle], *, device: torch.device, progress: Progress | None = None
    ) -> LoadedStyles:
        """The styles' networks on `device`."""
        trained = [style for style in styles if isinstance(style, TrainedStyle)]
        return LoadedStyles(load_trained(trained, precision=job.paint.precision, device=device, progress=progress))


def load_trained(
    styles: Sequence[TrainedStyle],
    *,
    precision: str,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> dict[str, FastNetwork]:
    """A network of one style by each style's text; those of one file share its convolutions.

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
    return nets.loaded(network, precision=precision, progress=progress)


def _single_style(network: FastNetwork, name: StyleName) -> FastNetwork:
    if name.style:
        return network.of({name.style: 1.0})
    if len(network.styles) > 1:  # its styles became known when it was downloaded
        raise OptionError(several(name.network, network.styles))
    return network


METHOD = FastStyles()
