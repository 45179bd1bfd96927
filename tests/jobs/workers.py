"""Workers that do not paint: what becomes of a task is the name of its picture."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from impasto.config.job import Job
from impasto.config.pictures import OutputOptions
from impasto.core.errors import OptionError
from impasto.jobs import worker
from impasto.jobs.manifest import ManifestEntry
from impasto.jobs.slots import WorkerSlot
from impasto.jobs.tasks import MixOfStyles, Outcome, PictureTask, Spec


def spec(outputs: str | Path = "") -> Spec:
    return Spec({"wave": MixOfStyles(Job(content="", styles=()), {"a": 1})}, str(outputs), OutputOptions())


def tasks(*names: str) -> list[PictureTask]:
    return [PictureTask(n, ManifestEntry(name, name, name), "wave", f"{name}-wave.png") for n, name in enumerate(names)]


def pretend(connection: Connection, spec: Spec, *, slot: WorkerSlot) -> None:
    """`fail…` fails, `die…` ends the process, `slow…` takes ten seconds, `wrong…` is an error of all pictures."""
    connection.send((worker.READY, -1, None))
    while True:
        try:
            task: PictureTask = connection.recv()
        except (EOFError, OSError):
            return
        name = task.entry.key
        connection.send((worker.STAGE, task.number, worker.PAINTING))
        if name.startswith("die"):
            os._exit(9)
        if name.startswith("slow"):
            time.sleep(10)
        if name.startswith("wrong"):
            connection.send((worker.FATAL, task.number, OptionError("`size` is wrong")))
        elif name.startswith("fail"):
            connection.send((worker.FAILED, task.number, "no picture"))
        else:
            if spec.outputs:
                (Path(spec.outputs) / task.output).write_text(f"{os.getpid()}")
                time.sleep(0.02)
            connection.send((worker.STAGE, task.number, ""))
            connection.send((worker.FINISHED, task.number, {worker.PAINTING: 0.5}))


def stillborn(connection: Connection, spec: Spec, *, slot: WorkerSlot) -> None:
    """A process that ends before it begins."""
    os._exit(3)


class InProcess:
    """In place of a pool: paints in this process."""

    def __init__(self, spec: Spec, *, staging: Path) -> None:
        from impasto.jobs.painter import TaskPainter  # imports torch, which the processes that import this do not need

        self._spec, self._painter = spec, TaskPainter(spec, staging=staging)

    def run(self, tasks: Iterable[PictureTask]) -> Iterator[Outcome]:
        for task in tasks:
            made: dict[str, Any] = {}
            try:
                self._painter.write(task, self._painter.paint(task, self._painter.open(task)))
            except Exception as error:
                made = {"state": "failed", "error": worker.line_of(error)}
            digest = self._spec.mixes[task.mix].digest
            yield Outcome(key=task.entry.key, mix=task.mix, digest=digest, output=task.output, **made)
