"""An animation of the painting steps, as a GIF or MP4 file."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image
from torch import Tensor

from impasto.core.errors import ImageUnwritable, OptionError
from impasto.core.paths import written_whole
from impasto.image.pixels import to_bytes
from impasto.image.resize import SizeHW, fit, resized

FRAMES = 100  # of an animation, at most
RATE_HZ = 20
HOLD_S = 1.5  # duration of the last frame
GIF_LONG_SIDE_PX = 800  # a GIF is kept in memory until it is written
QUALITY = 17  # x264's CRF: 0 is exact, 23 its default, 51 the worst
BT709, LIMITED = 1, 1  # codes of the colour space and range in H.264

AddFrame = Callable[[Tensor], None]


@contextlib.contextmanager
def written(path: Path, size_hw: SizeHW) -> Iterator[AddFrame]:
    """A function that adds a frame `(1, 3, h, w)` in `[0, 1]`, of any size; the file appears when the block succeeds.

    Frames are resized to `size_hw`: in a GIF to at most 800 px a side, in an MP4 (H.264, 4:2:0) to even sides. An MP4
    is written frame by frame. The last frame is held. A block without frames leaves no file. Raises `OptionError` for
    another extension, `ImageUnwritable` if the disk is full or the size exceeds the format's limit.
    """
    if path.suffix.lower() not in WRITERS:
        raise OptionError(f"{path} has the extension {path.suffix!r}; an animation needs {' or '.join(WRITERS)}.")
    with contextlib.ExitStack() as stack:
        opened: list[_Gif | _Mp4] = []

        def add(frame: Tensor) -> None:
            with _disk_errors(path):
                if not opened:
                    temporary = stack.enter_context(written_whole(path))
                    opened.append(WRITERS[path.suffix.lower()](temporary, size_hw))
                    stack.push(opened[0].close)
                opened[0].add(frame)

        yield add
        with _disk_errors(path):
            stack.close()


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        raise ImageUnwritable(f"{path} cannot be written: {error.strerror or error}.") from error


def stride(steps: int, *, frames: int = FRAMES) -> int:
    """The number of steps per frame, so that `steps` give at most about `frames` frames."""
    return max(1, math.ceil(steps / frames))


class _Gif:
    def __init__(self, path: Path, size_hw: SizeHW) -> None:
        self._path, self._size_hw = path, fit(size_hw, long_side_px=GIF_LONG_SIDE_PX, enlarge=False)
        self._frames: list[Image.Image] = []

    def add(self, frame: Tensor) -> None:
        picture = Image.fromarray(to_bytes(resized(frame, self._size_hw).clamp(0, 1))[0])
        self._frames.append(picture.quantize(256))

    def close(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            return
        each_ms = round(1000 / RATE_HZ)
        durations = [each_ms] * (len(self._frames) - 1) + [round(1000 * HOLD_S)]
        first, *rest = self._frames
        first.save(
            self._path, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, disposal=1, optimize=False
        )


class _Mp4:
    def __init__(self, path: Path, size_hw: SizeHW) -> None:
        h, w = (max(2, side - side % 2) for side in size_hw)
        self._size_hw = (h, w)
        self._file = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream: Any = self._file.add_stream("libx264", rate=RATE_HZ, options={"crf": str(QUALITY)})
        self._stream.width, self._stream.height, self._stream.pix_fmt = w, h, "yuv420p"
        self._stream.codec_context.colorspace = BT709
        self._stream.codec_context.color_range = LIMITED
        self._last: av.VideoFrame | None = None
        self._count = 0

    def add(self, frame: Tensor) -> None:
        picture = to_bytes(resized(frame, self._size_hw).clamp(0, 1))[0]
        made = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._last = made.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED)
        self._encode(self._last)

    def _encode(self, frame: av.VideoFrame) -> None:
        frame.pts, frame.time_base = self._count, Fraction(1, RATE_HZ)
        self._count += 1
        self._file.mux(self._stream.encode(frame))

    def close(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if kind is None and self._last is not None:
                for _ in range(round(HOLD_S * RATE_HZ)):
                    self._encode(self._last)
                self._file.mux(self._stream.encode(None))
        finally:
            self._file.close()


WRITERS: dict[str, type[_Gif] | type[_Mp4]] = {".gif": _Gif, ".mp4": _Mp4}
