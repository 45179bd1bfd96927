"""Codecs and containers of painted films."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av

from impasto.core.errors import OptionError, UnknownName, VideoUnwritable
from impasto.image.resize import SizeHW


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg with its pixel formats.

    `part` is the container of the segments, whose times are exact in MP4 and MOV. `crf` is the default constant rate
    factor (lower is better and larger), None if the encoder has none; `even`: sides must be even, since colour has half
    the resolution.
    """

    name: str
    encoder: str
    layout: str
    crf: int | None = None
    crf_max: int = 51
    alpha_layout: str = ""
    even: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    tag: str = ""
    part: str = "mp4"

    def part_format(self, *, alpha: bool) -> str:
        """FFmpeg's name of the segments' container, one that holds alpha if needed."""
        return "matroska" if alpha and self.alpha_layout and self.part == "mp4" else self.part

    def options_with(self, crf: int | None) -> dict[str, str]:
        """The encoder's options. Raises `OptionError` for an unsupported `crf`."""
        if crf is None:
            crf = self.crf
        elif self.crf is None:
            raise OptionError(f"{self.name} has no `crf`; its quality is fixed.")
        elif not 0 <= crf <= self.crf_max:
            raise OptionError(f"`crf` is {crf}; {self.name} takes 0 (best) to {self.crf_max}.")
        return dict(self.options) | ({} if crf is None else {"crf": str(crf)})

    def layout_for(self, *, alpha: bool) -> str:
        """The pixel format, with alpha if needed and supported."""
        return self.alpha_layout if alpha and self.alpha_layout else self.layout

    def size_for(self, size_hw: SizeHW) -> SizeHW:
        """`size_hw`, cropped to even sides if the encoder needs them."""
        height, width = (max(2, side - side % 2) if self.even else side for side in size_hw)
        return height, width


QUIET = {"x265-params": "log-level=error"}
CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        Codec("h264", "libx264", "yuv420p", crf=17, options={"preset": "veryfast"}),
        Codec("h265", "libx265", "yuv420p", crf=22, options=QUIET, tag="hvc1"),
        Codec(
            "vp9",
            "libvpx-vp9",
            "yuv420p",
            crf=28,
            crf_max=63,
            alpha_layout="yuva420p",
            options={"b": "0", "row-mt": "1", "cpu-used": "4", "deadline": "good"},
        ),
        Codec("av1", "libsvtav1", "yuv420p", crf=28, crf_max=63, options={"preset": "8"}),
        Codec("prores", "prores_ks", "yuv422p10le", alpha_layout="yuva444p10le", part="mov"),
        Codec("ffv1", "ffv1", "bgr0", alpha_layout="bgra", even=False, part="matroska"),
    )
}
"""By the option `codec`. The default CRFs give about the quality of H.264 at CRF 18, visually lossless.

H.264's default preset, medium, takes three times the time of veryfast for 0.36 dB (24 painted frames of 432×240 px; CRF
17 makes up for the other half of the difference, and the file is a tenth larger).
"""


@dataclass(frozen=True)
class Container:
    """FFmpeg's name of a format and the codecs that it holds; the first is the default."""

    format: str
    codecs: tuple[str, ...]


CONTAINERS: dict[str, Container] = {
    ".mp4": Container("mp4", ("h264", "h265", "vp9", "av1")),
    ".m4v": Container("mp4", ("h264", "h265", "av1")),
    ".mov": Container("mov", ("h264", "h265", "prores")),
    ".mkv": Container("matroska", ("h264", "h265", "vp9", "av1", "ffv1", "prores")),
    ".webm": Container("webm", ("vp9", "av1")),
    ".gif": Container("gif", ("ffv1",)),
    ".webp": Container("webp", ("ffv1",)),
}
"""By file extension. GIF and WebP are made at the end from lossless segments; without extension: a folder of frames."""


def container_for(path: Path) -> Container:
    """The container of an output. Raises `UnknownName` for another extension."""
    if path.suffix.lower() not in CONTAINERS:
        raise UnknownName.of("ending of a film", path.suffix or path.name, known=CONTAINERS)
    return CONTAINERS[path.suffix.lower()]


def codec_for(path: Path, name: str | None = None) -> Codec:
    """The codec `name`, or the first that the output's container holds.

    Raises `UnknownName`, `OptionError` if the container cannot hold it, `VideoUnwritable` if FFmpeg was built without
    the encoder.
    """
    container = container_for(path)
    if name is not None and name not in CODECS:
        raise UnknownName.of("codec", name, known=CODECS)
    if name is not None and name not in container.codecs:
        fitting = [suffix for suffix, other in CONTAINERS.items() if name in other.codecs]
        raise OptionError(f"{path.suffix} cannot hold {name}; {', '.join(fitting)} can.")
    codec = CODECS[name or container.codecs[0]]
    if codec.encoder not in av.codecs_available:
        raise VideoUnwritable(f"the FFmpeg of this PyAV has no encoder {codec.encoder} for {codec.name}.")
    return codec


@contextlib.contextmanager
def quiet_encoder() -> Iterator[None]:
    """Open an encoder in this block: SVT-AV1 logs errors only, and no thread becomes a real-time thread.

    SVT-AV1 gives its threads and the one that opens it SCHED_FIFO with priority 99 where it runs as root, as it does in
    containers. From there every thread and process that starts later inherits it, and nothing else on the machine runs.
    """
    os.environ.setdefault("SVT_LOG", "1")
    if sys.platform != "linux":
        yield
        return
    policy, parameters, before = os.sched_getscheduler(0), os.sched_getparam(0), _real_time_threads()
    try:
        yield
    finally:
        for thread in _real_time_threads() - before:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, parameters)


def _real_time_threads() -> set[int]:
    """The real-time threads of this process."""
    found = set()
    for thread in map(int, os.listdir("/proc/self/task")):
        with contextlib.suppress(ProcessLookupError):
            if os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR):
                found.add(thread)
    return found
