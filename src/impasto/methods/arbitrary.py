"""Any style in one pass of a network (Huang & Belongie 2017, Ghiasi et al. 2017)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from impasto.config.job import Job
from impasto.encoders.table import Progress
from impasto.image.resize import SizeHW
from impasto.image.tiling import wraps_of
from impasto.methods.one_pass import (
    load_trained,
    network_digests,
    one_pass_bytes,
    room_bytes,
    trained_among,
    trained_weights,
)
from impasto.methods.protocol import LoadedMethod
from impasto.methods.style_checks import check_fixed_options
from impasto.nets import table as nets
from impasto.nets.fast import FastNetwork
from impasto.nets.noise import SeededNoise
from impasto.nets.protocol import Code, StyleParams
from impasto.nets.table import Network
from impasto.styles.code_file import code_for
from impasto.styles.resolved import PictureStyle, ResolvedStyle
from impasto.stylizers.arbitrary import Arbitrary, trained_params
from impasto.stylizers.codes import code_of
from impasto.stylizers.optimised import Paused
from impasto.stylizers.protocol import Stylizer
from impasto.stylizers.temporal import Temporal


@dataclass(frozen=True)
class LoadedNetwork(LoadedMethod):
    """An arbitrary network with its encoder, and trained styles of one style each by the text of the style."""

    network: Network
    trained: Mapping[str, FastNetwork] = field(default_factory=dict)
    trained_params: Mapping[str, StyleParams] = field(default_factory=dict)

    @property
    def weights(self) -> Mapping[str, str]:
        """The digests of encoder and networks."""
        encoder = self.network.encoder
        own = {encoder.name: encoder.sha256, self.network.name: self.network.sha256}
        return network_digests(self.trained.values(), more=own)

    @property
    def dtype(self) -> torch.dtype:
        """The network's type."""
        return self.network.dtype

    def encode(self, picture: Tensor, *, name: str) -> Code:
        """The statistics of the picture's features."""
        return code_of(picture, self.network, name=name)

    def read_code(self, path: Path) -> Code:
        """The code in a saved style."""
        return code_for(self.network, path)

    def stylizer(
        self, job: Job, *, start: Tensor | None = None, resume: Paused | None = None, temporal: Temporal | None = None
    ) -> Stylizer[Any]:
        """One pass of the network; there is nothing to resume."""
        noise, wraps = SeededNoise(job.fast.noise_seed), wraps_of(job.size.tileable)
        return Arbitrary(self.network, room_bytes(job), noise, trained=self.trained_params, wraps=wraps)

    def least_bytes(self, job: Job, size_hw: SizeHW) -> int:
        """Content, output and the smallest features."""
        return one_pass_bytes(job, size_hw, dtype=self.dtype)


@dataclass(frozen=True)
class ArbitraryMethod:
    """The row of arbitrary networks."""

    name: Final = "arbitrary"
    groups: Final[tuple[str, ...]] = ("arbitrary", "fast")
    gradual: Final = False
    encodes: Final = True
    style_short_side_px: Final = 64  # with fewer the statistics of deep layers are of a few places only

    def check_styles(self, job: Job, styles: Sequence[ResolvedStyle]) -> None:
        """Raise `OptionError` for a trained or saved style with options that need its picture."""
        for style in styles:
            if not isinstance(style, PictureStyle):
                check_fixed_options(style, job)

    def weights_of(self, job: Job, styles: Sequence[ResolvedStyle]) -> tuple[str, ...]:
        """The network, and the networks of the trained styles."""
        return (job.arbitrary.network, *trained_weights(styles))

    def with_weights(self, job: Job, weights: str) -> Job:
        """The job with another network."""
        return dataclasses.replace(job, arbitrary=dataclasses.replace(job.arbitrary, network=weights))

    def load(
        self, job: Job, styles: Sequence[ResolvedStyle], *, device: torch.device, progress: Progress | None = None
    ) -> LoadedNetwork:
        """The network and its encoder on `device`, and the trained styles, which must have the same convolutions."""
        network = nets.load_network(job.arbitrary.network, precision=job.paint.precision, progress=progress)
        parts: list[Any] = [network.net, network.encoder.net]
        for part in parts:
            part.to(device)
        precision = str(network.dtype).removeprefix("torch.")
        trained = load_trained(trained_among(styles), precision=precision, device=device, progress=progress)
        return LoadedNetwork(network, trained, {text: trained_params(fast, network) for text, fast in trained.items()})


METHOD = ArbitraryMethod()
