"""The queue of paintings: limits, states, events."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError
from impasto.web.processes import WorkerProcess
from impasto.web.worker import Message

FINISHED = frozenset({"done", "stopped", "failed", "cancelled"})


class QueueFull(ImpastoError):
    """More jobs than the queue, or one client's part of it, takes."""


@dataclass(eq=False)
class PaintJob:
    """A job on its way. `options` is a `Job` as a dictionary; `state` is queued, running or one of `FINISHED`."""

    id: str
    client: str
    options: dict[str, Any]
    title: str
    output: Path
    live: bool = False
    state: str = "queued"
    created: float = field(default_factory=time.time)
    step: int = 0
    steps: int = 0
    size: tuple[int, int] | None = None
    seconds: float | None = None
    method: str = ""
    error: str = ""
    preview: bytes = b""
    version: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def row(self) -> dict[str, Any]:
        """What clients see of it."""
        names = ("id", "title", "state", "step", "steps", "size", "seconds", "method", "error", "version", "live")
        return {name: getattr(self, name) for name in names}

    def update(self, **values: Any) -> None:
        """Change attributes, and wake everybody who watches."""
        for name, value in values.items():
            setattr(self, name, value)
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The job's row now and after each change, to its end; changes that come together are one."""
        while True:
            changed = self.changed
            yield self.row()
            if self.state in FINISHED:
                return
            await changed.wait()


class JobQueue:
    """Jobs in order, painted one at a time by a worker process; the last `most_kept` finished ones are kept.

    With `keeps_files` the pictures of older jobs stay in `folder`.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        folder: Path,
        *,
        longest: int,
        of_client: int,
        timeout_s: float,
        most_kept: int = 100,
        keeps_files: bool = False,
    ) -> None:
        self._worker, self._folder = worker, folder
        self._longest, self._of_client, self._timeout_s, self._most_kept = longest, of_client, timeout_s, most_kept
        self._keeps_files = keeps_files
        self._jobs: OrderedDict[str, PaintJob] = OrderedDict()
        self._waiting: asyncio.Queue[PaintJob] = asyncio.Queue()
        self.counts: Counter[str] = Counter()
        folder.mkdir(parents=True, exist_ok=True)

    def submit(self, options: dict[str, Any], *, client: str, title: str, live: bool = False) -> PaintJob:
        """Queue a job. A `live` one replaces the client's earlier live ones. Raises `QueueFull`."""
        if live:
            for job in self.unfinished(client):
                if job.live:
                    self.cancel(job)
        if len(self.unfinished()) >= self._longest:
            raise QueueFull(f"{self._longest} jobs are waiting. Try again later.")
        if len(self.unfinished(client)) >= self._of_client:
            raise QueueFull(f"{self._of_client} of your jobs are waiting. Wait for one, or cancel one.")
        id = secrets.token_urlsafe(9)
        job = PaintJob(id, client, options, title, self._folder / f"{id}.png", live)
        self._jobs[id] = job
        self._waiting.put_nowait(job)
        self.counts["submitted"] += 1
        self._forget_old()
        return job

    def unfinished(self, client: str | None = None) -> list[PaintJob]:
        """Jobs that wait or run, of one client or of all."""
        return [j for j in self._jobs.values() if j.state not in FINISHED and client in (None, j.client)]

    def cancel(self, job: PaintJob) -> None:
        """Stop a job: one that waits ends at once, one that runs after its step, with the picture so far."""
        job.cancelled.set()
        if job.state == "queued":
            job.update(state="cancelled")
            self.counts["cancelled"] += 1

    def __getitem__(self, id: str) -> PaintJob:
        """The job of an id; raises `KeyError`."""
        return self._jobs[id]

    def __iter__(self) -> Any:
        """Every job that is kept, oldest first."""
        return iter(list(self._jobs.values()))

    async def run(self) -> None:
        """Paint whatever is queued, for ever."""
        while True:
            job = await self._waiting.get()
            if job.state == "queued":
                await self._paint(job)

    async def _paint(self, job: PaintJob) -> None:
        job.update(state="running")

        def tell(message: Message) -> None:
            job.update(step=message["step"], steps=message["steps"], preview=message["preview"])

        task = {"kind": "paint", "job": job.options, "output": str(job.output)}
        last = await self._worker.run(task, timeout_s=self._timeout_s, cancelled=job.cancelled, tell=tell)
        if last["kind"] == "failed":
            state = "cancelled" if job.cancelled.is_set() else "failed"
            job.update(state=state, error=last["error"])
        else:
            state = "stopped" if last["stopped"] else "done"
            final = {name: last[name] for name in ("preview", "seconds", "method")}
            job.update(state=state, size=tuple(last["size"]), **final)
        self.counts[state] += 1

    def _forget_old(self) -> None:
        finished = [job for job in self._jobs.values() if job.state in FINISHED]
        for job in finished[: max(0, len(finished) - self._most_kept)]:
            del self._jobs[job.id]
            if not self._keeps_files:
                job.output.unlink(missing_ok=True)
