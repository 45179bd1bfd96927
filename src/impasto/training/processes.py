"""The processes that train together: one by plain PyTorch, several by Lightning Fabric (extra "train").

`torchrun --nproc_per_node 2 -m impasto train …` starts several; each finds its rank in the environment.

Fabric rather than Accelerate: it wraps only the module and leaves optimiser, precision and checkpoints to `fit`, which
resumes them exactly; Accelerate keeps global state and wraps all of them. Both add 9 packages (15 MB and 27 MB, in
versions 2.6 and 1.15) and take 1.1 s to import, which happens with several processes only.
"""

from __future__ import annotations

import contextlib
import logging
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.errors import OptionError, StateError
from impasto.core.extras import optional
from impasto.session.device import painting_device


class Loss(nn.Module):
    """A task's loss as a separate module, which is wrapped for gradient synchronisation.

    The task keeps the unwrapped module, and may call it twice or partially.
    """

    def __init__(self, task: Any, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._loss = task.loss  # the method only, since a task that is a module would be registered as a submodule

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """Named scalar losses on a batch."""
        losses: dict[str, Tensor] = self._loss(self.module, batch)
        return losses


@dataclass(frozen=True)
class Processes:
    """This process among `count`, and its device."""

    device: torch.device
    rank: int = 0
    count: int = 1
    fabric: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @property
    def about(self) -> str:
        """`cpu`, `cuda:0 (NVIDIA H200)`, `cpu, 2 processes`."""
        where = str(self.device)
        if self.device.type == "cuda":
            where += f" ({torch.cuda.get_device_name(self.device)})"
        return where if self.count == 1 else f"{where}, {self.count} processes"

    def joined(self, loss: Loss) -> nn.Module:
        """`loss` with gradients averaged over the processes in the backward pass.

        PyTorch's DistributedDataParallel: parameters and buffers are broadcast from the first process, buffers
        again at the beginning of each step.
        """
        if self.fabric is None:
            return loss
        # find_unused_parameters warns if there are none, so one parameter is never used
        loss.register_parameter("idle", nn.Parameter(torch.zeros((), device=self.device)))
        wrapped: nn.Module = self.fabric.setup_module(loss, move_to_device=False)
        return wrapped

    def exchanging(self, loss: nn.Module, *, now: bool) -> AbstractContextManager[Any]:
        """Inside, the module from `joined` synchronises gradients in the backward pass, or keeps them local."""
        if self.fabric is None:
            return contextlib.nullcontext()
        held: AbstractContextManager[Any] = self.fabric.no_backward_sync(loss, enabled=not now)
        return held

    def backward(self, total: Tensor) -> None:
        """Accumulate the gradients of a scalar."""
        if self.fabric is None:
            total.backward()
        else:
            self.fabric.backward(total)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes, bit-identical in all of them."""
        if self.fabric is None:
            return values
        mean: Tensor = self.fabric.all_reduce(values, reduce_op="mean")
        return mean

    def check_same(self, step: int) -> None:
        """Raise `StateError` in all processes unless all are at the same step."""
        if self.fabric is None:
            return
        own = torch.zeros(self.count, dtype=torch.int64, device=self.device)
        own[self.rank] = step
        steps = self.fabric.all_reduce(own, reduce_op="sum").tolist()
        if len(set(steps)) > 1:
            raise StateError(f"the processes stand at steps {', '.join(map(str, steps))}. "
                             "All need the same output folder, with the same checkpoint.")  # fmt: skip

    def wait(self) -> None:
        """Wait until all processes have arrived."""
        if self.fabric is not None:
            self.fabric.barrier()


def is_first() -> bool:
    """Whether this process is the first: the one that writes files and messages."""
    return _number("WORLD_SIZE", 1) == 1 or _number("RANK", 0) == 0


def device_for(name: str) -> torch.device:
    """The device of this process by the name in the options; "auto": CUDA if available, else the CPU.

    Each process of a machine has its own CUDA device. Raises `OptionError` if it is not available.
    """
    device, local = painting_device(name), _number("LOCAL_RANK", 0)
    if device.type == "cuda":
        if local >= (seen := torch.cuda.device_count()):
            raise OptionError(f"`device=cuda` needs {local + 1} CUDA devices here, and PyTorch sees {seen}. "
                              "Start fewer processes, or use `device=cpu`.")  # fmt: skip
        return torch.device("cuda", local)
    if device.type == "mps" and _number("WORLD_SIZE", 1) > 1:
        raise OptionError("`device=mps` trains in one process. Start one, or use `device=cpu`.")
    return device


def gathered(device: str) -> Processes:
    """This process, from the environment variables of torchrun: WORLD_SIZE, RANK, LOCAL_RANK and others.

    Waits for the other processes. Raises `OptionError` (device, incomplete environment) and `MissingExtra`.
    """
    place, count = device_for(device), _number("WORLD_SIZE", 1)
    if count == 1:
        return Processes(place)
    if lacking := [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise OptionError(f"the environment has WORLD_SIZE={count} but no {', '.join(lacking)}. "
                          f"Start with torchrun --nproc_per_node {count} -m impasto …, or unset it.")  # fmt: skip
    package = optional("lightning_fabric", "train", purpose=f"training in {count} processes")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it logs its start verbosely
    local = _number("LOCAL_WORLD_SIZE", count)
    fabric = package.Fabric(
        accelerator=place.type,
        devices=local,
        num_nodes=count // local,
        strategy=package.strategies.DDPStrategy(find_unused_parameters=True),  # as a single process does
        plugins=[package.plugins.environments.TorchElasticEnvironment()],
    )
    fabric.launch()
    return Processes(fabric.device, fabric.global_rank, fabric.world_size, fabric)


def _number(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return otherwise
    try:
        return int(text)
    except ValueError:
        raise OptionError(f"the environment says {name}={text}; a whole number is needed. Unset it.") from None
