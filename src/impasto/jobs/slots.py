"""The places of workers: shares of the cores, or one device each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.core.errors import OptionError
from impasto.session.device import gpu_numbers

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class WorkerSlot:
    """The place of one worker: its threads and its device, if one is given.

    `visible` is the only GPU that the worker sees, so that each has its own as `cuda`.
    """

    threads: int
    device: str | None = None
    visible: str | None = None

    def apply(self) -> None:
        """Hide other GPUs from this process; to be called before CUDA is initialised."""
        if self.visible is not None:
            os.environ[VISIBLE] = self.visible


def slots(
    workers: int, devices: Sequence[str] = (), *, cores: int, gpus: int = 0, visible: str | None = None
) -> list[WorkerSlot]:
    """The places of `workers` processes (0: one per core, or per device), whose threads are `cores` in all.

    `devices` are numbers among the `gpus` that this process sees, or `all`; `visible` is the value of
    CUDA_VISIBLE_DEVICES, if it is set. Raises `OptionError` for an unknown or repeated device, or another number of
    workers.
    """
    if not devices:
        count = workers or cores
        return [WorkerSlot(max(1, cores // count))] * count
    numbers = gpu_numbers(devices, gpus=gpus)
    if workers not in (0, len(numbers)):
        raise OptionError(f"`workers` is {workers}, and there are {len(numbers)} devices with one each. Leave it out.")
    ids = visible.split(",") if visible else [str(number) for number in range(gpus)]
    return [WorkerSlot(max(1, cores // len(numbers)), "cuda", ids[number].strip()) for number in numbers]


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
