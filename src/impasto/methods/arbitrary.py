"""Any style in one pass of a network (Huang & Belongie 2017, Ghiasi et al. 2017)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from impasto.config.job import Job
from impasto.encoders.table import Progress
from impasto.image.resize import SizeHW
from impasto.methods.protocol import Work
from impasto.methods.style_checks import check_code_style, check_not_trained
from impasto.nets import table as nets
from impasto.nets.noise import SeededNoise
from impasto.nets.protocol import Code
from impasto.nets.table import Network
from impasto.styles.code_file import code_for
from impasto.styles.resolved import CodeStyle, ResolvedStyle
from impasto.stylizers.any_style import any_style
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.codes import code_of
from impasto.stylizers.optimised import Paused
from impasto.stylizers.protocol import Mix, Stylizer


@dataclass(frozen=True)
class LoadedNetwork:
    """An arbitrary network with its encoder."""

    network: Network

    @property
    def weights(self) -> Mapping[str, str]:
        """The digests of encoder and network."""
        encoder = self.network.encoder
        return {encoder.name: encoder.sha256, self.network.name: self.network.sha256}

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

    def stylizer(self, job: Job, *, start: Tensor | None = None, resume: Paused | None = None) -> Stylizer[Any]:
        """One pass of the network; there is no state to resume."""
        return self._stylizer(job)

    def within_seconds(self, job: Job, content: Tensor, mix: Mix) -> Job:
        """The job: one pass has no budget."""
        return job

    def work(self, job: Job, size_hw: SizeHW) -> Work:
        """One step."""
        return ((size_hw, self._stylizer(job).work(size_hw)),)

    def _stylizer(self, job: Job) -> Arbitrary:
        memory_bytes = round(job.fast.memory_gb * 1e9)
        return any_style(self.network, memory_bytes=memory_bytes, noise=SeededNoise(job.fast.noise_seed))


@dataclass(frozen=True)
class ArbitraryStyle:
    """The row of arbitrary networks."""

    name: Final = "arbitrary"
    groups: Final[tuple[str, ...]] = ("arbitrary", "fast")
    gradual: Final = False
    encodes: Final = True
    style_short_side_px: Final = 64  # with fewer the statistics of deep layers are of a few places only

    def check_styles(self, job: Job, styles: Sequence[ResolvedStyle]) -> None:
        """Raise `OptionError` for a trained style, and for a saved one with options that need its picture."""
        for style in styles:
            check_not_trained(style, self.name)
            if isinstance(style, CodeStyle):
                check_code_style(style, job)

    def weights_of(self, job: Job, styles: Sequence[ResolvedStyle]) -> tuple[str, ...]:
        """The network."""
        return (job.arbitrary.network,)

    def with_weights(self, job: Job, weights: str) -> Job:
        """The job with another network."""
        return dataclasses.replace(job, arbitrary=dataclasses.replace(job.arbitrary, network=weights))

    def load(
        self, job: Job, styles: Sequence[ResolvedStyle], *, device: torch.device, progress: Progress | None = None
    ) -> LoadedNetwork:
        """The network and its encoder on `device`."""
        network = nets.loaded(job.arbitrary.network, precision=job.paint.precision, progress=progress)
        parts: list[Any] = [network.net, network.encoder.net]
        for part in parts:
            part.to(device)
        return LoadedNetwork(network)


METHOD = ArbitraryStyle()
