"""Worker processes, seen from the server: one task at a time, with a time limit; a process that dies is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import math
import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from impasto.web.worker import Message, run_tasks

POLL_S = 0.05
GRACE_S = 5.0
"""Time that a task has to finish its step after a stop request; then its process is killed."""

START_S = 300.0
"""Time limit for the start of a process."""

DIED = "the painting process ended unexpectedly; a new one has started. Use a smaller size, or try again."


LATE = "the job exceeded its time limit."


@dataclass(frozen=True)
class TimeLimit:
    """A task runs for `timeout_s`, or until `cancelled` is set, and then has `grace_s` to save its work."""

    timeout_s: float
    grace_s: float
    cancelled: threading.Event


class WorkerProcess:
    """A process that runs one task at a time and starts with the first one."""

    def __init__(self, *, memory_bytes: int, threads: int | None, target: Callable[..., None] = run_tasks) -> None:
        self._memory_bytes, self._threads, self._target = memory_bytes, threads, target
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._lock, self._number, self._ended = asyncio.Lock(), 0, False

    async def run(
        self,
        task: Message,
        *,
        timeout_s: float,
        grace_s: float = GRACE_S,
        cancelled: threading.Event | None = None,
        tell: Callable[[Message], None] = lambda message: None,
    ) -> Message:
        """Run `task` and return its last message; all others go to `tell` (called on the event loop).

        When `cancelled` is set, or after `timeout_s`, the task is requested to stop; `grace_s` later its process is
        killed. The message is then of kind `failed`, as when the process died. It is `late` if the task saved its work
        after a timeout.
        """
        async with self._lock:
            loop = asyncio.get_running_loop()

            def tell_loop(message: Message) -> None:
                loop.call_soon_threadsafe(tell, message)

            stop = cancelled or threading.Event()
            allowed = TimeLimit(timeout_s, grace_s, stop)
            return await asyncio.to_thread(self._exchange, task, allowed, tell=tell_loop)

    def _exchange(self, task: Message, allowed: TimeLimit, *, tell: Callable[[Message], None]) -> Message:
        try:
            connection = self._ready()
            self._number += 1
            connection.send({**task, "number": self._number})
            return self._listen(connection, allowed, tell=tell)
        except (EOFError, OSError):
            self.close()
            return {"kind": "failed", "error": DIED}

    def _listen(self, connection: Connection, allowed: TimeLimit, *, tell: Callable[[Message], None]) -> Message:
        deadline, stop_s = time.monotonic() + allowed.timeout_s, math.inf
        while True:
            if connection.poll(POLL_S):
                message: Message = connection.recv()
                if message["kind"] in ("done", "failed"):
                    return message | {"late": deadline <= stop_s < math.inf}
                tell(message)
            now = time.monotonic()
            if stop_s == math.inf and (allowed.cancelled.is_set() or now > deadline):
                stop_s = now
                connection.send({"kind": "stop", "number": self._number})
            if now > stop_s + allowed.grace_s:
                self.close()
                return {"kind": "failed", "error": "cancelled." if stop_s < deadline else LATE}

    def _ready(self) -> Connection:
        if self._ended:
            raise EOFError
        if self._process is None or not self._process.is_alive() or self._connection is None:
            self.close()
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(
                target=self._target,
                args=(theirs, self._memory_bytes),
                kwargs={"threads": self._threads},
                daemon=True,
                name="impasto-worker",
            )
            self._process.start()
            theirs.close()
            if not self._connection.poll(START_S):  # not part of the task's time: importing torch takes seconds
                raise EOFError
            self._connection.recv()
        return self._connection

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return None if self._process is None else self._process.pid

    def end(self) -> None:
        """Kill the process; no later task starts a new one."""
        self._ended = True
        self.close()

    def close(self) -> None:
        """Kill the process."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is not None:
            with contextlib.suppress(Exception):
                process.kill()
                process.join(5)
