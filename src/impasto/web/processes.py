"""Worker processes seen from the server: one task at a time, a time limit, and a new process where one dies."""

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

from impasto.web.worker import Message, work

POLL_S = 0.05
GRACE_S = 5.0
"""A task that is asked to stop may take so long to finish its step; then the process is ended."""

START_S = 300.0
"""A process may take so long to start."""

DIED = "the painting process ended unexpectedly; a new one has started. Use a smaller size, or try again."


LATE = "the job took longer than is allowed."


@dataclass(frozen=True)
class Patience:
    """How long a task may run: for `timeout_s` or until it is `cancelled`, and then `grace_s` to keep what it has."""

    timeout_s: float
    grace_s: float
    cancelled: threading.Event


class WorkerProcess:
    """A process that runs one task at a time; it starts with the first one."""

    def __init__(self, *, memory_bytes: int, threads: int | None, target: Callable[..., None] = work) -> None:
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
        """The last message of `task`, all others go to `tell` (called on the event loop).

        Setting `cancelled` asks the task to stop, as `timeout_s` does; `grace_s` later the process is ended. Of kind
        `failed` then, and where the process died; `late` where the time was up and the task kept what it had.
        """
        async with self._lock:
            loop = asyncio.get_running_loop()

            def tell_loop(message: Message) -> None:
                loop.call_soon_threadsafe(tell, message)

            stop = cancelled or threading.Event()
            allowed = Patience(timeout_s, grace_s, stop)
            return await asyncio.to_thread(self._exchange, task, allowed, tell=tell_loop)

    def _exchange(self, task: Message, allowed: Patience, *, tell: Callable[[Message], None]) -> Message:
        try:
            connection = self._ready()
            self._number += 1
            connection.send({**task, "number": self._number})
            return self._listen(connection, allowed, tell=tell)
        except (EOFError, OSError):
            self.close()
            return {"kind": "failed", "error": DIED}

    def _listen(self, connection: Connection, allowed: Patience, *, tell: Callable[[Message], None]) -> Message:
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
            if not self._connection.poll(START_S):  # not the task's time: importing torch takes seconds
                raise EOFError
            self._connection.recv()
        return self._connection

    @property
    def pid(self) -> int | None:
        """The process's number, None before it has started."""
        return None if self._process is None else self._process.pid

    def end(self) -> None:
        """End the process for good: no task starts another one."""
        self._ended = True
        self.close()

    def close(self) -> None:
        """End the process."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is not None:
            with contextlib.suppress(Exception):
                process.kill()
                process.join(5)
