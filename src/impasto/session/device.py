"""The device of painting, and its threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import torch

from impasto.core.errors import OptionError


def painting_device(name: str) -> torch.device:
    """The device by the name in `PaintOptions`; "auto" is CUDA if PyTorch finds a GPU, otherwise the CPU.

    Raises `OptionError` if the device is missing.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError("`device=cuda` needs an NVIDIA GPU, and PyTorch finds none. Use `device=cpu`.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise OptionError("`device=mps` needs a Mac with Metal, and PyTorch finds none. Use `device=cpu`.")
    return torch.device(name)


def gpu_numbers(devices: Sequence[str], *, gpus: int) -> list[int]:
    """The numbers of the GPUs in `devices`, among the `gpus` that this process sees; "all" is all of them.

    Raises `OptionError` for a device that is not there, or twice.
    """
    chosen = [str(number) for number in range(gpus)] if tuple(devices) == ("all",) else list(devices)
    if not gpus or any(not text.isdecimal() or int(text) >= gpus for text in chosen):
        found = f"PyTorch finds {gpus}" if gpus else "PyTorch finds no NVIDIA GPU"
        raise OptionError(f"`devices` is {','.join(devices)}, and {found}. Use numbers from 0, or `device=cpu`.")
    numbers = [int(text) for text in chosen]
    if len(set(numbers)) < len(numbers):
        raise OptionError(f"`devices` is {','.join(devices)}; each device takes one worker. Name each once.")
    return numbers


def on_gpu(number: int | None) -> AbstractContextManager[object]:
    """In this context, and in this thread, `cuda` is the GPU of that number; None changes nothing."""
    return contextlib.nullcontext() if number is None else torch.cuda.device(number)


@contextlib.contextmanager
def with_threads(count: int | None) -> Iterator[None]:
    """Torch computing with `count` threads in this thread; None changes nothing.

    Threads that are started in the block compute with `count` threads too, the others are unaffected.
    """
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
