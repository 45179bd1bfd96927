"""Measures of a painted film, the same film painted frame by frame, and the source."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

from impasto.core.errors import OptionError, StateError
from impasto.flow.estimators import estimator
from impasto.image.resize import fit, resized
from impasto.metrics.temporal import FramePair, Steadiness, steadiness
from impasto.video.film_session import film_options
from impasto.video.frames import Selection
from impasto.video.source import Film, opened

LONG_SIDE_PX = 640  # at which films are compared


def film_rows(
    output: str | Path,
    content: str | Path,
    *,
    frame_by_frame: str | Path | None = None,
    flow: str = "farneback",
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Steadiness]:
    """The steadiness of a painted film by row: "output", "frame by frame" if that film is given, and "source".

    All are measured at the output's size, with a long side of at most 640 px. If the output has a recipe, the frames of
    the source are those that it was painted from; otherwise both films must have the same number of frames. Raises
    `VideoError`, and `OptionError` if the frames do not match.
    """
    made = {"output": opened(output)} | ({} if frame_by_frame is None else {"frame by frame": opened(frame_by_frame)})
    source, search = opened(content), estimator(flow)
    rows = {}
    for number, (name, film) in enumerate({**made, "source": made["output"]}.items()):
        pairs = _pairs(film, source)
        if name == "source":
            pairs = ((content, content) for content, _ in pairs)
        if progress is not None:
            pairs = _reported(pairs, progress, name=name, row=number, rows=len(made) + 1, frames=film.frames)
        rows[name] = steadiness(pairs, flow=search)
    return rows


def _pairs(film: Film, source: Film) -> Iterator[FramePair]:
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


def _reported(
    pairs: Iterator[FramePair],
    progress: Callable[[int, int, str], None],
    *,
    name: str,
    row: int,
    rows: int,
    frames: int,
) -> Iterator[FramePair]:
    """`pairs`, with a call of `progress` for each."""
    for index, pair in enumerate(pairs):
        progress(min(row * frames + index, rows * frames), rows * frames, f"{name}: frame {index + 1}")
        yield pair


def as_numbers(row: Steadiness) -> dict[str, float | int | None]:
    """A row as plain values: `warping_5` is the error at 5 frames."""
    values = dataclasses.asdict(row)
    errors = values.pop("warping")
    return {**{f"warping_{lag}": error for lag, error in errors.items()}, **values}
