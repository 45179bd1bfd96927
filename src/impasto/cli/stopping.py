"""Ctrl-C, SIGTERM and SIGHUP ask to stop after the current step; a second Ctrl-C stops at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

INTERRUPTED = 130  # exit code, as shells have it


@dataclass
class Stop:
    """`asked` turns true at the first signal after `worth_keeping` was set; an earlier signal stops at once."""

    worth_keeping: bool = False
    asked: bool = False


@contextlib.contextmanager
def on_interrupt(tell: Callable[[str], Any]) -> Iterator[Stop]:
    """A `Stop` that follows Ctrl-C, SIGTERM and SIGHUP inside the block; `tell` reports to the user."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.asked and number != signal.SIGINT:
            return  # a closed terminal sends SIGHUP, and its shell sends it again
        if stop.asked or not stop.worth_keeping:
            raise KeyboardInterrupt
        stop.asked = True
        tell("stopping after this step; Ctrl-C again stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # as nohup ignores SIGHUP
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
