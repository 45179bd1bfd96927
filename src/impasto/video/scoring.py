"""A painted film measured against its source, with the source itself and the film painted frame by frame beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

from torch import Tensor

from impasto.core.errors import OptionError, StateError
from impasto.flow.estimators import estimator
from impasto.image.resize import fit, resized
from impasto.metrics.temporal import Steadiness, steadiness
from impasto.video.film_session import film_options
from impasto.video.frames import Selection
from impasto.video.source import Film, opened

LONG_SIDE_PX = 640  # at which films are compared

Pair = tuple[Tensor, Tensor]


def film_rows(
    output: str | Path,
    content: str | Path,
    *,
    frame_by_frame: str | Path | None = None,
    flow: str = "farneback",
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Steadiness]:
    """The steadiness of a painted film by row: "output", "frame by frame" where that film is given, and "source".

    All are compared at the output's size, at most 640 px on the long side. Where the output carries a recipe, the
    frames of the source are those that it was painted from; otherwise both films must have as many. Raises
    `VideoError`, and `OptionError` where the frames do not match.
    """
    made = {"output": opened(output)} | ({} if frame_by_frame is None else {"frame by frame": opened(frame_by_frame)})
    source, search = opened(content), estimator(flow)
    rows = {}
    for number, (name, film) in enumerate(made.items()):
        pairs = _told(_pairs(film, source), film.frames, number, len(made) + 1, name, progress)
        rows[name] = steadiness(pairs, flow=search)
    itself = ((frame, frame) for frame, _ in _pairs(made["output"], source))
    pairs = _told(itself, made["output"].frames, len(made), len(made) + 1, "source", progress)
    rows["source"] = steadiness(pairs, flow=search)
    return rows


def _pairs(film: Film, source: Film) -> Iterator[Pair]:
    """Frames of the source and the film, at the film's size or smaller."""
    size_hw = fit(film.size_hw, long_side_px=LONG_SIDE_PX, enlarge=False)
    painted, contents = film.stored(), _selection(film.path).frames(source.stored())
    for index, (made, content) in enumerate(zip_longest(painted, contents)):
        if made is None and index > 0:
            return  # a film that was stopped
        if made is None or content is None:
            raise OptionError(
                f"{film.path} has more frames than {source.path}; give the film that it was painted from."
            )
        yield resized(content.open().pixels, size_hw), resized(made.open().pixels, size_hw)


def _selection(path: Path) -> Selection:
    try:
        options = film_options(path)
    except StateError:
        return Selection()
    rate = None if options.fps is None else Fraction(options.fps).limit_denominator(100_000)
    return Selection(start_s=options.start, end_s=options.end, every=options.every, rate=rate)


def _told(
    pairs: Iterator[Pair],
    frames: int,
    row: int,
    rows: int,
    name: str,
    progress: Callable[[int, int, str], None] | None,
) -> Iterator[Pair]:
    for index, pair in enumerate(pairs):
        if progress is not None:
            progress(min(row * frames + index, rows * frames), rows * frames, f"{name}: frame {index + 1}")
        yield pair


def as_numbers(row: Steadiness) -> dict[str, float | int | None]:
    """A row as plain values: `warping_5` is the error at 5 frames."""
    values = dataclasses.asdict(row)
    errors = values.pop("warping")
    return {**{f"warping_{lag}": error for lag, error in errors.items()}, **values}
