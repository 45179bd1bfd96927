"""The training loop, for one process or several.

Several processes (`torchrun --nproc_per_node 2 -m impasto train …`) train as one does: each takes an equal part of the
batch, gradients and reported losses are means over the processes, and the first one writes the files. Two differences
remain: every process draws its own noise in a loss, and batch norms normalise by the statistics of their part, with the
running statistics of the first process kept. The same holds for the parts of gradient accumulation, whose running
statistics move once for each part. Lightning Fabric does the exchange (see `processes`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.core.errors import NotFinite
from impasto.encoders.precision import has_bfloat16
from impasto.training import processes, sampling
from impasto.training.boards import Log, TensorBoard
from impasto.training.checkpoints import Trained, restore, save_checkpoint
from impasto.training.determinism import deterministic, seeded
from impasto.training.microbatch import part_of
from impasto.training.processes import Loss, Processes
from impasto.training.sampling import Sampled

B = TypeVar("B", contravariant=True)
Boards = list[Log | TensorBoard]
PATIENCE = 20  # consecutive steps that may be skipped for not being finite
LARGEST_NORM = 1e15  # of gradients, whose squares Adam keeps in float32
CHECKPOINT = "checkpoint.pt"
RANKS_APART = 0x9E3779B1  # far apart in the 32 bits of a seed that PyTorch's generator on the CPU keeps


class Task(Protocol[B]):
    """A module and its loss on a batch. A task that is also `Sampled` has sample pictures."""

    def build(self) -> nn.Module:
        """The module to train; its random initialisation follows from the seed."""

    def loss(self, module: nn.Module, batch: B) -> dict[str, Tensor]:
        """Named scalar losses, already weighted, means over the batch; their sum is minimised."""


@dataclass(frozen=True)
class Progress:
    """The state of a training after `step` of `steps`.

    `skipped` counts steps skipped because they were not finite. `sample` is the picture that this step has written.
    `unreadable` lists the training pictures that could not be read so far, with the reasons.
    """

    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    skipped: int
    device: str = "cpu"
    sample: Path | None = None
    unreadable: tuple[str, ...] = ()


F = TypeVar("F", bound=FitOptions)


def resolved(options: F) -> F:
    """`options` with the precision that `auto` means here: bfloat16 where the device computes it natively."""
    if options.precision != "auto":
        return options
    native = has_bfloat16(processes.device_for(options.device).type)
    return dataclasses.replace(options, precision="bfloat16" if native else "float32")


def learning_rate(step: int, options: FitOptions) -> float:
    """Linear warm-up, then the schedule.

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


def begin(task: Task[Any], options: FitOptions, *, device: torch.device | str = "cpu") -> Trained:
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


def fit(task: Task[B], batches: Callable[[int], B], *, options: FitOptions, folder: Path) -> Iterator[Progress]:
    """Train, yielding after every step; `folder` receives `checkpoint.pt` and `log.jsonl`, and on demand
    `samples/step-000500.png`, `samples.gif` and `tensorboard/`.

    Training resumes exactly from a checkpoint in `folder`: it holds module, optimiser, averaged weights and step; the
    random numbers of a step follow from seed, step and rank; and `batches(step)`, the batch of all processes together,
    must depend on the step only. (Exactly on the same device and with as many processes; for CUDA see `deterministic`.)
    A generator that is closed early writes a checkpoint of the last step.

    Raises `NotFinite` after 20 consecutive steps whose loss or gradient is not finite (each such step is skipped) and
    when every step of the run was skipped, `StateError` if the checkpoint is of other options, `OptionError` (device,
    an indivisible batch, samples of a task that has none) and `MissingExtra`.
    """
    sampling.check(task, options)
    options, team = resolved(options), processes.gathered(options.device)
    state = begin(task, options, device=team.device)
    if (folder / CHECKPOINT).exists():
        restore(state, folder / CHECKPOINT, options=options)
    team.check_same(state.step)
    loss = team.joined(Loss(task, state.module))
    with _outputs(task, state, options=options, folder=folder, first=team.first) as written:
        consecutive = 0
        while state.step < options.steps:
            taken = _step(loss, batches(state.step), state=state, options=options, team=team)
            consecutive = 0 if taken.finite else consecutive + 1
            state.skipped += not taken.finite
            if consecutive >= PATIENCE:
                raise NotFinite(f"the loss was not finite in {PATIENCE} consecutive steps, at step {state.step}. "
                                "Use a smaller `learning_rate`; the last checkpoint is kept.")  # fmt: skip
            state.step += 1
            sample = written(taken)
            yield Progress(state.step, options.steps, taken.losses, taken.rate, state.skipped, team.about, sample)
    if state.skipped >= state.step:
        raise NotFinite(f"the loss was not finite in any of {state.step} steps: nothing was learned. "
                        "Use a smaller `learning_rate` or smaller weights, and another output folder.")  # fmt: skip
    team.wait()  # until the first process has written the last checkpoint


@dataclass(frozen=True)
class _Taken:
    """One step: losses as means over processes and parts, and the gradient norm before clipping."""

    losses: dict[str, float]
    rate: float
    norm: float
    finite: bool


def _step(loss: nn.Module, batch: Any, *, state: Trained, options: FitOptions, team: Processes) -> _Taken:
    rate = learning_rate(state.step, options)
    buffers = [(buffer, buffer.clone()) for buffer in state.module.buffers()]
    state.module.train()
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    noise = options.seed * 1_000_003 + state.step + team.rank * RANKS_APART  # weights and batches are the same in all
    with seeded(noise, team.device), deterministic(team.device):
        parts = _gradients(loss, batch, options=options, team=team)
        norm = _clipped(state.module, options.clip_norm or LARGEST_NORM)
    values = torch.stack(list(parts.values()))
    finite = torch.isfinite(norm) & torch.isfinite(values.sum())
    *means, all_finite = team.mean(torch.cat([values, finite[None].float()])).tolist()
    if all_finite == 1:  # the same in all processes, so that their weights stay the same
        with deterministic(team.device):
            state.optimizer.step()
        _average(state, options.average_decay)
    else:
        for buffer, before in buffers:  # running statistics of batch norms contain the values that were not finite
            buffer.copy_(before)
    return _Taken(dict(zip(parts, means, strict=True)), rate, float(norm), all_finite == 1)


def _gradients(loss: nn.Module, batch: Any, *, options: FitOptions, team: Processes) -> dict[str, Tensor]:
    """Accumulate the gradients of this process's part of a batch; the losses in float32, means over the parts."""
    turns = options.accumulate
    means: dict[str, Tensor] = {}
    for turn in range(turns):
        part = part_of(batch, team.rank * turns + turn, count=team.count * turns)
        with team.exchanging(loss, now=turn == turns - 1):
            with torch.autocast(team.device.type, torch.bfloat16, enabled=options.precision == "bfloat16"):
                losses: dict[str, Tensor] = loss(part)
            scaled = {name: value.float() / turns for name, value in losses.items()}
            team.backward(torch.stack(list(scaled.values())).sum())
        for name, value in scaled.items():
            means[name] = means[name] + value.detach() if name in means else value.detach()
    return means


@torch.no_grad()
def _clipped(module: nn.Module, limit: float) -> Tensor:
    """Scale the gradients to a norm of `limit` at most; their norm before.

    Relative to the largest element: with style weights like 1e21, in use with losses of other scales, the squares
    overflow float32. Gradients that are not finite stay as they are.
    """
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    largest = torch.stack([gradient.abs().max() for gradient in gradients]).max()
    divisor = largest.clamp(min=torch.finfo(largest.dtype).tiny)
    norms = torch.stack([torch.linalg.vector_norm(gradient / divisor) for gradient in gradients])
    norm: Tensor = torch.linalg.vector_norm(norms) * largest
    if bool(torch.isfinite(norm)) and norm > limit:
        for gradient in gradients:
            gradient.mul_(limit / norm)
    return norm


@torch.no_grad()
def _average(state: Trained, decay: float) -> None:
    if state.average is None:
        return
    now = min(decay, (1 + state.step) / (10 + state.step))  # less inertia in the first steps
    for name, value in state.module.state_dict().items():
        average = state.average[name]
        if average.is_floating_point():
            average.lerp_(value, 1 - now)
        else:
            average.copy_(value)


def _due(state: Trained, options: FitOptions) -> bool:
    """Whether a checkpoint is written after this step."""
    return state.step % options.checkpoint_every == 0 or state.step == options.steps


@contextlib.contextmanager
def _outputs(
    task: Task[Any], state: Trained, *, options: FitOptions, folder: Path, first: bool
) -> Iterator[Callable[[_Taken], Path | None]]:
    """Writes the files that are due after a step, in the first process only; on closing early, a checkpoint."""
    if not first:
        yield lambda taken: None
        return
    with contextlib.ExitStack() as stack:
        reported: Boards = [Log(folder / "log.jsonl", step=state.step)]
        if options.tensorboard:
            reported.append(stack.enter_context(closing(TensorBoard(folder / "tensorboard", step=state.step))))
        try:
            yield lambda taken: _written(task, state, reported=reported, options=options, folder=folder, taken=taken)
        except GeneratorExit:
            if not _due(state, options):
                save_checkpoint(state, folder / CHECKPOINT, options=options)
            raise


def _written(
    task: Task[Any], state: Trained, *, reported: Boards, options: FitOptions, folder: Path, taken: _Taken
) -> Path | None:
    """Write the outputs that are due after a step; the path of the sample, if one was written."""
    last, sample = state.step == options.steps, None
    if options.sample_every and isinstance(task, Sampled) and (state.step % options.sample_every == 0 or last):
        sample = sampling.write_samples(task, state, folder=folder / "samples", seed=options.seed)
        if options.animation:
            sampling.animate(folder / "samples", folder / "samples.gif", step=state.step)
    for board in reported:
        if state.step % options.log_every == 0 or last:
            board.write(state.step, taken.losses, rate=taken.rate, norm=taken.norm, skipped=state.skipped)
        if sample is not None and isinstance(board, TensorBoard):
            board.show(state.step, sample)
    if _due(state, options):
        save_checkpoint(state, folder / CHECKPOINT, options=options)
    return sample
