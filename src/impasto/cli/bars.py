"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import errno
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from impasto.cli.failures import printable
from impasto.cli.flags import with_flags
from impasto.config.console import ConsoleOptions

SHOWN_AFTER_S = 1.0  # quicker work shows no bar
BAR_WIDTH, PERCENT_WIDTH, GAPS = 20, 4, 3  # characters
LINE_EVERY_S = 30.0  # without a terminal
TICK_S = 0.5


class Bar:
    """A progress bar that appears when the work takes more than a second. Use it in a `with` block.

    `wait` names work whose progress is not known: it is shown with the time that it has taken so far.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, quiet=quiet)
        bar = BarColumn(bar_width=BAR_WIDTH, table_column=Column(no_wrap=True, min_width=BAR_WIDTH))
        columns = (
            TaskProgressColumn(table_column=Column(no_wrap=True, min_width=PERCENT_WIDTH)),
            bar,
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        )
        self._bar = Progress(*columns, console=self.console, transient=True, auto_refresh=False)
        self._task = self._bar.add_task("")
        self._began = self._told = time.monotonic()
        self._drawn, self._waits = False, ("", self._began)
        self._ended, self._lock = threading.Event(), threading.RLock()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Bar:
        if not self.console.quiet:
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._ticker.is_alive():
            self._ticker.join()
        if self._drawn:
            with _closed_terminal_ignored():
                self._bar.stop()

    def show(self, done: float, total: float, text: str) -> None:
        """Draw `done` of `total`, with `text` behind."""
        with self._lock:
            self._waits = ("", 0.0)
            self._draw(text, done=done, total=total)

    def wait(self, text: str) -> None:
        """Show `text` from now on, with the seconds that have passed, until the next `show` or `wait`."""
        with self._lock:
            self._waits = (text, time.monotonic())

    def _tick(self) -> None:
        while not self._ended.wait(TICK_S):
            with self._lock:
                text, since = self._waits
                if text and (waited := time.monotonic() - since) >= SHOWN_AFTER_S:
                    self._draw(f"{text}  {as_time(waited)}")

    def _draw(self, text: str, *, done: float = 0, total: float = 0) -> None:
        now = time.monotonic()
        if not self.console.is_terminal:
            if now - self._told >= LINE_EVERY_S:
                self._told = now
                self.note(f"{done / total:4.0%} {text}" if total else text)
            return
        with _closed_terminal_ignored():
            if not self._drawn and now - self._began >= SHOWN_AFTER_S:
                self._bar.start()
                self._drawn = True
            room = max(1, self.console.width - BAR_WIDTH - PERCENT_WIDTH - GAPS)  # rich would cut the percentage first
            text = shortened(text, room)
            self._bar.update(self._task, completed=done, total=total or None, description=escape(printable(text)))
            if self._drawn:
                self._bar.refresh()

    def note(self, text: str) -> None:
        """A line that stays, above the bar; options in backquotes are shown as flags."""
        with _closed_terminal_ignored():
            self.console.print(Text(printable(with_flags(text))), soft_wrap=True)

    def tell_error(self, text: str) -> None:
        """Print a line to stderr, also with --quiet."""
        self.console.quiet, quiet = False, self.console.quiet
        self.note(f"error: {text}")
        self.console.quiet = quiet


@contextlib.contextmanager
def working(console: ConsoleOptions) -> Iterator[Bar]:
    """The bar of a command that computes, with the threads that the options ask for."""
    prepare_processor(console)
    with Bar(quiet=console.quiet) as bar:
        yield bar


def prepare_processor(console: ConsoleOptions) -> None:
    """Keep freed memory, and take the number of threads that the options ask for."""
    import torch

    from impasto.core.memory import keep_freed_memory

    keep_freed_memory()
    if console.threads is not None:
        torch.set_num_threads(console.threads)


@contextlib.contextmanager
def _closed_terminal_ignored() -> Iterator[None]:
    """After SIGHUP stderr is closed, but the picture must still be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EPIPE, errno.EBADF):
            raise


class TimeLeft:
    """Seconds that work will still take, from how long it took since the first call. Work is in any unit."""

    def __init__(self, total: float) -> None:
        self._total = total
        self._first: tuple[float, float] | None = None

    def after(self, done: float) -> float | None:
        """Seconds left when `done` of the work is done; None at first."""
        now = time.monotonic()
        if self._first is None:
            self._first = (done, now)
            return None
        work, seconds = done - self._first[0], now - self._first[1]
        return (self._total - done) * seconds / work if work > 0 else None


def shortened(text: str, longest: int) -> str:
    """`text` with its end replaced by `…` where it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def as_time(seconds: float | None) -> str:
    """`75` is `1:15`; None is empty."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def as_losses(losses: Mapping[str, float]) -> str:
    """`content 0.52  style 1.3`."""
    return "  ".join(f"{name} {value:.3g}" for name, value in losses.items())


def as_size(size_bytes: float | None) -> str:
    """`553433881` is `553 MB`; None is `?`."""
    if size_bytes is None:
        return "?"
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e7 else f"{size_bytes / 1e6:.1f} MB"


def fetch_progress(bar: Bar, name: str) -> Callable[[int, int | None], None]:
    """The progress callback of a download."""

    def show(here: int, whole: int | None) -> None:
        bar.show(here, whole or 0, f"fetching {name}: {as_size(here)} of {as_size(whole)}")

    return show
