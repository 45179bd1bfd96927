"""Job queues: limits, states, events."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError
from impasto.web.processes import GRACE_S, LATE, WorkerProcess
from impasto.web.worker import Message

FINISHED = frozenset({"done", "stopped", "failed", "cancelled"})
LONG = frozenset({"film", "learn"})
"""Kinds of jobs that take minutes. They have a separate process, so that pictures do not wait for them."""

ENDINGS = {"film": ".mp4", "learn": ""}
"""Suffix of the output by kind of job; others write .png. The output of a training is a folder."""

LONG_GRACE_S = 60.0
"""Time that a film or a training has to save its work after a stop request."""


class QueueFull(ImpastoError):
    """The queue, or one client's share of it, is full."""


@dataclass(eq=False)
class StudioJob:
    """A job. `task` is the message for the worker; `state` is queued, running or one of `FINISHED`.

    `request` is the client's request, with ids instead of paths. A `live` job is cancelled by the client's next live
    job. Only the preview of a `draft` is kept.
    """

    id: str
    client: str
    task: Message
    title: str
    output: Path
    request: Mapping[str, Any] = field(default_factory=dict)
    live: bool = False
    draft: bool = False
    state: str = "queued"
    created: float = field(default_factory=time.time)
    step: int = 0
    steps: int = 0
    size: tuple[int, int] | None = None
    seconds: float | None = None
    method: str = ""
    error: str = ""
    preview: bytes = b""
    previews: int = 0
    version: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    followers: int = 0

    @property
    def kind(self) -> str:
        """`paint`, `sheet`, `film` or `learn`."""
        return str(self.task["kind"])

    def row(self) -> dict[str, Any]:
        """The fields that clients receive."""
        names = ("id", "kind", "title", "state", "step", "steps", "size", "seconds", "method", "error", "version",
                 "previews", "live", "draft")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def update(self, **values: Any) -> None:
        """Change attributes and notify those who follow `events`."""
        for name, value in values.items():
            setattr(self, name, value)
        self.previews += "preview" in values
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()

    def forget_file(self) -> None:
        """Remove the output."""
        self.output.unlink(missing_ok=True) if ENDINGS.get(self.kind) != "" else shutil.rmtree(self.output, True)

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The job's row now and after each change until it has finished; simultaneous changes are merged."""
        self.followers += 1
        try:
            while True:
                changed, row = self.changed, self.row()
                yield row
                if row["state"] in FINISHED:  # the row that was sent: the job may have finished meanwhile
                    return
                await changed.wait()
        finally:
            self.followers -= 1


@dataclass(frozen=True, kw_only=True)
class QueueLimits:
    """Maximum numbers of unfinished jobs (in total, per client) and of finished ones that are kept; time limits.

    With `keeps_files`, the outputs of forgotten jobs stay in their folder.
    """

    longest: int
    of_client: int
    timeout_s: float
    long_timeout_s: float = 14_400.0
    most_kept: int = 100
    keeps_files: bool = False


class JobQueue:
    """First-in-first-out queues of two worker processes, the second of which runs the kinds in `LONG`."""

    def __init__(self, workers: tuple[WorkerProcess, WorkerProcess], folder: Path, *, limits: QueueLimits) -> None:
        self._workers, self._folder, self._limits = workers, folder, limits
        self._jobs: OrderedDict[str, StudioJob] = OrderedDict()
        self._waiting: tuple[asyncio.Queue[StudioJob], asyncio.Queue[StudioJob]] = asyncio.Queue(), asyncio.Queue()
        self._stopping = False
        self.counts: Counter[str] = Counter()
        self.on_done: Callable[[StudioJob], None] = lambda job: None
        folder.mkdir(parents=True, exist_ok=True)

    def submit(
        self,
        task: Message,
        *,
        client: str,
        title: str,
        request: Mapping[str, Any] | None = None,
        live: bool = False,
        draft: bool = False,
    ) -> StudioJob:
        """Queue a job. A `live` one replaces the client's earlier live ones. Raises `QueueFull`."""
        if live:
            for job in self.unfinished(client):
                if job.live:
                    self.cancel(job)
        limits = self._limits
        if self._stopping or len(self.unfinished()) >= limits.longest:
            raise QueueFull(f"{limits.longest} jobs are waiting. Try again later.")
        if len(self.unfinished(client)) >= limits.of_client:
            raise QueueFull(f"{limits.of_client} of your jobs are waiting. Wait for one, or cancel one.")
        id = secrets.token_urlsafe(9)
        output = self._folder / f"{id}{ENDINGS.get(task['kind'], '.png')}"
        job = StudioJob(id, client, task, title, output, dict(request or {}), live, draft)
        self._jobs[id] = job
        self._waiting[job.kind in LONG].put_nowait(job)
        self.counts["submitted"] += 1
        self._forget_old()
        return job

    def unfinished(self, client: str | None = None) -> list[StudioJob]:
        """Queued and running jobs, of one client or of all."""
        return [j for j in self._jobs.values() if j.state not in FINISHED and client in (None, j.client)]

    def cancel(self, job: StudioJob) -> None:
        """Stop a job: a queued one at once, a running one after its current step, keeping its work so far."""
        job.cancelled.set()
        if job.state == "queued":
            job.update(state="cancelled")
            self.counts["cancelled"] += 1

    def __getitem__(self, id: str) -> StudioJob:
        """The job of an id; raises `KeyError`."""
        return self._jobs[id]

    def __iter__(self) -> Iterator[StudioJob]:
        """All jobs that are kept, oldest first."""
        return iter(list(self._jobs.values()))

    async def run(self) -> None:
        """Run queued jobs until this is cancelled."""
        await asyncio.gather(self._run(long=False), self._run(long=True))

    async def stop(self, timeout_s: float) -> None:
        """Accept no more jobs, cancel queued ones, and let running ones save their work."""
        self._stopping = True
        for job in self.unfinished():
            self.cancel(job)
        deadline = time.monotonic() + timeout_s
        while self.unfinished() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def _run(self, *, long: bool) -> None:
        while True:
            job = await self._waiting[long].get()
            if job.state == "queued":
                await self._work_on(job, long=long)

    async def _work_on(self, job: StudioJob, *, long: bool) -> None:
        job.update(state="running")

        def tell(message: Message) -> None:
            job.update(**{name: message[name] for name in ("step", "steps", "preview") if name in message})

        task = dict(job.task) | ({"folder" if job.kind == "learn" else "output": str(job.output)})
        if job.kind == "paint":
            task["keep"] = not job.draft
        limits = self._limits
        last = await self._workers[long].run(
            task,
            timeout_s=limits.long_timeout_s if long else limits.timeout_s,
            grace_s=LONG_GRACE_S if long else GRACE_S,
            cancelled=job.cancelled,
            tell=tell,
        )
        self._finish(job, last)

    def _finish(self, job: StudioJob, last: Message) -> None:
        if last["kind"] == "failed":
            state = "cancelled" if job.cancelled.is_set() else "failed"
            job.update(state=state, error=last["error"])
        else:
            state = "stopped" if last["stopped"] else "done"
            if job.kind == "learn":
                self.on_done(job)
            final = {name: last[name] for name in ("preview", "seconds", "method", "size") if last.get(name)}
            job.update(state=state, error=LATE if last["stopped"] and last["late"] else "", **final)
        self.counts[state] += 1

    def _forget_old(self) -> None:
        finished = [job for job in self._jobs.values() if job.state in FINISHED]
        drafts = [job for job in finished if job.draft]  # superseded by the next one
        old = {*drafts[:-4], *finished[: max(0, len(finished) - self._limits.most_kept)]}
        for job in old:
            del self._jobs[job.id]
            if not self._limits.keeps_files:
                job.forget_file()
