"""Load of the studio: clients that upload, paint and fetch as fast as they may, over the loopback address.

python benchmarks/studio_load.py [--clients 50] [--seconds 60]
python benchmarks/studio_load.py --drafts 10   how long a slider's repaint takes, without other clients
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

STYLES = ("wave", "scream", "starry-night", "udnie")
FINISHED = ("done", "failed", "stopped", "cancelled")


@dataclass
class Counts:
    """What the clients saw. Times are in seconds."""

    codes: Counter[int] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    waited: list[float] = field(default_factory=list)
    painted: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def client_of(number: int, address: str, *, token: str, until: float, counts: Counts, size: int) -> None:
    """One client: a picture of its own, then job after job."""
    headers = {"x-impasto-token": token, "x-forwarded-for": f"10.1.{number // 250}.{number % 250 + 1}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=120) as studio:
        try:
            answer = await studio.put("/api/pictures", content=photo(number))
            counts.codes[answer.status_code] += 1
            content = answer.json()["id"]
            while time.monotonic() < until:
                style = STYLES[number % len(STYLES)]
                await job_of(studio, {"content": content, "styles": [{"name": style}], "size": {"size": size}}, counts)
        except (httpx.HTTPError, KeyError, ValueError) as error:
            counts.errors.append(f"{type(error).__name__}: {error}")


async def job_of(studio: httpx.AsyncClient, body: dict[str, object], counts: Counts) -> None:
    """Submit a job and wait for its picture; a short rest where the queue is full."""
    sent = time.monotonic()
    answer = await studio.post("/api/jobs", json=body)
    counts.codes[answer.status_code] += 1
    if answer.status_code != 202:
        await asyncio.sleep(1)
        return
    started = None
    async with studio.stream("GET", f"/api/jobs/{answer.json()['id']}/events") as events:
        async for line in events.aiter_lines():
            row = json.loads(line[6:]) if line.startswith("data: ") else {}
            if started is None and row.get("state") not in (None, "queued"):
                started = time.monotonic()
                counts.waited.append(started - sent)
            if row.get("state") in FINISHED:
                counts.states[row["state"]] += 1
                counts.painted += [row["seconds"]] if row["state"] == "done" else []
                if row["state"] == "done":
                    result = await studio.get(f"/api/jobs/{row['id']}/result")
                    counts.codes[result.status_code] += 1


def photo(seed: int) -> bytes:
    """A JPEG of 640 × 480 px."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


def family(pid: int) -> list[str]:
    """Ids of a process and its children, whichever of its threads started them."""
    lists = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [str(pid), *(id for ids in lists for id in ids)]


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children in megabytes."""
    pages = [int(Path(f"/proc/{id}/statm").read_text().split()[1]) for id in family(pid)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def load(address: str, *, token: str, pid: int, options: argparse.Namespace) -> tuple[Counts, list[float]]:
    """Run all clients; what they saw, and the memory every second."""
    counts, memory, until = Counts(), list[float](), time.monotonic() + options.seconds
    clients = [
        asyncio.create_task(client_of(i, address, token=token, until=until, counts=counts, size=options.size))
        for i in range(options.clients)
    ]
    while time.monotonic() < until + 120 and not all(client.done() for client in clients):
        memory.append(memory_mb(pid))
        await asyncio.sleep(1)
    for client in clients:
        client.cancel()
    return counts, memory


def cpu_s(pid: int) -> float:
    """CPU time of a process and its children in seconds."""
    rows = [Path(f"/proc/{id}/stat").read_text().rsplit(")", 1)[1].split() for id in family(pid)]
    return sum(int(row[11]) + int(row[12]) for row in rows) / os.sysconf("SC_CLK_TCK")


def drafts(address: str, *, token: str, pid: int, count: int) -> None:
    """Print the time from a slider's request to its picture, and the CPU time of all the studio's processes."""
    with httpx.Client(base_url=address, headers={"x-impasto-token": token}, timeout=300) as studio:
        content = studio.put("/api/pictures", content=photo(0)).json()["id"]
        for size in (192, 320, 448):
            seconds, before = list[float](), 0.0
            for i in range(count + 1):
                if i == 1:  # the first one loads the network
                    before = cpu_s(pid)
                began, look = time.perf_counter(), {"strength": 0.5 + 0.5 * i / count}
                body = {"content": content, "styles": [{"name": "wave"}], "size": {"size": size}, "paint": look}
                id = studio.post("/api/jobs", json={**body, "live": True, "draft": True}).json()["id"]
                with studio.stream("GET", f"/api/jobs/{id}/events") as events:
                    list(events.iter_lines())
                studio.get(f"/api/jobs/{id}/preview").raise_for_status()
                seconds.append(time.perf_counter() - began)
            spent = (cpu_s(pid) - before) / count
            print(f"draft of {size} px: median {statistics.median(seconds[1:]):.2f} s, {spent:.2f} s of CPU time")


def main() -> None:
    """Start a studio, load it, and print what came back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--drafts", type=int, default=0)
    options = parser.parse_args()
    command = [sys.executable, "-m", "impasto", "studio", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio:
        try:
            assert studio.stdout is not None
            address, _, token = studio.stdout.readline().strip().partition("/#")
            if options.drafts:
                drafts(address, token=token, pid=studio.pid, count=options.drafts)
                return
            counts, memory = asyncio.run(load(address, token=token, pid=studio.pid, options=options))
        finally:
            studio.terminate()
    report(counts, memory, options)
    sys.exit(0 if set(counts.codes) <= {200, 201, 202, 429} and not counts.errors else 1)


def report(counts: Counts, memory: list[float], options: argparse.Namespace) -> None:
    """Print the table."""
    print(f"{options.clients} clients, {options.seconds:g} s, pictures of {options.size} px")
    print("answers", dict(sorted(counts.codes.items())), "jobs", dict(counts.states), "errors", counts.errors[:3])
    for name, values in (("queue", counts.waited), ("paint", counts.painted)):
        if values:
            spread = statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
            print(f"{name}: median {statistics.median(values):.2f} s, 95th percentile {spread:.2f} s")
    half = len(memory) // 2
    early, late = max(memory[:half] or memory), max(memory[half:])
    print(f"memory: {early:.0f} MB at most in the first half, {late:.0f} MB in the second")


if __name__ == "__main__":
    main()
