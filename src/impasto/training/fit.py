"""The one training loop."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.core.errors import NotFinite, StateError
from impasto.core.paths import written_whole

B = TypeVar("B", contravariant=True)
PATIENCE = 20  # steps in a row that may be skipped for not being finite


class Task(Protocol[B]):
    """What is trained: a module, and its loss on a batch."""

    def build(self) -> nn.Module:
        """The module to train; what is drawn at random there is the same for the same seed."""
        ...

    def loss(self, module: nn.Module, batch: B) -> dict[str, Tensor]:
        """Named scalar losses, already weighted; their sum is minimised."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where training stands after `step` of `steps`. `skipped` counts steps dropped because they were not finite."""

    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    skipped: int


@dataclass
class Trained:
    """A module with all that is needed to go on exactly."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] | None
    step: int = 0
    skipped: int = 0


def learning_rate(step: int, options: FitOptions) -> float:
    """Linear warm-up, then constant or half a cosine down to zero (Loshchilov & Hutter 2017)."""
    top = options.learning_rate * min(1.0, (step + 1) / max(1, options.warmup_steps))
    if options.schedule == "constant":
        return top
    done = max(0, step - options.warmup_steps) / max(1, options.steps - options.warmup_steps)
    return top * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def begin(task: Task[Any], options: FitOptions, device: torch.device | str = "cpu") -> Trained:
    """The untrained module with its optimiser."""
    with _seeded(options.seed, device):
        module = task.build().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    decayed = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer: torch.optim.Optimizer
    if options.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, lr=options.learning_rate, momentum=0.9)
    else:
        kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(groups, lr=options.learning_rate)
    average = {k: v.detach().clone() for k, v in module.state_dict().items()} if options.average_decay else None
    return Trained(module, optimizer, average)


def fit(
    task: Task[B], batches: Callable[[int], B], options: FitOptions, *, folder: Path, device: str = "cpu"
) -> Iterator[Progress]:
    """Train, yielding after every step; `folder` receives `checkpoint.pt` and `log.jsonl`.

    A checkpoint in `folder` is resumed from, exactly: module, optimiser, averaged weights and step are kept there, the
    random numbers of a step follow from seed and step, and `batches(step)` must depend on nothing but the step. Raises
    `NotFinite` after 20 steps in a row whose loss or gradient is not finite (each such step is skipped), `StateError`
    if the checkpoint is of other options.
    """
    state = begin(task, options, device)
    if (folder / "checkpoint.pt").exists():
        restore(state, folder / "checkpoint.pt", options)
    _cut_log(folder / "log.jsonl", state.step)
    bad_in_a_row = 0
    while state.step < options.steps:
        rate = learning_rate(state.step, options)
        losses, finite = _step(task, batches(state.step), state, options=options, rate=rate)
        bad_in_a_row = 0 if finite else bad_in_a_row + 1
        state.skipped += not finite
        if bad_in_a_row >= PATIENCE:
            raise NotFinite(f"the loss was not finite {PATIENCE} steps in a row, at step {state.step}. "
                            "Use a smaller --learning-rate; the last checkpoint is kept.")  # fmt: skip
        state.step += 1
        progress = Progress(state.step, options.steps, losses, rate, state.skipped)
        if state.step % options.log_every == 0 or state.step == options.steps:
            _log(folder / "log.jsonl", progress)
        if state.step % options.checkpoint_every == 0 or state.step == options.steps:
            save(state, folder / "checkpoint.pt", options)
        yield progress


def _step(
    task: Task[B], batch: B, state: Trained, *, options: FitOptions, rate: float
) -> tuple[dict[str, float], bool]:
    device = next(state.module.parameters()).device
    buffers = [(buffer, buffer.clone()) for buffer in state.module.buffers()]
    state.module.train()
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    half = torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bfloat16")
    with _seeded(options.seed * 1_000_003 + state.step, device), half:
        parts = task.loss(state.module, batch)
    total = torch.stack([part.float() for part in parts.values()]).sum()
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(state.module.parameters(), options.clip_norm or math.inf)
    finite = bool(torch.isfinite(norm)) and bool(torch.isfinite(total))
    if finite:
        state.optimizer.step()
        _average(state, options.average_decay)
    else:
        for buffer, before in buffers:  # the statistics of batch norms hold what was not finite
            buffer.copy_(before)
    return {name: float(part.detach()) for name, part in parts.items()}, finite


@contextlib.contextmanager
def _seeded(seed: int, device: torch.device | str) -> Iterator[None]:
    """Random numbers that follow from `seed`, and those of the caller left as they were."""
    place = torch.device(device)
    with torch.random.fork_rng([place] if place.type == "cuda" else []):
        torch.manual_seed(seed % 2**63)
        yield


@torch.no_grad()
def _average(state: Trained, decay: float) -> None:
    if state.average is None:
        return
    now = min(decay, (1 + state.step) / (10 + state.step))  # the first steps do not linger
    for name, value in state.module.state_dict().items():
        held = state.average[name]
        if held.is_floating_point():
            held.lerp_(value, 1 - now)
        else:
            held.copy_(value)


def save(state: Trained, path: Path, options: FitOptions) -> None:
    """Write all that `restore` needs, whole or not at all."""
    kept = {
        "module": state.module.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "average": state.average,
        "step": state.step,
        "skipped": state.skipped,
        "options": options.to_dict(),
    }
    with written_whole(path) as temporary:
        torch.save(kept, temporary)


def restore(state: Trained, path: Path, options: FitOptions) -> None:
    """Put a checkpoint into `state`. Raises `StateError` when it is damaged, or of other options or another module."""
    kept = _opened(path)
    free = ("log_every", "checkpoint_every")
    differing = [k for k, v in options.to_dict().items() if kept["options"].get(k, v) != v and k not in free]
    if differing:
        raise StateError(f"{path} was trained with another {', '.join(differing)}. "
                         "Give the same options, or another output folder.")  # fmt: skip
    try:
        state.module.load_state_dict(kept["module"])
        state.optimizer.load_state_dict(kept["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise StateError(f"{path} is of another network. Give another output folder. ({_first_line(error)})") from error
    if state.average is not None:
        for name, value in state.average.items():
            value.copy_(kept["average"][name])
    state.step, state.skipped = kept["step"], kept["skipped"]


def _opened(path: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise StateError(f"{path} cannot be read; delete it to begin again. ({_first_line(error)})") from error
    needed = {"module", "optimizer", "average", "step", "skipped", "options"}
    if not isinstance(kept, dict) or not needed <= kept.keys():
        raise StateError(f"{path} is no checkpoint of this program; delete it, or give another output folder.")
    return kept


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def averaged(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint, or its plain ones where none were kept."""
    kept = _opened(path)
    found: dict[str, Tensor] = kept["average"] or kept["module"]
    return found


def _log(path: Path, progress: Progress) -> None:
    row = {"step": progress.step, "learning_rate": progress.learning_rate, "skipped": progress.skipped}
    path.parent.mkdir(parents=True, exist_ok=True)
    losses = {k: round(v, 6) if math.isfinite(v) else None for k, v in progress.losses.items()}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row | losses) + "\n")


def _cut_log(path: Path, step: int) -> None:
    """Drop the lines after `step`: they will be written again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    with written_whole(path) as temporary:
        temporary.write_text("".join(line for line in lines if _step_of(line) <= step), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # half a line, of a run that was killed
