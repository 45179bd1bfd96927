"""Trained styles, each in one pass of its fast network (Johnson et al. 2016, Dumoulin et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from impasto.methods.style_checks import check_trained
from impasto.nets.fast import FastNetwork
from impasto.nets.noise import SeededNoise
from impasto.styles.resolved import ResolvedStyle
from impasto.stylizers.fast import Fast
from impasto.stylizers.optimised import Paused
from impasto.stylizers.protocol import Stylizer
from impasto.stylizers.temporal import Temporal


@dataclass(frozen=True)
class LoadedStyles(LoadedMethod):
    """Networks of one style each, by the text of the style."""

    networks: Mapping[str, FastNetwork]

    @property
    def weights(self) -> Mapping[str, str]:
        """The digests by the networks' names; a name that another network has already is numbered."""
        return network_digests(self.networks.values())

    @property
    def dtype(self) -> torch.dtype:
        """The networks' type."""
        return next(iter(self.networks.values())).dtype

    def stylizer(
        self, job: Job, *, start: Tensor | None = None, resume: Paused | None = None, temporal: Temporal | None = None
    ) -> Stylizer[Any]:
        """One pass of each network, or of their blend; there is no state to resume."""
        noise = SeededNoise(job.fast.noise_seed)
        return Fast(self.networks, room_bytes(job), noise, wraps_of(job.size.tileable))

    def least_bytes(self, job: Job, size_hw: SizeHW) -> int:
        """Content, output and the smallest features."""
        return one_pass_bytes(job, size_hw, dtype=self.dtype)


@dataclass(frozen=True)
class FastStyles:
    """The row of fast networks."""

    name: Final = "fast"
    groups: Final[tuple[str, ...]] = ("fast",)
    gradual: Final = False
    encodes: Final = False
    style_short_side_px: Final = 1  # no style picture is needed

    def check_styles(self, job: Job, styles: Sequence[ResolvedStyle]) -> None:
        """Raise `OptionError` unless every style is a trained one, without options that need its picture."""
        for style in styles:
            check_trained(style, job)

    def weights_of(self, job: Job, styles: Sequence[ResolvedStyle]) -> tuple[str, ...]:
        """The styles' networks."""
        return trained_weights(styles)

    def with_weights(self, job: Job, weights: str) -> Job:
        """The job itself: its styles name the weights."""
        return job

    def load(
        self, job: Job, styles: Sequence[ResolvedStyle], *, device: torch.device, progress: Progress | None = None
    ) -> LoadedStyles:
        """The styles' networks on `device`."""
        trained = trained_among(styles)
        return LoadedStyles(load_trained(trained, precision=job.paint.precision, device=device, progress=progress))


METHOD = FastStyles()
