"""Sample pictures of a network during training."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from PIL import Image
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.core.errors import OptionError
from impasto.core.paths import written_whole
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.training.checkpoints import Trained
from impasto.training.determinism import seeded

P = TypeVar("P")
GAP_PX = 4
ANIMATION_PX = 800  # long side: a GIF is held in memory


@runtime_checkable
class Sampled(Protocol):
    """A task whose network makes pictures."""

    def sample(self, module: nn.Module) -> Tensor:
        """Pictures `(n, 3, h, w)` or `(rows, columns, 3, h, w)` in `[0, 1]`, of the same inputs each time."""


def check(task: object, options: FitOptions) -> None:
    """Raise `OptionError` for samples of a task that has none, and for an animation without samples."""
    if options.sample_every and not isinstance(task, Sampled):
        raise OptionError(
            f"`sample_every` is {options.sample_every}, but this network makes no pictures. Leave it at 0."
        )
    if options.animation and not options.sample_every:
        raise OptionError("`animation` needs sample pictures. Give `sample_every`, such as `sample_every=100`.")


def required(shown: P | None) -> P:
    """The pictures that a task shows. Raises `OptionError` if there are none."""
    if shown is None:
        raise OptionError("there are no pictures to show.")
    return shown


def precision_of(encoder: Encoder, images: Tensor) -> AbstractContextManager[Any]:
    """Computation as in training: bfloat16 if the encoder does."""
    return torch.autocast(images.device.type, torch.bfloat16, enabled=encoder.dtype == torch.bfloat16)


def table(contents: Tensor, painted: Tensor, *, styles: Tensor | None = None) -> Tensor:
    """Contents `(n, 3, px, px)` with their paintings `(n, columns, 3, px, px)` on the right, in `[0, 1]`.

    `styles` `(m, 3, px, px)` become a first row; paintings that are fewer are followed by white.
    """
    rows = torch.cat([contents[:, None], painted.to(contents)], 1)
    if styles is not None:
        blank = torch.ones_like(rows[:, :1]).expand(-1, max(0, 1 + len(styles) - rows.shape[1]), -1, -1, -1)
        header = torch.cat([torch.ones_like(contents[:1]), styles.to(contents)])
        rows = torch.cat([header[None], torch.cat([rows, blank], 1)])
    return rows.float().clamp(0, 1)


def write_samples(task: Sampled, state: Trained, *, folder: Path, seed: int) -> Path:
    """Write the averaged network's pictures to one file in `folder`, named by the step.

    A copy of the network makes them, in evaluation mode and with its own random numbers: training is not affected.
    This needs the memory of the weights a second time.
    """
    module = copy.deepcopy(state.module)
    if state.average is not None:
        module.load_state_dict(state.average)
    module.requires_grad_(False).eval()
    with torch.no_grad(), seeded(seed, next(module.parameters()).device):
        cells = task.sample(module)
    path = folder / f"step-{state.step:06d}.png"
    files.write(path, side_by_side(cells.detach().float().cpu()))
    return path


def side_by_side(cells: Tensor) -> Tensor:
    """Pictures side by side on white, as `(1, 3, H, W)`.

    `(rows, columns, 3, h, w)` keep their layout, `(n, 3, h, w)` are laid out in a near-square grid. NaN becomes black,
    so that a sample never ends the training.
    """
    h, w = cells.shape[-2:]
    columns = cells.shape[1] if cells.ndim == 5 else math.ceil(math.sqrt(len(cells)))
    flat = cells.flatten(0, -4)
    rows = math.ceil(len(flat) / columns)
    laid = torch.ones(1, 3, rows * (h + GAP_PX) - GAP_PX, columns * (w + GAP_PX) - GAP_PX)
    for i, cell in enumerate(torch.nan_to_num(flat)):
        top, left = i // columns * (h + GAP_PX), i % columns * (w + GAP_PX)
        laid[0, :, top : top + h, left : left + w] = cell
    return laid


def animate(folder: Path, path: Path, *, step: int) -> None:
    """Write the samples in `folder` up to `step` as a GIF, four a second; the last one stays for two seconds."""
    samples = [sample for sample in sorted(folder.glob("step-*.png")) if int(sample.stem.partition("-")[2]) <= step]
    pictures = [Image.open(sample).convert("RGB") for sample in samples]
    for picture in pictures:
        picture.thumbnail((ANIMATION_PX, ANIMATION_PX))
    durations = [250] * (len(pictures) - 1) + [2000]  # milliseconds
    with written_whole(path) as temporary:
        pictures[0].save(temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0)
