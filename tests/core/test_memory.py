from __future__ import annotations

import subprocess
import sys

import pytest

from impasto.core.memory import keep_freed_memory

LOOP = """
import ctypes, resource
from impasto.core.memory import keep_freed_memory
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
