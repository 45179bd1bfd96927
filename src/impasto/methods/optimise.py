"""Optimisation: the pixels themselves are moved, step by step (Gatys, Ecker & Bethge 2016)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic

import torch
from torch import Tensor

from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.job import Job
from impasto.encoders import table as encoders
from impasto.encoders.table import Encoder, Progress
from impasto.image.resize import SizeHW
from impasto.image.tiling import wraps_of
from impasto.methods.one_pass import room_bytes
from impasto.methods.protocol import LoadedMethod, Work
from impasto.methods.style_checks import check_needs_picture
from impasto.nets import table as nets
from impasto.nets.table import Network
from impasto.styles.resolved import ResolvedStyle
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.footprint import Footprint
from impasto.stylizers.optimised import Optimised, Paused
from impasto.stylizers.protocol import Code, Mix, Step, Stylizer
from impasto.stylizers.temporal import Temporal

CPU = torch.device("cpu")


@dataclass(frozen=True)
class LoadedEncoder(LoadedMethod):
    """The encoder of the losses, and the network of `init=one-pass`, on `device`."""

    encoder: Encoder
    network: Network | None = None
    device: torch.device = CPU

    @property
    def weights(self) -> Mapping[str, str]:
        """The digests of encoder and network by name."""
        parts: list[Encoder | Network] = (
            [self.encoder] if self.network is None else [self.encoder, self.network.encoder, self.network]
        )
        return {part.name: part.sha256 for part in parts}

    @property
    def dtype(self) -> torch.dtype:
        """The encoder's type."""
        return self.encoder.dtype

    def stylizer(
        self, job: Job, *, start: Tensor | None = None, resume: Paused | None = None, temporal: Temporal | None = None
    ) -> Stylizer[Any]:
        """Optimisation from the picture `start` if the job has one, or from a paused state."""
        temporal = None if temporal is None else temporal.on(self.device)
        stylizer = dataclasses.replace(self._optimised(job, start=start, resume=resume), temporal=temporal)
        return stylizer if self.device.type == "cpu" else OnDevice(stylizer, self.device)

    def within_seconds(self, job: Job, content: Tensor, *, mix: Mix) -> Job:
        """The job with the steps that fit into its time budget in place of the budget."""
        if not job.optimise.seconds:
            return job
        styles = [style.on(self.device) for style in mix.styles]
        steps = self._optimised(job).within_seconds(
            content.to(self.device), Mix(tuple(styles)), strength=job.paint.strength
        )
        scales, final = (steps[:-1], steps[-1]) if job.optimise.final_steps else (steps, 0)
        planned = dataclasses.replace(job.optimise, steps=scales, final_steps=final, seconds=0.0)
        return dataclasses.replace(job, optimise=planned)

    def _optimised(self, job: Job, *, start: Tensor | None = None, resume: Paused | None = None) -> Optimised:
        start = None if start is None else start.to(self.device)
        wraps, network = wraps_of(job.size.tileable), self.network
        one_pass = None if network is None else Arbitrary(network, memory_bytes=room_bytes(job), wraps=wraps)
        return Optimised(
            self.encoder,
            job.losses,
            job.optimise,
            start,
            resume,
            one_pass=one_pass,
            memory_bytes=round(job.paint.memory_gb * 1e9),
            wraps=wraps,
        )

    def least_bytes(self, job: Job, size_hw: SizeHW) -> int:
        """Of the last scale, block by block where the losses can be."""
        masks = sum(style.mask is not None for style in job.styles)
        return Footprint(self.encoder, job.losses, job.optimise, masks).least(size_hw)

    def work(self, job: Job, size_hw: SizeHW) -> Work:
        """The steps at each scale. Raises `ImageTooSmall`, `UnknownName`."""
        stylizer = self._optimised(job)
        sizes = stylizer.sizes(size_hw)
        return tuple(zip([*sizes, sizes[-1]], stylizer.counts(len(sizes)), strict=False))


@dataclass(frozen=True)
class OnDevice(Generic[Code]):
    """`inner` with its pictures moved to `device`; steps come back with their image on the content's device."""

    inner: Stylizer[Code]
    device: torch.device

    def prepare(self, mix: Mix) -> Code:
        """As `inner` does, from style pictures and masks on the device."""
        return self.inner.prepare(Mix(tuple(style.on(self.device) for style in mix.styles)))

    def paint(self, content: Tensor, code: Code, *, strength: float = 1.0) -> Iterator[Step]:
        """Steps of `inner`."""
        for step in self.inner.paint(content.to(self.device), code, strength=strength):
            yield dataclasses.replace(step, image=step.image.to(content.device))


@dataclass(frozen=True)
class Optimise:
    """The row of optimisation."""

    name: Final = "optimise"
    groups: Final[tuple[str, ...]] = ("losses", "optimise")
    gradual: Final = True
    encodes: Final = False
    style_short_side_px: Final = 256  # more than any encoder needs; `stylizers.targets.at_scale` reduces further

    def check_styles(self, job: Job, styles: Sequence[ResolvedStyle]) -> None:
        """Raise `OptionError` unless every style is a picture."""
        for style in styles:
            check_needs_picture(style, self.name)

    def weights_of(self, job: Job, styles: Sequence[ResolvedStyle]) -> tuple[str, ...]:
        """The encoder."""
        return (job.losses.encoder,)

    def with_weights(self, job: Job, weights: str) -> Job:
        """The job with another encoder."""
        return dataclasses.replace(job, losses=dataclasses.replace(job.losses, encoder=weights))

    def load(
        self, job: Job, styles: Sequence[ResolvedStyle], *, device: torch.device, progress: Progress | None = None
    ) -> LoadedEncoder:
        """The encoder and the network of the start, on `device`."""
        precision = job.paint.precision
        encoder = encoders.load_encoder(
            job.losses.encoder, pooling=job.losses.pooling, precision=precision, progress=progress
        )
        encoder.net.to(device)
        network = None
        if job.optimise.init == "one-pass":
            network = nets.load_network(ArbitraryOptions().network, precision=precision, progress=progress)
            parts: list[Any] = [network.net, network.encoder.net]
            for part in parts:
                part.to(device)
        return LoadedEncoder(encoder, network, device)


METHOD = Optimise()
