"""The interface of methods: options, weights, and their stylizer.

Subclasses of `LoadedMethod` paint in one step and have no codes of styles unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.config.job import Job
from impasto.core.errors import OptionError
from impasto.encoders.table import Progress
from impasto.image.resize import SizeHW
from impasto.nets.protocol import Code
from impasto.styles.resolved import ResolvedStyle
from impasto.stylizers.optimised import Paused
from impasto.stylizers.protocol import Mix, Stylizer
from impasto.stylizers.temporal import Temporal

Work = tuple[tuple[SizeHW, int], ...]
"""Canvas sizes in the order of painting, with the number of steps at each."""


class LoadedMethod(Protocol):
    """A method with its weights in memory, on the device that it computes on."""

    @property
    def weights(self) -> Mapping[str, str]:
        """The sha256 of each set of weights, by name."""

    @property
    def dtype(self) -> torch.dtype:
        """The type that it computes in."""

    def encode(self, picture: Tensor, *, name: str) -> Code:
        """The code of a style picture `(1, 3, h, w)`, where the method `encodes`. Raises `ImageTooSmall`."""
        raise OptionError(f"{name} has no code for this method. Use the style's picture.")

    def read_code(self, path: Path) -> Code:
        """The code in a saved style, where the method `encodes`. Raises `WeightsError`."""
        raise OptionError(f"this method cannot use the saved style {path}. Use the style's picture.")

    def stylizer(
        self, job: Job, *, start: Tensor | None = None, resume: Paused | None = None, temporal: Temporal | None = None
    ) -> Stylizer[Any]:
        """The stylizer of `job`; `start` is the initial picture, `resume` a saved state,
        `temporal` the frame before in a film; methods of one pass need none of them.

        Raises `OptionError` for options that these weights cannot follow.
        """

    def within_seconds(self, job: Job, content: Tensor, *, mix: Mix) -> Job:
        """The job with a time budget replaced by options that keep to it on this machine; the job where none is set."""
        return job

    def least_bytes(self, job: Job, size_hw: SizeHW) -> int:
        """Approximate minimum of memory for an output of `size_hw`, including the program."""

    def work(self, job: Job, size_hw: SizeHW) -> Work:
        """The steps of painting an output of `size_hw`. Raises `ImageTooSmall`, `OptionError`."""
        return ((size_hw, 1),)


class Method(Protocol):
    """One way of painting. A module `impasto.methods.NAME` has it as `METHOD`."""

    @property
    def name(self) -> str:
        """As `PaintOptions.method` has it."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of `Job` that this method reads and not every method does."""

    @property
    def gradual(self) -> bool:
        """Whether each step shows the whole picture as it grows, and painting can be resumed after it."""

    @property
    def encodes(self) -> bool:
        """Whether a style picture has a code that does not depend on the content."""

    @property
    def style_short_side_px(self) -> int:
        """Style pictures are not reduced below this short side."""

    def check_styles(self, job: Job, styles: Sequence[ResolvedStyle]) -> None:
        """Raise `OptionError` for a style that the method cannot paint, or cannot paint with these options."""

    def weights_of(self, job: Job, styles: Sequence[ResolvedStyle]) -> tuple[str, ...]:
        """The names or files of the weights that the job needs."""

    def with_weights(self, job: Job, weights: str) -> Job:
        """The job with another name or file of weights, where options name them; the job itself where styles do."""

    def load(
        self, job: Job, styles: Sequence[ResolvedStyle], *, device: torch.device, progress: Progress | None = None
    ) -> LoadedMethod:
        """The weights on `device`, downloaded if necessary. Raises `UnknownName`, `WeightsError`."""
