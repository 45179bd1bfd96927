from __future__ import annotations

import subprocess
import sys

import pytest

from impasto.core.memory import keep_freed_memory, return_freed_memory

LOOP = """
import ctypes, resource
from impasto.core.memory import keep_freed_memory, return_freed_memory
kept = {keep}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for _ in range(4):
        block = bytearray(48 << 20)
        del block
work()
before = faults()
work()
print(int(kept), faults() - before)
"""


def counted(*, keep: bool) -> tuple[int, int]:
    code = LOOP.format(keep="keep_freed_memory()" if keep else "True")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    return int(kept), int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of glibc")
def test_freed_blocks_are_used_again() -> None:
    kept, faults = counted(keep=True)
    if not kept:
        pytest.skip("another C library")
    _, otherwise = counted(keep=False)
    assert faults < 0.1 * otherwise


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert keep_freed_memory() is False
    assert return_freed_memory() is False


HELD = """
import gc
from pathlib import Path
from impasto.core.memory import keep_freed_memory, return_freed_memory
kept = keep_freed_memory()
def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before = rss()
blocks = [bytearray(b"x" * (8 << 20)) for _ in range(16)]
last = bytearray(b"x" * (1 << 20))  # at the end of the heap, so that only a trim gives up what is before
del blocks
freed = rss()
returned = return_freed_memory()
print(int(kept), int(returned), freed - before, rss() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of glibc")
def test_freed_blocks_are_returned_at_the_end_of_a_phase() -> None:
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    kept, returned, freed, after = (int(number) for number in done.stdout.split())
    if not kept:
        pytest.skip("another C library")
    assert freed > 100 << 20
    assert returned
    assert after < 40 << 20
