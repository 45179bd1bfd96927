"""Which worker computes where: shares of the cores, or one device each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.core.errors import OptionError

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Slot:
    """The place of one worker: its threads and, where given, its device.

    `visible` is the one GPU that CUDA shows the worker, so that each finds its own under the name `cuda`.
    """

    threads: int
    device: str | None = None
    visible: str | None = None

    def apply(self) -> None:
        """Show this process its GPU only. Before anything asks CUDA for a device."""
        if self.visible is not None:
            os.environ[VISIBLE] = self.visible


def slots(
    workers: int, devices: Sequence[str] = (), *, cores: int, gpus: int = 0, visible: str | None = None
) -> list[Slot]:
    """The places of `workers` processes (0: one per core, or per device), whose threads are `cores` in all.

    `devices` are numbers among the `gpus` that this process sees, or `all`; `visible` is CUDA's own list of these, if
    the environment has one. Raises `OptionError` for a device that is not there, or twice, or another number of
    workers.
    """
    if not devices:
        count = workers or cores
        return [Slot(max(1, cores // count))] * count
    chosen = [str(number) for number in range(gpus)] if tuple(devices) == ("all",) else list(devices)
    if not gpus or any(not text.isdecimal() or int(text) >= gpus for text in chosen):
        seen = f"PyTorch finds {gpus}" if gpus else "PyTorch finds no NVIDIA GPU"
        raise OptionError(f"`devices` is {','.join(devices)}, and {seen}. Use numbers from 0, or `device=cpu`.")
    numbers = [int(text) for text in chosen]
    if len(set(numbers)) < len(numbers):
        raise OptionError(f"`devices` is {','.join(devices)}; each device takes one worker. Name each once.")
    if workers not in (0, len(numbers)):
        raise OptionError(f"`workers` is {workers}, and there are {len(numbers)} devices with one each. Leave it out.")
    ids = visible.split(",") if visible else [str(number) for number in range(gpus)]
    return [Slot(max(1, cores // len(numbers)), "cuda", ids[number].strip()) for number in numbers]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
