"""Options of films."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from impasto.config.arbitrary import FrameNetworkOptions
from impasto.config.job import LookOptions
from impasto.config.pictures import SizeOptions
from impasto.core.options import Choice, Doc, Options, Range

Steady = Annotated[
    float,
    Doc("Fraction of the previous frame, warped along the motion, in each frame; 0 paints frame by frame."),
    Range(0, 0.99),
]


@dataclass(frozen=True, kw_only=True)
class FilmSizeOptions(SizeOptions):
    """Size of a painted film, which is the source's by default."""

    size: Annotated[int, Doc("Long side of the film in pixels; 0 keeps the source's size."), Range(0, 100_000)] = 0


@dataclass(frozen=True, kw_only=True)
class FilmLookOptions(LookOptions):
    """All that decides how a frame looks, apart from the film and the styles."""

    size: FilmSizeOptions = field(default_factory=FilmSizeOptions)
    arbitrary: FrameNetworkOptions = field(default_factory=FrameNetworkOptions)


@dataclass(frozen=True, kw_only=True)
class Keyframe(Options):
    """Strength and style weights at one time of a film; between key frames they change smoothly."""

    time: Annotated[float, Doc("Time in seconds of the source."), Range(0)]
    strength: Annotated[
        float | None, Doc("Style strength. Without: interpolated from the other key frames."), Range(0, 10)
    ] = None
    weights: Annotated[
        tuple[float, ...], Doc("Weights of the styles. Without: interpolated from the other key frames."), Range(0)
    ] = ()


@dataclass(frozen=True, kw_only=True)
class FrameOptions(Options, title="Frames and format"):
    """Which frames are painted, how they are steadied, and how the film is stored."""

    start: Annotated[float, Doc("Start time in seconds."), Range(0)] = 0.0
    end: Annotated[float | None, Doc("End time in seconds."), Range(0)] = None
    every: Annotated[int, Doc("Paint every n-th frame only; timing and sound are unchanged."), Range(1)] = 1
    fps: Annotated[
        float | None, Doc("Frame rate of the output and of a folder of frames. Without: the rate of the source."),
        Range(0.01, 1000),
    ] = None  # fmt: skip
    steady: Steady = 0.95
    next_steps: Annotated[
        int,
        Doc("Steps of `method=optimise` per frame after the first of a shot, starting from the previous frame."),
        Range(1, 10_000),
    ] = 8
    temporal_weight: Annotated[
        float,
        Doc("Weight of the temporal loss of `method=optimise`: the difference from the warped previous frame."),
        Range(0),
    ] = 0.0
    flow: Annotated[
        str,
        Doc("Optical flow: dis-fine is a tenth more accurate and takes twice as long."),
        Choice(("dis", "dis-fine")),
    ] = "dis"
    share_statistics: Annotated[
        bool,
        Doc(
            "Average the statistics that one-pass networks normalise by over each shot, so that what enters the frame "
            "changes the rest less."
        ),
    ] = False
    codec: Annotated[
        str | None,
        Doc("Video codec. Without: chosen by the file extension."),
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

    keyframes: Annotated[
        tuple[Keyframe, ...], Doc("Strength and style weights over time, in chronological order.")
    ] = ()
