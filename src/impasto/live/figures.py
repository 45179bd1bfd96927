"""Frame rate and latency of a live view, and the line of text that shows them."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from impasto.flow.estimators import opencv
from impasto.live.capture import Levels
from impasto.live.controls import Controls

RECENT = 30  # frames over which the displayed rate is averaged
INK = (240, 240, 240)
KEPT = 100_000  # latencies: an hour at 30 frames a second


@dataclass(frozen=True)
class Report:
    """Figures of a live view. Latency is the time from the capture of a frame to the display of its painting."""

    frames: int
    dropped: int
    seconds: float
    fps: float
    latency_ms_median: float
    latency_ms_p99: float


@dataclass
class Figures:
    """Counts displayed frames."""

    frames: int = 0
    _first_s: float = 0.0
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    def shown(self, captured_s: float | None) -> None:
        """Count a frame that is displayed now and was captured at `captured_s`; None for a frozen one."""
        now = time.monotonic()
        self._first_s = self._first_s or now
        self.frames += 1
        self._recent.append(now)
        if captured_s is not None:
            self._latencies.append(now - captured_s)

    def line(self, controls: Controls, names: Sequence[str]) -> str:
        """`24 fps  38 ms  wave 70% > star 30%  strength 1`."""
        span = self._recent[-1] - self._recent[0] if len(self._recent) > 1 else 0.0
        rate = (len(self._recent) - 1) / span if span else 0.0
        latency = self._latencies[-1] if self._latencies else 0.0
        style = names[controls.style]
        if controls.blend:
            style += f" {1 - controls.blend:.0%} > {names[(controls.style + 1) % len(names)]} {controls.blend:.0%}"
        marks = [name for name in ("frozen", "recording") if getattr(controls, name)]
        words = [f"{rate:.0f} fps", f"{1000 * latency:.0f} ms", style, f"strength {controls.strength:g}", *marks]
        return "   ".join(words)

    def report(self, *, dropped: int) -> Report:
        """The figures of the whole view."""
        seconds = self._recent[-1] - self._first_s if self._recent else 0.0
        latencies = sorted(self._latencies)
        return Report(
            frames=self.frames,
            dropped=dropped,
            seconds=seconds,
            fps=(self.frames - 1) / seconds if seconds else 0.0,
            latency_ms_median=1000 * statistics.median(latencies) if latencies else 0.0,
            latency_ms_p99=1000 * latencies[int(0.99 * (len(latencies) - 1))] if latencies else 0.0,
        )


def lettered(levels: Levels, line: str) -> Levels:
    """A copy of the picture with a line of text on a dark band at the top."""
    cv2: Any = opencv()
    made = levels.copy()
    scale = max(0.4, levels.shape[0] / 900)
    made[: round(46 * scale)] //= 3
    cv2.putText(made, line, (round(14 * scale), round(32 * scale)), cv2.FONT_HERSHEY_SIMPLEX, scale, INK)
    return made
