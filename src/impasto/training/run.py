"""One training: from a task with its batches to a folder with checkpoints and a weight file."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor

from impasto.config.training import FitOptions
from impasto.core.errors import StateError
from impasto.core.options import Options
from impasto.core.paths import written_whole
from impasto.training.checkpoints import averaged
from impasto.training.data import PreparedBatches
from impasto.training.fit import CHECKPOINT, Progress, Task, fit
from impasto.training.image_dataset import ImageDataset
from impasto.training.processes import device_for, is_first
from impasto.weights.card import Card, save

NETWORK = "network.safetensors"
THREADS, DEPTH = 2, 3  # reading pictures, and batches that they prepare in advance
CONFIG = "training.json"
OUTPUTS = ("checkpoint.pt", "network.safetensors", "encoder.safetensors", "log.jsonl", "losses.png", "samples")
LENGTHS = ("epochs", "steps")
"""Options of the length of a run, which may be raised on resume."""
NAMES_OR_PATHS = ("encoder", "network", "start_from", "teacher")
"""Options that name weights or a file of them."""


T = TypeVar("T", bound=Task[Any])
F = TypeVar("F", bound=FitOptions)
Export = Callable[[dict[str, Tensor]], tuple[Mapping[str, Tensor], Card]]
"""From averaged weights to the tensors and the card of a weight file."""


@dataclass(frozen=True, kw_only=True)
class Run(Generic[T]):
    """A training that is ready to start: what `fit` needs, its description, and how its weights are stored.

    `metadata` identifies the training in its folder, and goes into the card. `frozen` modules are moved to the device
    of the training while it runs. `datasets` report unreadable pictures.
    """

    task: T
    batches: Callable[[int], Any]
    fitting: FitOptions
    metadata: dict[str, Any]
    export: Export
    frozen: tuple[Any, ...]
    datasets: tuple[ImageDataset, ...]
    file: str = NETWORK

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The pictures that could not be read so far, with the reasons."""
        return sum((dataset.skipped for dataset in self.datasets), ())

    def train(self, folder: Path) -> Iterator[Progress]:
        """Train, and write the weight file into `folder` after the last step.

        Called again after a stop, it resumes exactly; `StateError` if `folder` is of another training.
        """
        lock_run_config(folder, self.metadata)
        yield from self.steps(folder)
        self.write(folder)

    def steps(self, folder: Path) -> Iterator[Progress]:
        """The training steps; batches are prepared in other threads."""
        pool, device = ThreadPoolExecutor(THREADS), device_for(self.fitting.device)
        for module in self.frozen:
            module.to(device)
        running = fit(self.task, PreparedBatches(self.batches, pool, depth=DEPTH), options=self.fitting, folder=folder)
        try:
            with contextlib.closing(running):  # type: ignore[type-var]
                for progress in running:
                    yield dataclasses.replace(progress, unreadable=self.unreadable)
        finally:
            pool.shutdown(cancel_futures=True)
            for module in self.frozen:
                module.to("cpu")

    def write(self, folder: Path, *, checkpoint: Path | None = None) -> None:
        """Write the weight file from the checkpoint in `folder`, or from another one; in the first process only."""
        if is_first():
            tensors, card = self.export(averaged(checkpoint or folder / CHECKPOINT))
            save(folder / self.file, tensors, card=card)


def with_epochs(fitting: F, epochs: float | None, *, pictures: int) -> F:
    """`fitting` with the steps of `epochs` passes over the pictures; unchanged without `epochs`."""
    if epochs is None:
        return fitting
    return dataclasses.replace(fitting, steps=max(1, math.ceil(epochs * pictures / fitting.batch_size)))


def training_metadata(options: Options, *, counts: Mapping[str, Any], **named: Any) -> dict[str, Any]:
    """The account of a training in its card: options with names for paths, which have no meaning elsewhere.

    `counts` are numbers and digests of the inputs; `named` replaces options. It follows from the options and the
    names of the files alone: which of them are readable turns out during training.
    """
    plain = {name: _without_folder(name, value) for name, value in vars(options).items() if name != "memory_gb"}
    return {"options": plain | named, **counts}


def _without_folder(name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return [_without_folder(name, item) for item in value]
    if isinstance(value, Path):
        return value.resolve().name
    return Path(value).name if name in NAMES_OR_PATHS and isinstance(value, str) else value


def lock_run_config(folder: Path, metadata: dict[str, Any]) -> None:
    """Record the training in `folder`, created if missing. `metadata` is plain JSON with a table `options`.

    Raises `StateError` if the checkpoint there is of another training, or if the folder has files with the names of
    a training's outputs that no training has left.
    """
    path, metadata = folder / CONFIG, json.loads(json.dumps(metadata))
    if not path.is_file():
        foreign = [name for name in OUTPUTS if (folder / name).exists()]
        if foreign:
            raise StateError(f"{folder} has {', '.join(foreign)}, but no {CONFIG} of a training that it would belong "
                             "to. Move it, or give another output folder.")  # fmt: skip
    else:
        before = _known(path)
        if (folder / "checkpoint.pt").is_file():
            _compare(before, metadata, folder=folder)
            return
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")


def _compare(before: dict[str, Any], now: dict[str, Any], *, folder: Path) -> None:
    old, new = ({**metadata["options"], **metadata} for metadata in (before, now))
    shared = [name for name in new if name in old and name not in ("options", *LENGTHS)]
    differing = [name for name in shared if old[name] != new[name]]
    if differing:
        raise StateError(f"{folder} was trained with another {', '.join(differing)}. "
                         "Give the same, or another output folder.")  # fmt: skip


def _known(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be read ({error}); give another output folder.") from error
    if not isinstance(known, dict) or not isinstance(known.get("options"), dict):
        raise StateError(f"{path} does not record a training; give another output folder.")
    return known
