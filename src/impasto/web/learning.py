"""Training of a style in the worker process."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.web.pictures import PREVIEW_PX, as_jpeg

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.web.worker import TaskChannel

SAMPLE_EVERY = 3
"""Steps between sample pictures, about ten seconds on two cores; a sample takes a third of the time of a step."""


def learn(
    picture: str, name: str, *, style: dict[str, Any], fit: dict[str, Any], folder: str, channel: TaskChannel
) -> dict[str, Any]:
    """Train a style from a picture, and store it under `name` for all commands on this machine.

    A style that is stopped early is stored as trained so far.
    """
    from impasto.api import read
    from impasto.config.new_style import NewStyleFitOptions, NewStyleOptions
    from impasto.core.options import from_dict
    from impasto.training.new_style import prepare_new_style, train_style
    from impasto.training.run import NETWORK
    from impasto.weights.readers import import_weights

    options = from_dict(NewStyleOptions, {**style, "name": name}, where="style")
    fitting = from_dict(NewStyleFitOptions, {"sample_every": SAMPLE_EVERY, **fit}, where="fit")
    started, stopped, sample, is_new = time.monotonic(), False, b"", False
    with closing(train_style(Path(picture), options, fitting=fitting, folder=Path(folder))) as steps:  # type: ignore[type-var]
        for progress in steps:
            if progress.sample is not None:
                sample, is_new = as_jpeg(folded(read(progress.sample).pixels), PREVIEW_PX), True
            if channel.tell(progress.step, progress.steps, preview=partial(bytes, sample) if is_new else None):
                is_new = False
            if progress.step < progress.steps and channel.is_stopped():
                stopped = True
                break
    if stopped:
        prepare_new_style(Path(picture), options, fitting=fitting).write(Path(folder))
    import_weights(Path(folder, NETWORK), name=name)
    return {
        "stopped": stopped,
        "method": "train style",
        "seconds": round(time.monotonic() - started, 3),
        "preview": sample,
    }


def folded(sheet: Tensor) -> Tensor:
    """A sheet of samples without the painting above, in two columns, since a tall strip does not fit into a dialog."""
    import torch
    from torch.nn.functional import pad

    from impasto.training.sampling import GAP_PX

    pitch = (sheet.shape[-1] + GAP_PX) // 2  # a photo and its painting in a row, both square
    rows = (sheet.shape[-2] + GAP_PX) // pitch - 1
    middle = (1 + (rows + 1) // 2) * pitch
    left, right = sheet[..., pitch : middle - GAP_PX, :], sheet[..., middle:, :]
    beside = (4 * GAP_PX, 0, 0, left.shape[-2] - right.shape[-2])
    return torch.cat([left, pad(right, beside, value=1.0)], dim=-1)
