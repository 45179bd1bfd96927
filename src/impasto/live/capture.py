"""Frames from a camera, or from a film at its own rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import VideoUnreadable
from impasto.flow.estimators import opencv
from impasto.image.pixels import to_bytes
from impasto.image.resize import SizeHW, fit
from impasto.live.slot import Slot
from impasto.video.frames import Stored
from impasto.video.source import Film, opened

Levels = NDArray[np.uint8]
"""A picture `(h, w, 3)`, RGB."""

FAILED_READS = 30  # in a row, after which a camera is considered unplugged
RETRY_S = 0.05


@dataclass(frozen=True, eq=False)
class Captured:
    """A frame captured at `at_s` of the monotonic clock; `open` converts it."""

    at_s: float
    open: Callable[[], Levels]


class Source(Protocol):
    """A source of frames."""

    @property
    def size_hw(self) -> SizeHW:
        """The size of the frames."""
        ...

    def frames(self, stopping: threading.Event) -> Iterator[Captured]:
        """Each frame as it arrives, until the source ends or `stopping` is set. Raises `VideoUnreadable`."""
        ...


@dataclass(frozen=True)
class FilmSource:
    """A film, played at its own rate."""

    film: Film

    @property
    def size_hw(self) -> SizeHW:
        """The film's size."""
        return self.film.size_hw

    def frames(self, stopping: threading.Event) -> Iterator[Captured]:
        """See `Source.frames`."""
        begun_s = time.monotonic()
        for stored in self.film.stored():
            due_s = begun_s + float(stored.time_s)
            if stopping.wait(max(0.0, due_s - time.monotonic())):
                return
            yield Captured(due_s, stored.levels or partial(_levels, stored))


def _levels(stored: Stored) -> Levels:
    levels: Levels = to_bytes(stored.open().pixels)[0]
    return levels


class Camera:
    """A camera by number or device, opened by OpenCV. Raises `VideoUnreadable` if there is none."""

    def __init__(self, device: int | str, *, long_side_px: int = 0) -> None:
        cv2 = opencv()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our errors say more
        self._name = f"camera {device}"
        self._camera: Any = cv2.VideoCapture(device)
        if not self._camera.isOpened():
            raise VideoUnreadable(
                f"{self._name} cannot be opened: it does not exist, or another program uses it. Name another one, "
                "such as 0 or 1, or a film."
            )
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if long_side_px:
            self._camera.set(cv2.CAP_PROP_FRAME_WIDTH, long_side_px)
            self._camera.set(cv2.CAP_PROP_FRAME_HEIGHT, round(long_side_px * 9 / 16))
        self._first = self._read()
        if self._first is None:
            raise VideoUnreadable(
                f"{self._name} delivers no frames. Unplug it and plug it in again, or name another one."
            )

    @property
    def size_hw(self) -> SizeHW:
        """The size of its first frame."""
        assert self._first is not None
        return self._first.shape[0], self._first.shape[1]

    def frames(self, stopping: threading.Event) -> Iterator[Captured]:
        """See `Source.frames`."""
        failed = 0
        try:
            while not stopping.is_set():
                levels = self._read()
                if levels is None:
                    failed += 1
                    if failed >= FAILED_READS:
                        raise VideoUnreadable(f"{self._name} delivers no more frames; was it unplugged?")
                    stopping.wait(RETRY_S)
                    continue
                failed = 0
                yield Captured(time.monotonic(), lambda levels=levels: levels)  # type: ignore[misc]
        finally:
            self._camera.release()

    def _read(self) -> Levels | None:
        there, levels = self._camera.read()
        return np.ascontiguousarray(levels[..., ::-1]) if there else None


def source_named(text: str, *, long_side_px: int = 0) -> Source:
    """The camera of a number or device, otherwise the film of that name. Raises `VideoUnreadable`."""
    if text.isdecimal():
        return Camera(int(text), long_side_px=long_side_px)
    if Path(text).is_char_device():
        return Camera(text, long_side_px=long_side_px)
    return FilmSource(opened(text))


def is_camera(text: str) -> bool:
    """Whether a source is a camera, which has no end."""
    return text.isdecimal() or Path(text).is_char_device()


def start_capture(source: Source, slot: Slot[Captured], *, stopping: threading.Event) -> threading.Thread:
    """A thread that puts each frame of `source` into `slot`, which it closes at the end or after an error."""

    def work() -> None:
        error: BaseException | None = None
        try:
            for captured in source.frames(stopping):
                slot.put(captured)
        except BaseException as caught:
            error = caught
        slot.close(error)

    thread = threading.Thread(target=work, daemon=True, name="capture")
    thread.start()
    return thread


def shown_size(size_hw: SizeHW, long_side_px: int) -> SizeHW:
    """The size at which frames are shown, never larger than captured."""
    return fit(size_hw, long_side_px=long_side_px, enlarge=False) if long_side_px else size_hw
