from __future__ import annotations

import os

import pytest

from impasto.core.errors import OptionError
from impasto.jobs.slots import VISIBLE, WorkerSlot, slots


def test_workers_share_the_cores() -> None:
    assert slots(0, cores=8) == [WorkerSlot(1)] * 8
    assert slots(3, cores=8) == [WorkerSlot(2)] * 3
    assert slots(4, cores=2) == [WorkerSlot(1)] * 4


def test_each_device_has_one_worker() -> None:
    assert slots(0, ("0", "2"), cores=16, gpus=4) == [WorkerSlot(8, "cuda", "0"), WorkerSlot(8, "cuda", "2")]
    assert [slot.visible for slot in slots(0, ("all",), cores=4, gpus=3)] == ["0", "1", "2"]


def test_devices_are_numbered_as_this_process_sees_them() -> None:
    named = slots(0, ("all",), cores=4, gpus=2, visible="5, GPU-7f")
    assert [slot.visible for slot in named] == ["5", "GPU-7f"]


@pytest.mark.parametrize(
    ("workers", "devices", "gpus", "message"),
    [
        (0, ("0",), 0, "PyTorch finds no NVIDIA GPU"),
        (0, ("all",), 0, "PyTorch finds no NVIDIA GPU"),
        (0, ("2",), 2, "PyTorch finds 2"),
        (0, ("cuda:0",), 2, "Use numbers from 0"),
        (0, ("1", "1"), 2, "Name each once"),
        (3, ("0", "1"), 2, "`workers` is 3, and there are 2 devices"),
    ],
)
def test_devices_that_cannot_be(workers: int, devices: tuple[str, ...], gpus: int, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        slots(workers, devices, cores=4, gpus=gpus)


def test_a_worker_sees_its_own_device_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "0,1")
    WorkerSlot(1).apply()
    assert os.environ[VISIBLE] == "0,1"
    WorkerSlot(1, "cuda", "1").apply()
    assert os.environ[VISIBLE] == "1"
