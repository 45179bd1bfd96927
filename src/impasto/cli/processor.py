"""Threads and memory, set before a command computes."""

from __future__ import annotations

import torch

from impasto.config.console import ConsoleOptions
from impasto.core.memory import keep_freed_memory


def prepare(console: ConsoleOptions) -> None:
    """Keep freed memory, and take the number of threads that the options ask for."""
    keep_freed_memory()
    if console.threads is not None:
        torch.set_num_threads(console.threads)
