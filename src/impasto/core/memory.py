"""Memory of this process and of the machine."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # parameters of glibc's mallopt(3)
_NEVER = -1
_GIB = 1 << 30

BASE_BYTES = 450_000_000
"""The interpreter, torch, weights and everything else that does not depend on the size of the picture."""

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Memory available to this process without swapping; None if the system does not report it.

    The minimum of the available memory of Linux and the remaining memory of the container.
    """
    try:
        rows = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
        free = [1024 * int(rows["MemAvailable"].split()[0])]
    except (OSError, KeyError, ValueError):
        return None
    try:
        limit, used = (int((_GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        free.append(max(0, limit - used))
    except (OSError, ValueError):  # no limit
        pass
    return min(free)


def keep_freed_memory() -> bool:
    """Keep freed blocks below 1 GiB in the process instead of returning them to the system; whether that succeeded.

    glibc maps a block above 32 MiB afresh for each allocation, and the kernel clears its pages when they are first
    touched. Measured with one thread on glibc 2.36: sums and products of tensors of 64 to 256 MiB took 8.5 s and 2.75
    million page faults without this, 1.4 s and none with it. Painting took 16 % less processor time at 512 px and 22 %
    less at 1024 px (998,505 faults became 17,477), and at its peak 1 to 10 % more memory, because freed blocks of one
    size do not always serve another. On other C libraries this does nothing.
    """
    mallopt = _glibc("mallopt")
    if mallopt is None:
        return False
    kept = bool(mallopt(_MMAP_THRESHOLD, _GIB)) or bool(mallopt(_MMAP_MAX, 0))  # old ones refuse so high a threshold
    return kept and bool(mallopt(_TRIM_THRESHOLD, _NEVER))


def return_freed_memory() -> bool:
    """Return what `keep_freed_memory` kept to the system; whether there was any. For the end of a phase.

    Blocks freed by one phase of a large painting seldom serve the next one, and would count twice against its limit.
    """
    trim = _glibc("malloc_trim")
    return trim is not None and bool(trim(ctypes.c_size_t(0)))


def _glibc(name: str) -> Any:
    """A function of the GNU C library, or None on other systems."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
