"""Losses in float32, for features of any precision."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """`function` with its float16 and bfloat16 tensors widened to float32 and autocast off; float64 stays float64.

    Sums over many pixels and squares of large features overflow float16 and lose small differences in bfloat16.
    """

    @functools.wraps(function)
    def widened(*args: P.args, **kwargs: P.kwargs) -> R:
        given: list[Any] = [_wide(value) for value in args]
        named: dict[str, Any] = {name: _wide(value) for name, value in kwargs.items()}
        with torch.autocast(_device_type(given), enabled=False):
            return function(*given, **named)  # type: ignore[arg-type]

    return widened


def _wide(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if isinstance(value, tuple):
        return tuple(_wide(item) for item in value)
    return value


def _device_type(values: list[Any]) -> str:
    for value in values:
        first = value[0] if isinstance(value, tuple) and value else value
        if isinstance(first, Tensor):
            return first.device.type
    return "cpu"
