"""Options of films."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from impasto.config.job import LookOptions
from impasto.config.pictures import SizeOptions
from impasto.core.options import Choice, Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class FilmSizeOptions(SizeOptions):
    """Size of a painted film, which is the source's by default."""

    size: Annotated[int, Doc("Long side of the film in pixels; 0 keeps the source's size."), Range(0, 100_000)] = 0


@dataclass(frozen=True, kw_only=True)
class FilmLookOptions(LookOptions):
    """All that decides how a frame looks, apart from the film and the styles."""

    size: FilmSizeOptions = field(default_factory=FilmSizeOptions)


@dataclass(frozen=True, kw_only=True)
class Keyframe(Options):
    """Strength and style weights at one time of a film; between key frames they change smoothly."""

    time: Annotated[float, Doc("When, in seconds of the source."), Range(0)]
    strength: Annotated[float | None, Doc("How much style. Without: as the other key frames say."), Range(0, 10)] = None
    weights: Annotated[
        tuple[float, ...], Doc("The share of each style. Without: as the other key frames say."), Range(0)
    ] = ()


@dataclass(frozen=True, kw_only=True)
class FrameOptions(Options, title="Frames and format"):
    """Which frames are painted, how they are steadied, and how the film is stored."""

    start: Annotated[float, Doc("Where painting begins, in seconds."), Range(0)] = 0.0
    end: Annotated[float | None, Doc("Where painting ends, in seconds."), Range(0)] = None
    every: Annotated[int, Doc("Paint every so many frames; times and sound stay."), Range(1)] = 1
    fps: Annotated[
        float | None, Doc("Frames a second of the output, and of a folder of frames; without, the source's."),
        Range(0.01, 1000),
    ] = None  # fmt: skip
    steady: Annotated[
        float,
        Doc("How much of each frame is carried over from the one before, along the motion; 0 paints frame by frame."),
        Range(0, 0.99),
    ] = 0.9
    next_steps: Annotated[
        int,
        Doc("Steps of `method=optimise` for each frame but the first of a shot; they begin with the frame before."),
        Range(1, 10_000),
    ] = 8
    temporal_weight: Annotated[
        float,
        Doc("Weight of the temporal loss of `method=optimise`: how near each frame stays to the one before."),
        Range(0),
    ] = 0.0
    flow: Annotated[
        str,
        Doc("Search for motion: dis-fine is more exact and takes three times as long."),
        Choice(("dis", "dis-fine")),
    ] = "dis"
    codec: Annotated[
        str | None,
        Doc("Codec of the film; without, the one that suits the ending."),
        Choice(("h264", "h265", "vp9", "av1", "prores", "ffv1")),
    ] = None
    crf: Annotated[
        int | None, Doc("Constant rate factor of the codec: lower is better and larger, 0 the best."), Range(0, 63)
    ] = None
    audio: Annotated[bool, Doc("Copy the source's sound.")] = True
    subtitle: Annotated[bool, Doc("Copy the source's subtitles.")] = True


@dataclass(frozen=True, kw_only=True)
class VideoOptions(FrameOptions):
    """All options of a film, as its recipe holds them."""

    keyframes: Annotated[tuple[Keyframe, ...], Doc("Strength and style weights over time, in the order of time.")] = ()
