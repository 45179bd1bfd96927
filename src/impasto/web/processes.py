"""Worker processes seen from the server: one task at a time, a time limit, and a new process where one dies."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from impasto.web.worker import Message, work

POLL_S = 0.05
GRACE_S = 5.0
"""A task that was cancelled may take so long to finish its step; then the process is ended."""

DIED = "the painting process ended unexpectedly; a new one has started. Use a smaller size, or try again."


class WorkerProcess:
    """A process that runs one task at a time; it starts with the first one."""

    def __init__(self, *, memory_bytes: int, threads: int | None, target: Callable[..., None] = work) -> None:
        self._memory_bytes, self._threads, self._target = memory_bytes, threads, target
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._lock, self._number = asyncio.Lock(), 0

    async def run(
        self,
        task: Message,
        *,
        timeout_s: float,
        cancelled: threading.Event | None = None,
        tell: Callable[[Message], None] = lambda message: None,
    ) -> Message:
        """The last message of `task`, all others go to `tell` (called on the event loop).

        Of kind `failed` after `timeout_s`, or where the process died. Setting `cancelled` asks the task to stop.
        """
        async with self._lock:
            loop = asyncio.get_running_loop()

            def tell_loop(message: Message) -> None:
                loop.call_soon_threadsafe(tell, message)

            stop = cancelled or threading.Event()
            return await asyncio.to_thread(self._exchange, task, timeout_s=timeout_s, cancelled=stop, tell=tell_loop)

    def _exchange(
        self, task: Message, *, timeout_s: float, cancelled: threading.Event, tell: Callable[[Message], None]
    ) -> Message:
        try:
            connection = self._ready()
            self._number += 1
            connection.send({**task, "number": self._number})
            return self._listen(connection, time.monotonic() + timeout_s, cancelled=cancelled, tell=tell)
        except (EOFError, OSError):
            self.close()
            return {"kind": "failed", "error": DIED}

    def _listen(
        self, connection: Connection, deadline: float, *, cancelled: threading.Event, tell: Callable[[Message], None]
    ) -> Message:
        asked = False
        while True:
            if connection.poll(POLL_S):
                message: Message = connection.recv()
                if message["kind"] in ("done", "failed"):
                    return message
                tell(message)
            if cancelled.is_set() and not asked:
                asked, deadline = True, min(deadline, time.monotonic() + GRACE_S)
                connection.send({"kind": "stop", "number": self._number})
            if time.monotonic() > deadline:
                self.close()
                return {"kind": "failed", "error": "cancelled." if asked else "the job took longer than is allowed."}

    def _ready(self) -> Connection:
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
        return self._connection

    @property
    def pid(self) -> int | None:
        """The process's number, None before it has started."""
        return None if self._process is None else self._process.pid

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
