"""The driver's side of the worker processes: tasks, attempts, the time limit, and replacement of dead processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from impasto.core.errors import BatchError
from impasto.jobs import worker
from impasto.jobs.slots import WorkerSlot
from impasto.jobs.tasks import FAILED, Outcome, PictureTask, Spec

POLL_S = 0.25
AHEAD = 2  # tasks of a worker before the writing stage: one is painted, one is read
FALSE_STARTS = 3  # of processes in a row
DEATHS = 3  # of a process with this task alone, even if fewer attempts are set: it may have been killed from outside


@dataclass
class _Flight:
    """A task in a worker: `spent` seconds in earlier stages; the current one began at `since`."""

    task: PictureTask
    stage: str = ""
    spent: float = 0.0
    since: float | None = None

    def seconds(self, now: float) -> float:
        return self.spent + (now - self.since if self.since is not None else 0)

    def enter(self, stage: str, now: float) -> None:
        self.spent, self.since = self.seconds(now), now if stage else None
        self.stage = stage or self.stage


@dataclass
class _Worker:
    slot: WorkerSlot
    process: SpawnProcess
    connection: Connection
    ready: bool = False
    flights: dict[int, _Flight] = field(default_factory=dict)
    alone: bool = False

    @property
    def waiting(self) -> int:
        """The number of tasks before the writing stage."""
        return sum(flight.stage != worker.WRITING for flight in self.flights.values())

    def end(self) -> None:
        self.connection.close()
        with contextlib.suppress(Exception):
            self.process.kill()
            self.process.join(5)


class Pool:
    """Processes that paint the tasks of a `Spec`, one in each of `slots`; `run` starts them, `close` ends them.

    A failed task is retried at the end, up to `attempts` times in all. One that exceeds `timeout_s` (0: no limit) fails
    at once, and its process is replaced. If a process dies, its tasks are retried one by one, which identifies the one
    that kills the process.
    """

    def __init__(
        self,
        spec: Spec,
        slots: Sequence[WorkerSlot],
        *,
        attempts: int = 3,
        timeout_s: float = 0.0,
        target: Callable[..., None] = worker.paint_tasks,
    ) -> None:
        self._spec, self._slots, self._attempts, self._timeout_s = spec, slots, attempts, timeout_s
        self._target, self._workers, self._false_starts = target, list[_Worker](), 0
        self._tries: dict[int, int] = {}
        self._again, self._suspects = deque[PictureTask](), deque[PictureTask]()
        self._new: Iterator[PictureTask] = iter(())

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [each.process.pid for each in self._workers if each.process.pid is not None]

    def run(self, tasks: Iterable[PictureTask]) -> Generator[Outcome, None, None]:
        """Paint the tasks; yields the outcome of each as it ends. Closing the iterator early ends the processes.

        Raises errors that every task would have (`OptionError`, `WeightsError`), and `BatchError` if processes do not
        start.
        """
        self._new, finished = iter(tasks), False
        try:
            self._workers = self._workers or [self._started(slot) for slot in self._slots]
            while True:
                for each in self._workers:
                    self._feed(each)
                if not any(each.flights for each in self._workers) and all(each.ready for each in self._workers):
                    finished = True
                    return
                by_connection = {each.connection: each for each in self._workers}
                for ready in wait(list(by_connection), timeout=POLL_S):
                    yield from self._heard(by_connection[ready])  # type: ignore[index]
                yield from self._overdue()
        finally:
            if not finished:
                self.close()

    def close(self) -> None:
        """End the processes."""
        for each in self._workers:
            each.end()
        self._workers = []

    def _started(self, slot: WorkerSlot) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=self._target, args=(theirs, self._spec), kwargs={"slot": slot}, daemon=True)
        process.start()
        theirs.close()
        return _Worker(slot, process, ours)

    def _replaced(self, dead: _Worker) -> None:
        dead.end()
        self._workers[self._workers.index(dead)] = self._started(dead.slot)

    def _feed(self, each: _Worker) -> None:
        """Send as many tasks as the worker takes. A suspect is sent alone."""
        while each.ready and each.waiting < AHEAD and not each.alone:
            if self._suspects:
                if each.flights:
                    return
                task: PictureTask | None = self._suspects.popleft()
                each.alone = True
            else:
                task = next(self._new, None) or (self._again.popleft() if self._again else None)
            if task is None:
                return
            each.flights[task.number] = _Flight(task)
            with contextlib.suppress(OSError):  # it has died, which the next `recv` reports
                each.connection.send(task)

    def _heard(self, each: _Worker) -> Iterator[Outcome]:
        """Handle the next message of a worker, or its death."""
        try:
            kind, number, value = each.connection.recv()
        except (EOFError, OSError):
            yield from self._died(each)
            return
        if kind == worker.READY:
            each.ready, self._false_starts = True, 0
        elif kind == worker.STAGE:
            each.flights[number].enter(value, time.monotonic())
        elif kind == worker.FATAL:
            raise value
        else:
            flight = each.flights.pop(number)
            each.alone = False
            if kind == worker.FINISHED:
                yield self._outcome(flight.task, seconds=value)
            else:
                yield from self._failed(flight.task, value)

    def _died(self, each: _Worker) -> Iterator[Outcome]:
        flights = list(each.flights.values())
        self._replaced(each)
        if not each.ready:
            self._false_starts += 1
            if self._false_starts >= FALSE_STARTS:
                raise BatchError(
                    f"{FALSE_STARTS} worker processes ended before they began (exit code {each.process.exitcode}). "
                    "Use fewer `workers`, or read the lines above."
                )
        if each.alone and len(flights) == 1:
            error = f"its process ended unexpectedly (exit code {each.process.exitcode}); it may need too much memory."
            yield from self._failed(flights[0].task, error, most=max(DEATHS, self._attempts), suspect=True)
        else:
            self._suspects.extend(flight.task for flight in flights)

    def _overdue(self) -> Iterator[Outcome]:
        """Fail the tasks that exceed the time limit and replace their workers, whose other tasks are retried."""
        if not self._timeout_s:
            return
        now = time.monotonic()
        for each in list(self._workers):
            late = [flight for flight in each.flights.values() if flight.seconds(now) > self._timeout_s]
            if not late:
                continue
            self._again.extend(flight.task for flight in each.flights.values() if flight not in late)
            self._replaced(each)
            for flight in late:
                self._tries[flight.task.number] = self._tries.get(flight.task.number, 0) + 1
                yield self._outcome(flight.task, error=f"it took longer than {self._timeout_s:g} s.")

    def _failed(
        self, task: PictureTask, error: str, *, most: int | None = None, suspect: bool = False
    ) -> Iterator[Outcome]:
        tries = self._tries[task.number] = self._tries.get(task.number, 0) + 1
        if tries < (most or self._attempts):
            (self._suspects if suspect else self._again).append(task)
        else:
            yield self._outcome(task, error=error)

    def _outcome(self, task: PictureTask, *, error: str = "", seconds: dict[str, Any] | None = None) -> Outcome:
        tries = self._tries.pop(task.number, 0)
        return Outcome(
            key=task.entry.key,
            mix=task.mix,
            digest=self._spec.mixes[task.mix].digest,
            output=task.output,
            attempts=tries + (not error),
            seconds=seconds or {},
            **({"state": FAILED, "error": error} if error else {}),
        )
