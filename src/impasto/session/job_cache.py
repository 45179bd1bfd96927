"""Cache of everything that the jobs of a batch share: weights, the content, codes of styles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.config.job import Job
from impasto.encoders.table import Progress
from impasto.image.files import Picture
from impasto.methods.protocol import LoadedMethod
from impasto.nets.protocol import Code
from impasto.session.device import painting_device
from impasto.session.plan import Plan, is_path
from impasto.styles.resolved import CodeStyle, PictureStyle, TrainedStyle
from impasto.weights.catalogue import installed

CODES_BYTES = 128 * 2**20  # for the codes of styles: tens of thousands of means, some hundred covariances


class JobCache:
    """Weights, the last content and codes of styles, kept for the next job: one object for every session of a batch.

    Weights and, with `content`, the content are those of the last job, since a batch changes them last. With `codes`,
    a style picture whose code does not depend on the content is read once for all outputs of one size: stylizers are
    given the code instead. Codes beyond `codes_bytes` are recomputed each time.
    """

    def __init__(self, *, content: bool = True, codes: bool = False, codes_bytes: int = CODES_BYTES) -> None:
        self._wants_content, self._wants_codes, self._room = content, codes, codes_bytes
        self._loaded: tuple[Any, LoadedMethod] | None = None
        self._content: tuple[Any, Picture] | None = None
        self._codes: dict[Any, Code] = {}

    def loaded(self, plan: Plan, *, progress: Progress | None = None) -> LoadedMethod:
        """The weights of the plan, downloaded if necessary. Raises `WeightsError`, `OptionError`."""
        job, weights = plan.job, plan.weights
        here = {row.name: row.path for row in installed()}
        stamps = [_stamp(name if is_path(name) else str(here.get(name, ""))) for name in weights]
        sources = [style.source.source for style in plan.styles if isinstance(style, TrainedStyle)]
        device = painting_device(job.paint.device)
        options = (job.paint.precision, job.losses.pooling, job.optimise.init)
        key = (plan.method.name, weights, stamps, sources, device, options)
        kept = self._loaded
        if kept is None or kept[0] != key:
            self._loaded = kept = None  # two sets of weights need not be in memory
            self._loaded = kept = key, plan.method.load(job, plan.styles, device=device, progress=progress)
        return kept[1]

    def content(self, job: Job, read: Callable[[], Picture]) -> Picture:
        """The content of `job` at the output's size, from `read` unless it is that of the last job."""
        key = (job.content, _stamp(job.content), job.size, job.paint.alpha)
        if not self._wants_content:
            return read()
        kept = self._content
        if kept is None or kept[0] != key:
            self._content = kept = None
            self._content = kept = key, read()
        return kept[1]

    def style_code(
        self,
        plan: Plan,
        style: PictureStyle,
        *,
        long_side_px: int,
        read: Callable[[], Tensor],
        progress: Progress | None = None,
    ) -> Code | None:
        """The code of a style picture for outputs of this long side; None if codes are not kept or do not exist."""
        if style.picture is not None or not plan.method.encodes or not self._wants_codes:
            return None
        source = style.source
        key = (source.source, _stamp(source.source), source.scale, long_side_px)
        return self._code(plan, key, made=lambda loaded: loaded.encode(read(), name=style.name), progress=progress)

    def saved_code(self, plan: Plan, style: CodeStyle, *, progress: Progress | None = None) -> Code:
        """The code in a saved style. Raises `WeightsError` if it does not fit the network that paints."""
        key = (style.file, _stamp(style.file))
        return self._code(plan, key, made=lambda loaded: loaded.read_code(Path(style.file)), progress=progress)

    def _code(self, plan: Plan, key: Any, *, made: Callable[[LoadedMethod], Code], progress: Progress | None) -> Code:
        loaded = self.loaded(plan, progress=progress)
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
    """A key that changes with the file; None if it is not a file."""
    try:
        stat = Path(name).expanduser().stat()
    except (OSError, ValueError, RuntimeError):
        return None
    return stat.st_mtime_ns, stat.st_size
