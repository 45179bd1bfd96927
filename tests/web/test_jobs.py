"""The queue of paintings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from impasto.web.jobs import JobQueue, QueueLimits
from impasto.web.processes import WorkerProcess


@pytest.mark.parametrize("keeps_files", [True, False])
def test_old_jobs_leave_their_pictures_only_in_a_folder_of_the_user(tmp_path: Path, keeps_files: bool) -> None:
    async def submitted() -> list[bool]:
        worker = WorkerProcess(memory_bytes=1, threads=1)
        limits = QueueLimits(longest=9, of_client=9, timeout_s=1, most_kept=1, keeps_files=keeps_files)
        queue = JobQueue((worker, worker), tmp_path, limits=limits)
        jobs = []
        for _ in range(4):
            jobs.append(queue.submit({"kind": "paint"}, client="a", title="t"))
            jobs[-1].output.touch()
            jobs[-1].state = "done"
        return [job.output.exists() for job in jobs]

    assert asyncio.run(submitted()) == ([True] * 4 if keeps_files else [False, False, True, True])


def test_the_last_event_is_the_end_of_the_job(tmp_path: Path) -> None:
    """Also of a job that finishes while its row is sent."""

    async def states() -> list[str]:
        worker = WorkerProcess(memory_bytes=1, threads=1)
        queue = JobQueue((worker, worker), tmp_path, limits=QueueLimits(longest=9, of_client=9, timeout_s=1))
        job = queue.submit({"kind": "paint"}, client="a", title="t")
        seen = []
        async for row in job.events():
            seen.append(str(row["state"]))
            job.update(state="done")
        return seen

    assert asyncio.run(states()) == ["queued", "done"]
