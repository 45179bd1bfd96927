"""Run a target's cases in a child process, and report what was found.

    python -m fuzz.campaign TARGET CASES REPORT [FIRST [DEFECT [SECONDS]]]

in `tests/` is the child. Case `n` is the same in every run, so `python -m fuzz.campaign pictures 1 report.json 4711`
repeats case 4711 by itself.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

MOST_MEGABYTES = 300
MOST_SECONDS = 20
CHILD_SECONDS = 400
MOST_FINDINGS = 20
ADDRESS_SPACE = 6 << 30  # bytes beyond what the child has at its start: a bomb fails instead of filling the machine


class TooSlow(BaseException):
    """A case ran longer than it may."""


def run(target: str, cases: int, *, planted: str = "", seconds: float = MOST_SECONDS) -> dict[str, Any]:
    """`{"refused": …, "accepted": …, "findings": […]}` of the first `cases` cases of a target."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "fuzz.campaign", target, str(cases), str(report), "0", planted, str(seconds)]
        try:
            child = subprocess.run(
                command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=CHILD_SECONDS
            )
            ended = f"the process ended with {child.returncode}: {child.stderr[-2000:]}{child.stdout}"
            well = not (child.returncode or child.stdout or child.stderr)
        except subprocess.TimeoutExpired:  # a hang outside Python, which no signal ends
            ended, well = f"the process had not ended after {CHILD_SECONDS} s", False
        done: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {"findings": []}
        if not well:
            current = report.with_suffix(".case")
            done["findings"].append(f"case {current.read_text() if current.exists() else 'none'}: {ended}")
        return done


def _campaign(target: str, cases: int, report: Path, first: int, planted: str, seconds: float) -> None:
    """The child: `report` is written at the end, `report.case` before each case."""
    from fuzz.defects import PLANTED
    from fuzz.targets import TARGETS

    done: dict[str, Any] = {"refused": 0, "accepted": 0, "findings": []}
    with tempfile.TemporaryDirectory() as name:
        prepared = TARGETS[target](Path(name))
        for action in prepared.intact:
            action()
        if planted:
            PLANTED[planted]()
        _limit_address_space()
        for number in range(first, first + cases):
            report.with_suffix(".case").write_text(str(number))
            for finding in _one(prepared.case(Random(f"{target} {number}")), done, seconds=seconds):
                done["findings"].append(f"case {number}: {finding}")
            if len(done["findings"]) >= MOST_FINDINGS:
                break
    report.write_text(json.dumps(done))


def _one(action: Any, done: dict[str, Any], *, seconds: float) -> list[str]:
    """The findings of one case."""
    from fuzz.targets import EXPECTED

    findings, before = [], _peak_megabytes()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    with _output() as printed:
        try:
            action()
            done["accepted"] += 1
        except EXPECTED as error:
            done["refused"] += 1
            if isinstance(error.__cause__, MemoryError):
                findings.append(f"memory ran out: {error}")
        except TooSlow:
            findings.append(f"slower than {seconds} s")
        except Exception:
            findings.append("".join(traceback.format_exc().splitlines(keepends=True)[-7:]))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    if _peak_megabytes() - before > MOST_MEGABYTES:
        findings.append(f"memory grew by {_peak_megabytes() - before:.0f} MB")
    if printed:
        findings.append(f"printed: {b''.join(printed).decode(errors='replace')[:500]}")
    return findings


@contextmanager
def _output() -> Iterator[list[bytes]]:
    """What is written to standard output and error meanwhile, also past Python."""
    printed: list[bytes] = []
    with tempfile.TemporaryFile() as file:
        kept = [os.dup(stream) for stream in (1, 2)]
        try:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
            yield printed
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, stream)
                os.close(copy)
        file.seek(0)
        if text := file.read():
            printed.append(text)


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _limit_address_space() -> None:
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _stop(signum: int, frame: object) -> None:
    raise TooSlow


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    signal.signal(signal.SIGALRM, _stop)
    given = [*sys.argv[1:], *("0", "", str(MOST_SECONDS))[len(sys.argv) - 4 :]]
    _campaign(given[0], int(given[1]), Path(given[2]), int(given[3]), given[4], float(given[5]))
