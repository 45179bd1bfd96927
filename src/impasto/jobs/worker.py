"""The worker process, which paints tasks. The driver's side is `pool`."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from impasto.core.errors import MissingExtra, OptionError, WeightsError
from impasto.jobs.slots import WorkerSlot
from impasto.jobs.tasks import PictureTask, Spec

if TYPE_CHECKING:
    from impasto.jobs.painter import OpenedTask, TaskPainter
    from impasto.session.painting import Painting

READY, STAGE, FINISHED, FAILED, FATAL = "ready", "stage", "finished", "failed", "fatal"
READING, PAINTING, WRITING = "reading", "painting", "writing"
FATAL_ERRORS = (OptionError, WeightsError)
"""Errors that every picture would have."""


def paint_tasks(connection: Connection, spec: Spec, *, slot: WorkerSlot) -> None:
    """Paint the tasks that arrive on `connection`, until it is closed.

    Ctrl-C is left to the driver, which ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    slot.apply()
    import torch

    from impasto.core.memory import keep_freed_memory
    from impasto.jobs.painter import TaskPainter
    from impasto.jobs.pipeline import Stages, pipelined
    from impasto.jobs.stores import store_at

    torch.set_num_threads(slot.threads)
    keep_freed_memory()
    with contextlib.suppress(OSError, EOFError), store_at(spec.outputs).staging() as staging:
        reports = _Reports(connection, TaskPainter(spec, staging=staging, device=slot.device))
        reports.send(READY)
        stages = Stages(reports.open, reports.paint, reports.write, reports.failed)
        for _ in pipelined(_received(connection), stages):
            pass


def _received(connection: Connection) -> Iterator[PictureTask]:
    with contextlib.suppress(EOFError, OSError):
        while (task := connection.recv()) is not None:
            yield task


class _Reports:
    """The stages of a painter, which report their start and end to the driver."""

    def __init__(self, connection: Connection, painter: TaskPainter) -> None:
        self._connection, self._painter, self._lock = connection, painter, threading.Lock()
        self._seconds: dict[int, dict[str, float]] = {}

    def send(self, kind: str, number: int = -1, *, value: Any = None) -> None:
        with self._lock:
            self._connection.send((kind, number, value))

    def open(self, task: PictureTask) -> OpenedTask:
        with self._stage(task, READING):
            return self._painter.open(task)

    def paint(self, task: PictureTask, opened: OpenedTask) -> Painting:
        with self._stage(task, PAINTING):
            return self._painter.paint(task, opened)

    def write(self, task: PictureTask, painting: Painting) -> None:
        with self._stage(task, WRITING):
            self._painter.write(task, painting)
        self.send(FINISHED, task.number, value=self._seconds.pop(task.number))

    def failed(self, task: PictureTask, error: Exception) -> None:
        self._seconds.pop(task.number, None)
        if isinstance(error, FATAL_ERRORS) and not isinstance(error, MissingExtra):
            self.send(FATAL, task.number, value=error)
        else:
            self.send(FAILED, task.number, value=line_of(error))

    @contextlib.contextmanager
    def _stage(self, task: PictureTask, name: str) -> Iterator[None]:
        began = time.monotonic()
        self.send(STAGE, task.number, value=name)
        try:
            yield
        finally:
            self._seconds.setdefault(task.number, {})[name] = round(time.monotonic() - began, 4)
            self.send(STAGE, task.number, value="")


def line_of(error: BaseException) -> str:
    """The error on one line, with its class unless it is one of ours."""
    from impasto.core.errors import ImpastoError

    known = isinstance(error, ImpastoError | MemoryError)
    return " ".join((str(error) if known and str(error) else f"{type(error).__name__}: {error}").split())
