"""Batches: pictures a second beside the plain loop, memory over many pictures, and outputs after kill -9.

`python benchmarks/batch.py speed`, `memory` or `kills`; each prints one line or table. Contents are drawn. Rates leave
out the start of the processes; `kills` starts the command itself and kills a worker or the driver at random moments.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from impasto.config.batch import BatchOptions, FolderOptions
from impasto.config.job import Job, StyleSource
from impasto.config.pictures import OutputOptions, SizeOptions
from impasto.image import files
from impasto.jobs.batch import PlannedBatch, planned, shards_of
from impasto.jobs.pool import Pool
from impasto.jobs.shards import painted_shards
from impasto.jobs.slots import WorkerSlot, cores

STYLE = "wave"


def drawn(folder: Path, count: int, *, size: int) -> Path:
    """Pictures of smooth noise, quickly drawn."""
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        coarse = torch.rand(1, 3, 8, 8, generator=generator)
        whole = torch.nn.functional.interpolate(coarse, size=(size * 3 // 4, size), mode="bicubic").clamp(0, 1)
        files.write(folder / f"{number:05}.jpg", whole)
    return folder


@contextlib.contextmanager
def batch_of(folder: Path, outputs: Path, *, size: int) -> Iterator[PlannedBatch]:
    """The pictures of a folder, in one trained style."""
    with planned(
        [str(folder)],
        {STYLE: Job(content="", styles=(StyleSource(source=STYLE),), size=SizeOptions(size=size))},
        outputs=str(outputs),
        folder=FolderOptions(format="jpg"),
        written=OutputOptions(),
        options=BatchOptions(),
    ) as batch:
        yield batch


Speed = tuple[float, float]
"""Pictures a second of wall time, and a second of processor time; both without the first ones."""

FIRST = 5  # pictures that are not counted


def batched(folder: Path, outputs: Path, *, size: int, workers: int) -> Speed:
    """The speed of a batch."""
    with batch_of(folder, outputs, size=size) as batch, batch.store.staging() as staged:
        pool, marks = Pool(batch.spec, [WorkerSlot(1)] * workers), list[tuple[float, float]]()
        with contextlib.closing(pool):
            for _ in painted_shards(shards_of(batch), pool, store=batch.store, staged=staged):
                marks.append((time.perf_counter(), time.process_time() + sum(map(cpu_seconds, pool.pids))))
    return speed_of(marks)


def speed_of(marks: Sequence[tuple[float, float]]) -> Speed:
    """The speed between the first pictures and the last, from the times at the end of each."""
    count, first, last = len(marks) - FIRST, marks[FIRST - 1], marks[-1]
    return count / (last[0] - first[0]), count / (last[1] - first[1])


def cpu_seconds(pid: int) -> float:
    """The processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def plain_loop(folder: Path, outputs: Path, *, size: int) -> Speed:
    """The speed of reading, painting and writing in turn, with one thread."""
    from impasto import api

    torch.set_num_threads(1)
    cache, marks = api.JobCache(codes=True), []
    for path in sorted(folder.iterdir()):
        job = Job(content=str(path), styles=(StyleSource(source=STYLE),), size=SizeOptions(size=size))
        session = api.open_session(job, output=outputs / path.name, cache=cache)
        for step in session.steps():
            last = step
        session.painting(last).save(outputs / path.name)
        marks.append((time.perf_counter(), time.process_time()))
    return speed_of(marks)


def speed(folder: Path, *, count: int, size: int, workers: int) -> None:
    """A plain loop, a batch, and the plain loop again, since the machine may be busy."""
    contents, workers = drawn(folder / "in", count, size=size), workers or cores()
    before = plain_loop(contents, folder / "plain", size=size)
    many = batched(contents, folder / "batch", size=size, workers=workers)
    after = plain_loop(contents, folder / "plain2", size=size)
    wall, cpu = ((one + other) / 2 for one, other in zip(before, after, strict=True))
    print(f"{count} pictures at {size} px, {workers} worker processes of one thread")
    print(f"plain loop   {before[0]:6.2f} and {after[0]:6.2f} a second, {cpu:6.2f} a second of processor time")
    print(f"batch        {many[0]:6.2f} a second, {many[1]:6.2f} a second of processor time")
    print(f"batch / loop {many[0] / wall:6.2f} of {workers}, {many[1] / cpu:6.2f} by processor time")


def memory(folder: Path, *, count: int, size: int) -> None:
    """The resident memory of the driver and of its worker, early and late."""
    contents = drawn(folder / "in", count, size=size)
    rows = []
    with batch_of(contents, folder / "out", size=size) as batch, batch.store.staging() as staged:
        pool = Pool(batch.spec, [WorkerSlot(1)])
        with contextlib.closing(pool):
            for number, _ in enumerate(painted_shards(shards_of(batch), pool, store=batch.store, staged=staged), 1):
                if number % max(1, count // 40) == 0:
                    rows.append((number, resident_mb(os.getpid()), resident_mb(pool.pids[0])))
    for number, driver, worker in rows[:: max(1, len(rows) // 10)]:
        print(f"{number:6} pictures  driver {driver:4.0f} MB  worker {worker:4.0f} MB")
    later = rows[len(rows) // 2 :]
    slopes = (1e6 * slope([row[0] for row in later], [row[side] for row in later]) for side in (1, 2))
    print("growth over the second half: driver {:.0f}, worker {:.0f} bytes per picture".format(*slopes))


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The slope of the least-squares line."""
    line: float = statistics.linear_regression(xs, ys).slope
    return line


def resident_mb(pid: int) -> float:
    """The resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@dataclass
class Killed:
    """What was killed, and what was found afterwards: readable outputs of each batch, and temporary files."""

    workers: int = 0
    drivers: int = 0
    outputs: list[int] = field(default_factory=list)
    temporary: int = 0


def kills(folder: Path, *, count: int, size: int, times: int) -> Killed:
    """Kill a worker or the driver at random moments, go on, and read every output. A finished batch makes room."""
    contents, chance, killed = drawn(folder / "in", count, size=size), random.Random(0), Killed()
    outputs = [folder / "out0"]
    command = [sys.executable, "-m", "impasto", "batch", str(contents), "--style", STYLE, "--size", str(size)]
    command += ["--format", "jpg", "--workers", "2", "--threads", "2", "--quiet", "-o"]
    while killed.workers + killed.drivers < times:
        if len(list(outputs[-1].glob("*.jpg"))) == count:
            outputs.append(folder / f"out{len(outputs)}")
        began = len(list(outputs[-1].glob("*.jpg")))
        driver = subprocess.Popen([*command, str(outputs[-1])], stdout=subprocess.DEVNULL)
        while driver.poll() is None and len(list(outputs[-1].glob("*.jpg"))) == began:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 1))
        if driver.poll() is not None:
            continue
        if chance.random() < 0.5 and (workers := children(driver.pid)):
            os.kill(chance.choice(workers), signal.SIGKILL)
            killed.workers += 1
        else:
            driver.kill()
            killed.drivers += 1
        driver.wait()
    subprocess.run([*command, str(outputs[-1])], check=True, stdout=subprocess.DEVNULL)
    killed.outputs = [len([files.read(path) for path in each.glob("*.jpg")]) for each in outputs]
    hidden = [path for each in outputs for path in each.rglob("*") if path.name.startswith(".") and path.is_file()]
    staged = [path for each in outputs for path in (each / ".impasto").rglob("*") if "staging" in path.parts]
    killed.temporary = len(hidden) + len(staged)
    return killed


def children(pid: int) -> list[int]:
    """The worker processes of a driver: those that multiprocessing spawned, without its resource tracker."""
    found = []
    for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{text}/cmdline").read_bytes():
                found.append(int(text))
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "memory", "kills"))
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--workers", type=int, default=0, help="worker processes of `speed`; 0: one per core")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "kills":
            print(kills(Path(folder), count=given.count, size=given.size, times=given.times))
        elif given.what == "speed":
            speed(Path(folder), count=given.count, size=given.size, workers=given.workers)
        else:
            memory(Path(folder), count=given.count, size=given.size)


if __name__ == "__main__":
    main()
