"""Nested states of tensors, compared."""

from __future__ import annotations

import torch
from torch import Tensor


def assert_equal(one: object, other: object) -> None:
    """Equal to the last bit, whatever lies in which dict or list."""
    if isinstance(one, Tensor):
        assert isinstance(other, Tensor)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list):
        assert isinstance(other, list)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other
