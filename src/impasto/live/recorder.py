"""Recording of a live view into a film, in a thread."""

from __future__ import annotations

import queue
import threading
from fractions import Fraction
from pathlib import Path

from impasto.core.errors import ImpastoError
from impasto.image.pixels import from_bytes
from impasto.image.resize import SizeHW
from impasto.live.capture import Levels
from impasto.video.assembly import assembled
from impasto.video.codecs import codec_for
from impasto.video.frames import Frame
from impasto.video.parts import Layout, Parts

WAITING = 8  # frames queued for the encoder; further ones are dropped
TICK = Fraction(1, 1000)

Timed = tuple[Levels, float]


class Recorder:
    """Writes frames with their times to `path`, with an extension of `video.codecs.CONTAINERS`, until `close`.

    The film is written in segments, which are joined at the end, so that an error keeps what was written before.
    Raises `UnknownName`, `VideoUnwritable`.
    """

    def __init__(self, path: Path, size_hw: SizeHW, *, rate: Fraction = Fraction(30)) -> None:
        codec = codec_for(path)
        self.path, self.dropped, self._rate = path, 0, rate
        self._height, self._width = codec.size_for(size_hw)
        layout = Layout(codec, (self._height, self._width), rate, TICK)
        self._parts = Parts(path.with_name(f".{path.name}.parts"), layout)
        self._parts.remove()
        self._parts.open()
        self._waiting: queue.Queue[Timed | None] = queue.Queue(WAITING)
        self._error: ImpastoError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="recorder")
        self._thread.start()

    def add(self, levels: Levels, at_s: float) -> None:
        """Record a picture displayed at `at_s`. Raises what writing raised."""
        if self._error is not None:
            raise self._error
        try:
            self._waiting.put_nowait((levels, at_s))
        except queue.Full:
            self.dropped += 1

    def close(self) -> int:
        """End the film; returns its number of frames. Raises `VideoUnwritable`."""
        self._waiting.put(None)
        self._thread.join()
        if self._parts.done:
            assembled(self._parts.done, self.path, rate=self._rate)
        self._parts.remove()
        if self._error is not None:
            raise self._error
        return sum(part.frames for part in self._parts.done)

    def _work(self) -> None:
        try:
            self._write()
            self._parts.finish()
        except ImpastoError as error:
            self._error = error
            self._parts.abandon()
            while self._waiting.get() is not None:
                pass

    def _write(self) -> None:
        """Each frame lasts until the next one, the last for one period of the rate."""
        begun_s, last = 0.0, None
        while (item := self._waiting.get()) is not None:
            levels, at_s = item
            begun_s = at_s if last is None else begun_s
            time_s = Fraction(round((at_s - begun_s) / TICK)) * TICK
            if last is not None:
                time_s = max(time_s, last.time_s + TICK)
                self._parts.add(last, duration_s=time_s - last.time_s, state={})
            last = Frame(from_bytes(levels[: self._height, : self._width]), time_s)
        if last is not None:
            self._parts.add(last, duration_s=1 / self._rate, state={})
