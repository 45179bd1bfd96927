"""The device of painting."""

from __future__ import annotations

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
