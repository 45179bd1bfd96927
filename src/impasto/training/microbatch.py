"""Equal parts of a batch, one for each process and gradient accumulation step."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from impasto.core.errors import OptionError

B = TypeVar("B")


def part_of(batch: B, index: int, *, count: int) -> B:
    """Part `index` of `count` equal parts along the first axis of every tensor or array in `batch`.

    Dataclasses, tuples, lists and dicts are traversed; numbers, strings and scalar tensors are repeated in every part.
    Raises `OptionError` where an axis is not divisible.
    """
    if count == 1:
        return batch
    part: B = _part(batch, index, count=count)
    return part


def _part(value: Any, index: int, *, count: int) -> Any:
    if isinstance(value, Tensor | np.ndarray):
        return _rows(value, index, count=count) if value.ndim else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: _part(getattr(value, f.name), index, count=count) for f in dataclasses.fields(value) if f.init
        }
        return dataclasses.replace(value, **fields)
    if isinstance(value, dict):
        return {key: _part(held, index, count=count) for key, held in value.items()}
    if isinstance(value, tuple | list):
        items = [_part(held, index, count=count) for held in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _rows(value: Any, index: int, *, count: int) -> Any:
    size, rest = divmod(len(value), count)
    if rest or not size:
        raise OptionError(f"a batch of {len(value)} does not divide into {count} equal parts, one for each process "
                          f"and turn of `accumulate`. Use a `batch_size` that is a multiple of {count}.")  # fmt: skip
    return value[index * size : (index + 1) * size]
