"""Ctrl-C: the first asks to stop after the running step, the second stops at once."""

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
    """`asked` turns true at the first Ctrl-C after `worth_keeping` was set; before that Ctrl-C stops at once."""

    worth_keeping: bool = False
    asked: bool = False


@contextlib.contextmanager
def on_interrupt(tell: Callable[[str], Any]) -> Iterator[Stop]:
    """A `Stop` that follows Ctrl-C inside the block; `tell` is given what the user should know."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.asked or not stop.worth_keeping:
            raise KeyboardInterrupt
        stop.asked = True
        tell("stopping after this step; Ctrl-C again stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
