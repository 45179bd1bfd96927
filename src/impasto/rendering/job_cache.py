"""What the jobs of one batch share, so that it is read and computed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.config.job import Job, StyleSource
from impasto.encoders.table import Progress
from impasto.image.files import Picture
from impasto.nets.protocol import Code
from impasto.rendering import families, learned
from impasto.rendering.families import Loaded

CODES_BYTES = 128 * 2**20  # that codes of styles may take: tens of thousands of means, some hundred covariances


class JobCache:
    """Weights, the last content and codes of styles, kept for the next job: one object for every `begun` of a batch.

    Weights and the content are those of the last job, which a batch has in this order. With `codes`, a style picture
    whose code does not depend on the content is read once for all outputs of one size: stylizers are given the code in
    its place. Codes are kept up to `codes_bytes`; what is above is computed anew each time.
    """

    def __init__(self, *, codes: bool = False, codes_bytes: int = CODES_BYTES) -> None:
        self._wants_codes, self._room = codes, codes_bytes
        self._loaded: tuple[Any, Loaded] | None = None
        self._content: tuple[Any, Picture] | None = None
        self._codes: dict[Any, Code] = {}

    def loaded(self, job: Job, *, progress: Progress | None = None) -> Loaded:
        """What `job` is painted with; downloads weights that are not at hand. Raises `WeightsError`."""
        family = families.family_of(job)
        weights = families.weights_of(job)
        stamps = [_stamp(learned.split(name).network) for name in weights]
        key = (families.method_of(job), weights, stamps, job.paint.precision, job.losses.pooling)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # two sets of weights need not be in memory
            self._loaded = key, family.load(job, progress)
        return self._loaded[1]

    def content(self, job: Job, read: Callable[[], Picture]) -> Picture:
        """The content of `job` at the output's size, from `read` where it is not that of the last job."""
        key = (job.content, _stamp(job.content), job.size, job.paint.alpha)
        if self._content is None or self._content[0] != key:
            self._content = None
            self._content = key, read()
        return self._content[1]

    def style_code(
        self,
        job: Job,
        source: StyleSource,
        long_side_px: int,
        read: Callable[[], Tensor],
        *,
        progress: Progress | None = None,
    ) -> Code | None:
        """The code of a style picture for outputs of this long side; None where none is wanted, or it has none."""
        code = families.family_of(job).code
        if code is None or not self._wants_codes:
            return None
        key = (source.source, _stamp(source.source), source.scale, long_side_px)
        return self._kept(job, key, lambda loaded: code(read(), loaded, Path(source.source).name), progress)

    def saved_code(self, job: Job, source: StyleSource, *, progress: Progress | None = None) -> Code:
        """The code in a saved style. Raises `WeightsError` where it is not of the network that paints."""
        read, path = families.family_of(job).saved_code, Path(source.source)
        assert read is not None, "families.checked tells"
        return self._kept(job, (source.source, _stamp(source.source)), lambda loaded: read(path, loaded), progress)

    def _kept(self, job: Job, key: Any, made: Callable[[Loaded], Code], progress: Progress | None) -> Code:
        loaded = self.loaded(job, progress=progress)
        key = (tuple(loaded.weights.items()), loaded.dtype, key)
        if key in self._codes:
            return self._codes[key]
        code = made(loaded)
        size_bytes = sum(stats.numel() * stats.element_size() for stats in code.values())
        if size_bytes <= self._room:
            self._room -= size_bytes
            self._codes[key] = code
        return code


def _stamp(name: str) -> tuple[int, int] | None:
    """What changes when a file does; None for what is no file."""
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size
