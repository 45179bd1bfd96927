"""Reading films: files that FFmpeg decodes, animated pictures, folders of frames."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from impasto.core.errors import VideoUnreadable
from impasto.image import files
from impasto.image.pixels import from_bytes, to_bytes
from impasto.image.resize import SizeHW, resized
from impasto.video.codecs import CONTAINERS
from impasto.video.containers import reading
from impasto.video.frames import Frame, Held, Stored
from impasto.video.planes import has_alpha, to_levels, to_tensor

FOLDER_RATE = Fraction(25)
SHORT_OF_END = 0.02  # a file shorter than stated by more than this fraction was cut
GREATEST_RATE = 240


@dataclass(frozen=True)
class Film:
    """The properties of a film, known before it is decoded.

    `size_hw` is the upright size in square pixels, `rate` the average number of frames per second, `time_base` the unit
    of times; `frames` and `duration_s` may be estimates. `kind` says how it is read: "file", "webp" or "folder".
    `begin_s` is the time of the first frame by the file's own clock.
    """

    path: Path
    size_hw: SizeHW
    rate: Fraction
    time_base: Fraction
    frames: int
    duration_s: float
    alpha: bool = False
    kind: str = "file"
    begin_s: Fraction = Fraction(0)

    def stored(self, *, on_note: Any = None) -> Iterator[Stored]:
        """The frames in chronological order; each is converted when it is opened.

        Raises `VideoUnreadable` if the file ends early or is damaged, or if the frame size changes. A frame whose time
        is missing or not later than the previous one's is shown one period after it; `on_note` is called with a
        line about these.
        """
        reader = {"file": _file_frames, "webp": _webp_frames, "folder": _folder_frames}[self.kind]
        return reader(self, on_note or (lambda note: None))

    def shown_at(self, times_s: Sequence[float]) -> Iterator[Stored]:
        """The frame shown at each of `times_s`, in ascending order; the last frame after the end.

        Seeks in files, so that a few frames of a long film are found quickly. Raises `VideoUnreadable`.
        """
        seekable = self.kind == "file" and self.path.suffix.lower() != ".gif"
        if seekable:
            return _sought(self, times_s)
        held = Held(self.stored())
        return (held.at(time_s) for time_s in times_s)


def opened(path: str | Path, *, folder_rate: Fraction = FOLDER_RATE) -> Film:
    """The film in a file, or in a folder of pictures, shown at `folder_rate` in the natural order of their names.

    Raises `VideoUnreadable` if there is none.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path, folder_rate)
    if not path.exists():
        raise VideoUnreadable(f"{path} does not exist; check its name and folder.")
    if path.suffix.lower() == ".webp":
        return _webp(path)
    with _read_errors(path), reading(path) as container:
        if not container.streams.video:
            kinds = sorted({stream.type for stream in container.streams}) or ["nothing"]
            raise VideoUnreadable(f"{path} contains {' and '.join(kinds)} but no video; a film is needed.")
        return _described(path, container)


def is_film(path: str | Path) -> bool:
    """Whether a path is a film, by its extension. A WebP file is one if it is animated."""
    path = Path(path)
    if path.suffix.lower() == ".webp":
        return path.is_file() and opened(path).frames > 1
    return path.suffix.lower() in CONTAINERS


def is_moving(path: str | Path) -> bool:
    """Whether `path` is a film or a folder of frames, not a picture."""
    return Path(path).is_dir() or is_film(path)


def _described(path: Path, container: Any) -> Film:
    stream = container.streams.video[0]
    first = next(iter(container.decode(stream)), None)
    if first is None:
        raise VideoUnreadable(f"{path} has a video stream without frames.")
    rate = stream.average_rate or stream.guessed_rate or FOLDER_RATE
    if rate > GREATEST_RATE and stream.guessed_rate:
        rate = stream.guessed_rate  # some files state the unit of their times for the rate
    length = stream.duration * stream.time_base if stream.duration else None
    if length is None and container.duration:
        length = Fraction(container.duration, av.time_base)
    duration_s = float(length) if length is not None else 0.0
    alpha = has_alpha(first.format.name) or first.format.name == "pal8"
    return Film(
        path=path,
        size_hw=_upright_hw(first, stream.sample_aspect_ratio),
        rate=Fraction(rate),
        time_base=Fraction(stream.time_base),
        frames=stream.frames or max(1, math.ceil(duration_s * rate)),
        duration_s=duration_s or stream.frames / float(rate),
        alpha=alpha,
        begin_s=Fraction(0) if first.pts is None else first.pts * Fraction(first.time_base),
    )


def _upright_hw(frame: Any, aspect: Fraction | None) -> SizeHW:
    height, width = frame.height, frame.width
    if aspect:  # the longer side is kept or grows, so that nothing is lost
        height, width = (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)
    return (width, height) if frame.rotation % 180 else (height, width)


def _file_frames(film: Film, on_note: Any) -> Iterator[Stored]:
    with _read_errors(film.path), reading(film.path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        begin, last, repaired, stored_hw = None, None, 0, None
        for index, frame in enumerate(container.decode(stream)):
            stored_hw = stored_hw or (frame.height, frame.width)
            if (frame.height, frame.width) != stored_hw:
                raise VideoUnreadable(
                    f"frame {index} of {film.path} has {frame.width}×{frame.height} px, those before "
                    f"{stored_hw[1]}×{stored_hw[0]}; all frames must have the same size. Split the film there."
                )
            at = None if frame.pts is None else frame.pts * Fraction(frame.time_base)
            begin = (at or Fraction(0)) if begin is None else begin
            time_s = Fraction(0) if at is None else at - begin
            if last is not None and (at is None or time_s <= last):
                time_s, repaired = last + 1 / film.rate, repaired + 1
            last = time_s
            convert = functools.partial(_converted, film, frame, time_s)
            yield Stored(time_s, convert, functools.partial(_levels, film, frame, convert=convert))
        if repaired:
            on_note(
                f"{repaired} frames of {film.path} have a missing or non-increasing time; each is shown one period "
                "after the previous one."
            )
        _check_whole(film, last)


def _sought(film: Film, times_s: Sequence[float]) -> Iterator[Stored]:
    with _read_errors(film.path), reading(film.path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for wanted_s in times_s:
            container.seek(round((Fraction(wanted_s) + film.begin_s) / stream.time_base), stream=stream)
            frames = (frame for frame in container.decode(stream) if frame.pts is not None)
            yield Held(_stored(film, frame) for frame in frames).at(wanted_s)


def _stored(film: Film, frame: Any) -> Stored:
    time_s = frame.pts * Fraction(frame.time_base) - film.begin_s
    return Stored(time_s, functools.partial(_converted, film, frame, time_s))


def _check_whole(film: Film, last: Fraction | None) -> None:
    """Raise `VideoUnreadable` if the frames end well before the duration that the file states."""
    reached_s = 0.0 if last is None else float(last + 1 / film.rate)
    margin_s = max(SHORT_OF_END * film.duration_s, 3 / float(film.rate))
    if film.path.suffix.lower() != ".gif" and reached_s < film.duration_s - margin_s:
        raise VideoUnreadable(
            f"{film.path} ends at {reached_s:.2f} s of {film.duration_s:.2f} s: the file is truncated or damaged."
        )


def _converted(film: Film, frame: Any, time_s: Fraction) -> Frame:
    pixels, alpha = to_tensor(frame, turn_degrees=frame.rotation)
    squared = resized(pixels, film.size_hw)
    return Frame(squared, time_s, None if alpha is None else resized(alpha, film.size_hw, mode="bilinear"))


def _levels(film: Film, frame: Any, *, convert: Callable[[], Frame]) -> NDArray[np.uint8]:
    levels = to_levels(frame, turn_degrees=frame.rotation)
    if levels.shape[:2] == tuple(film.size_hw):
        return levels
    resampled: NDArray[np.uint8] = to_bytes(convert().pixels)[0]
    return resampled


@contextlib.contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise VideoUnreadable(f"{path} cannot be read as a film: {error.strerror or error}.") from error


def _webp(path: Path) -> Film:
    """An animated WebP, which FFmpeg cannot read."""
    with _pillow_errors(path), Image.open(path) as picture:
        times = _webp_times(picture)
        size_hw = (picture.height, picture.width)
        rate = Fraction(len(times), 1) / times[-1] if times[-1] else FOLDER_RATE
        return Film(path, size_hw, rate, Fraction(1, 1000), len(times), float(times[-1]), alpha=True, kind="webp")


def _webp_times(picture: Any) -> list[Fraction]:
    """The end time of each frame."""
    end, ends = Fraction(0), []
    for frame in ImageSequence.Iterator(picture):
        frame.load()  # Pillow knows the duration after decoding
        end += Fraction(int(frame.info.get("duration", 0)) or round(1000 / FOLDER_RATE), 1000)
        ends.append(end)
    return ends


def _webp_frames(film: Film, on_note: Any) -> Iterator[Stored]:
    with _pillow_errors(film.path), Image.open(film.path) as picture:
        starts = [Fraction(0), *_webp_times(picture)[:-1]]
        for time_s, frame in zip(starts, ImageSequence.Iterator(picture), strict=True):
            planes = from_bytes(np.asarray(frame.convert("RGBA")))
            made = Frame(planes[:, :3], time_s, planes[:, 3:])
            yield Stored(time_s, functools.partial(_same, made))


def _same(frame: Frame) -> Frame:
    return frame


@contextlib.contextmanager
def _pillow_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SyntaxError, ValueError) as error:
        raise VideoUnreadable(f"{path} cannot be read as an animated picture: {error}.") from error


def natural_key(name: str) -> list[tuple[int, str]]:
    """A key that sorts frame2 before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]


def folder_files(path: Path) -> list[Path]:
    """The pictures of a folder in the natural order of their names."""
    names = [name for name in os.listdir(path) if Path(name).suffix.lower() in files.READABLE_SUFFIXES]
    return [path / name for name in sorted(names, key=natural_key) if not name.startswith(".")]


def _folder(path: Path, rate: Fraction) -> Film:
    pictures = folder_files(path)
    if not pictures:
        raise VideoUnreadable(f"the folder {path} contains no pictures; frames such as 0001.png are needed.")
    first = files.read(pictures[0])
    duration_s = float(len(pictures) / rate)
    alpha = first.alpha is not None
    return Film(path, first.size_hw, rate, 1 / rate, len(pictures), duration_s, alpha, kind="folder")


def _folder_frames(film: Film, on_note: Any) -> Iterator[Stored]:
    for index, path in enumerate(folder_files(film.path)):
        yield Stored(index / film.rate, functools.partial(_read, film, path, index / film.rate))


def _read(film: Film, path: Path, time_s: Fraction) -> Frame:
    picture = files.read(path)
    if picture.size_hw != film.size_hw:
        height, width = picture.size_hw
        raise VideoUnreadable(
            f"{path} has {width}×{height} px, the first frame {film.size_hw[1]}×{film.size_hw[0]}; all frames must "
            "have the same size."
        )
    return Frame(picture.pixels, time_s, picture.alpha)
