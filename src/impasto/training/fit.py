"""The one training loop, for one process or many.

Several processes (`torchrun --nproc_per_node 2 -m impasto train …`) train as one does: of the batch of a step each
takes an equal part, gradients and told losses are means over the processes, and the first one writes the files. What
differs from one process: noise that a loss draws is another in each process; batch norms normalise by the statistics
of their own part, and the running ones that are kept are those of the first process. The same holds for the parts of
`accumulate`, whose running statistics move once for each part. Lightning Fabric does the exchange (`processes` says
why).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.core.errors import NotFinite
from impasto.training import boards, processes, sampling
from impasto.training.checkpoints import Trained, averaged, restore, save
from impasto.training.determinism import deterministic, seeded
from impasto.training.microbatch import part_of
from impasto.training.processes import Loss, Processes
from impasto.training.sampling import Sampled

__all__ = [
    "PATIENCE",
    "Progress",
    "Sampled",
    "Task",
    "Trained",
    "averaged",
    "begin",
    "fit",
    "learning_rate",
    "restore",
    "save",
]

B = TypeVar("B", contravariant=True)
PATIENCE = 20  # steps in a row that may be skipped for not being finite
RANKS_APART = 0x9E3779B1  # far apart in the 32 bits of a seed that PyTorch's generator on the CPU keeps


class Task(Protocol[B]):
    """What is trained: a module, and its loss on a batch. A task that is `Sampled`, too, shows what it has learned."""

    def build(self) -> nn.Module:
        """The module to train; what is drawn at random there is the same for the same seed."""
        ...

    def loss(self, module: nn.Module, batch: B) -> dict[str, Tensor]:
        """Named scalar losses, already weighted, means over the batch; their sum is minimised."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where training stands after `step` of `steps`.

    `skipped` counts steps dropped because they were not finite. `sample` is the picture that this step has written.
    `unreadable` says which training pictures could not be read so far, and why.
    """

    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    skipped: int
    device: str = "cpu"
    sample: Path | None = None
    unreadable: tuple[str, ...] = ()


def learning_rate(step: int, options: FitOptions) -> float:
    """Linear warm-up, then what the schedule says.

    Constant; half a cosine down to zero (Loshchilov & Hutter 2017); or divided by 1 + decay × step, as in the code of
    AdaIN (Huang & Belongie 2017).
    """
    top = options.learning_rate * min(1.0, (step + 1) / max(1, options.warmup_steps))
    if options.schedule == "constant":
        return top
    if options.schedule == "inverse":
        return top / (1 + options.decay * step)
    done = max(0, step - options.warmup_steps) / max(1, options.steps - options.warmup_steps)
    return top * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def begin(task: Task[Any], options: FitOptions, device: torch.device | str = "cpu") -> Trained:
    """The untrained module with its optimiser."""
    with seeded(options.seed, torch.device(device)):
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


def fit(task: Task[B], batches: Callable[[int], B], options: FitOptions, *, folder: Path) -> Iterator[Progress]:
    """Train, yielding after every step; `folder` receives `checkpoint.pt` and `log.jsonl`, and where they are asked
    for `samples/step-000500.png` and `tensorboard/`.

    A checkpoint in `folder` is resumed from, exactly: module, optimiser, averaged weights and step are kept there, the
    random numbers of a step follow from seed, step and rank, and `batches(step)`, which gives the batch of all
    processes together, must depend on nothing but the step. (Exactly on the same device and with as many processes;
    for CUDA see `deterministic`.) Raises `NotFinite` after 20 steps in a row whose loss or gradient is not finite (each
    such step is skipped), `StateError` if the checkpoint is of other options, `OptionError` (device, a batch that does
    not divide, samples of a task that has none) and `MissingExtra`.
    """
    sampling.check(task, options.sample_every)
    team = processes.gathered(options.device)
    state = begin(task, options, team.device)
    if (folder / "checkpoint.pt").exists():
        restore(state, folder / "checkpoint.pt", options)
    team.check_same(state.step)
    loss, where = team.joined(Loss(task, state.module)), team.about
    with contextlib.ExitStack() as stack:
        told = boards.opened(folder, step=state.step, tensorboard=options.tensorboard) if team.first else []
        for board in told:
            stack.callback(board.close)
        bad_in_a_row = 0
        while state.step < options.steps:
            taken = _step(loss, batches(state.step), state, options=options, team=team)
            bad_in_a_row = 0 if taken.finite else bad_in_a_row + 1
            state.skipped += not taken.finite
            if bad_in_a_row >= PATIENCE:
                raise NotFinite(f"the loss was not finite {PATIENCE} steps in a row, at step {state.step}. "
                                "Use a smaller --learning-rate; the last checkpoint is kept.")  # fmt: skip
            state.step += 1
            sample = _written(task, state, told, options=options, folder=folder, taken=taken) if team.first else None
            yield Progress(state.step, options.steps, taken.losses, taken.rate, state.skipped, where, sample)
    team.wait()  # until the first has written the last checkpoint


@dataclass(frozen=True)
class _Taken:
    """A step that was tried: losses as means over processes and parts, and the norm of the gradient before clipping."""

    losses: dict[str, float]
    rate: float
    norm: float
    finite: bool


def _step(loss: nn.Module, batch: Any, state: Trained, *, options: FitOptions, team: Processes) -> _Taken:
    rate = learning_rate(state.step, options)
    buffers = [(buffer, buffer.clone()) for buffer in state.module.buffers()]
    state.module.train()
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    noise = options.seed * 1_000_003 + state.step + team.rank * RANKS_APART  # weights and batches are the same in all
    with seeded(noise, team.device), deterministic(team.device):
        parts = _gradients(loss, batch, options=options, team=team)
        norm = torch.nn.utils.clip_grad_norm_(state.module.parameters(), options.clip_norm or math.inf)
    values = torch.stack(list(parts.values()))
    finite = torch.isfinite(norm) & torch.isfinite(values.sum())
    *means, all_finite = team.mean(torch.cat([values, finite[None].float()])).tolist()
    if all_finite == 1:  # the same in all processes, so that their weights stay the same
        with deterministic(team.device):
            state.optimizer.step()
        _average(state, options.average_decay)
    else:
        for buffer, before in buffers:  # the statistics of batch norms hold what was not finite
            buffer.copy_(before)
    return _Taken(dict(zip(parts, means, strict=True)), rate, float(norm), all_finite == 1)


def _gradients(loss: nn.Module, batch: Any, *, options: FitOptions, team: Processes) -> dict[str, Tensor]:
    """Add the gradients of this process's part of a batch, in turns; the losses in float32, as means over the turns."""
    turns = options.accumulate
    means: dict[str, Tensor] = {}
    for turn in range(turns):
        part = part_of(batch, team.rank * turns + turn, count=team.count * turns)
        with team.exchanging(loss, now=turn == turns - 1):
            with torch.autocast(team.device.type, torch.bfloat16, enabled=options.precision == "bfloat16"):
                found: dict[str, Tensor] = loss(part)
            scaled = {name: value.float() / turns for name, value in found.items()}
            team.backward(torch.stack(list(scaled.values())).sum())
        for name, value in scaled.items():
            means[name] = means[name] + value.detach() if name in means else value.detach()
    return means


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


def _written(
    task: Task[Any], state: Trained, told: list[boards.Board], *, options: FitOptions, folder: Path, taken: _Taken
) -> Path | None:
    """Write what is due after a step; the sample, if one was."""
    last, sample = state.step == options.steps, None
    if options.sample_every and isinstance(task, Sampled) and (state.step % options.sample_every == 0 or last):
        sample = sampling.written(task, state, folder / "samples", seed=options.seed)
    if state.step % options.log_every == 0 or last:
        for board in told:
            board.write(state.step, taken.losses, rate=taken.rate, norm=taken.norm, skipped=state.skipped)
    if state.step % options.checkpoint_every == 0 or last:
        save(state, folder / "checkpoint.pt", options)
    return sample
