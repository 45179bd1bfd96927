"""Checkpoints: everything that exact resumption needs, in one file."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.core.errors import StateError
from impasto.core.paths import written_whole

DIGEST_BYTES = 64
FREE = ("log_every", "checkpoint_every", "sample_every", "animation", "tensorboard", "device")
"""Options that may differ on resume: they change what is reported and where, not what is trained."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "module": dict, "optimizer": dict, "average": (dict, type(None)), "step": int, "skipped": int, "options": dict,
}  # fmt: skip


@dataclass
class Trained:
    """A module with its optimiser, averaged weights and step counters."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] | None
    step: int = 0
    skipped: int = 0


def save_checkpoint(state: Trained, path: Path, *, options: FitOptions) -> None:
    """Write a checkpoint atomically."""
    contents = {
        "module": state.module.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "average": state.average,
        "step": state.step,
        "skipped": state.skipped,
        "options": options.to_dict(),
    }
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    with written_whole(path) as temporary:
        temporary.write_bytes(_sealed(buffer.getvalue()))


def restore(state: Trained, path: Path, *, options: FitOptions) -> None:
    """Load a checkpoint into `state`. Raises `StateError` if it is damaged, or of other options or another network.

    `steps` may be raised, but not below the step of the checkpoint. An option that is younger than the checkpoint
    counts as having had its default.
    """
    checkpoint = _opened(path)
    before = type(options)().to_dict() | checkpoint["options"]
    if before["precision"] == "auto":  # younger than the checkpoint
        before["precision"] = options.precision
    free = (*FREE, "steps")
    differing = [name for name, value in options.to_dict().items() if before[name] != value and name not in free]
    if differing:
        raise StateError(f"{path} was trained with another {', '.join(differing)}. "
                         "Give the same options, or another output folder.")  # fmt: skip
    if options.steps < checkpoint["step"]:
        raise StateError(f"{path} has been trained for {checkpoint['step']} steps; `steps` is {options.steps}. "
                         "Use at least as many, or another output folder.")  # fmt: skip
    try:
        state.module.load_state_dict(checkpoint["module"])
        state.optimizer.load_state_dict(checkpoint["optimizer"])
        for name, value in (state.average or {}).items():
            value.copy_(checkpoint["average"][name])
    except Exception as error:  # PyTorch raises nearly anything for entries of other types
        raise StateError(f"{path} is of another network. Give another output folder. ({_first_line(error)})") from error
    state.step, state.skipped = checkpoint["step"], checkpoint["skipped"]


def averaged(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint, or the plain ones without averaging; on the CPU."""
    checkpoint = _opened(path)
    weights: dict[str, Tensor] = checkpoint["average"] or checkpoint["module"]
    return weights


def _opened(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        _verify(data)
        with warnings.catch_warnings(action="ignore"):  # remarks on old pickle protocols
            contents: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise StateError(f"{path} cannot be read; delete it to start again. ({_first_line(error)})") from error
    if not _is_checkpoint(contents):
        raise StateError(f"{path} is not a checkpoint of impasto; delete it, or give another output folder.")
    return contents


def _is_checkpoint(contents: Any) -> bool:
    """Whether the entries are those that `save_checkpoint` writes, by name and type."""
    if not isinstance(contents, dict) or not _TYPES.keys() <= contents.keys():
        return False
    counts = (contents["step"], contents["skipped"])
    typed = all(isinstance(contents[name], kind) for name, kind in _TYPES.items())
    return typed and all(type(count) is int and count >= 0 for count in counts)


def _sealed(archive: bytes) -> bytes:
    """The zip archive of `torch.save`, with its SHA-256 as the archive's comment."""
    return archive[:-2] + DIGEST_BYTES.to_bytes(2, "little") + hashlib.sha256(archive[:-2]).hexdigest().encode()


def _verify(data: bytes) -> None:
    """Raise `ValueError` where a file differs from its checksum. Files of `torch.save` have none, and are accepted."""
    archive, digest = data[: -DIGEST_BYTES - 2], data[-DIGEST_BYTES:]
    if data[-22:-18] == b"PK\5\6" and data[-2:] == b"\0\0":  # the end of an archive without a comment
        return
    if hashlib.sha256(archive).hexdigest().encode() != digest:
        raise ValueError("its checksum does not match")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
