"""Losses widen what they are given."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.losses.precision import full_precision


def product(pair: tuple[Tensor, ...], *, other: Tensor) -> Tensor:
    return pair[0] @ other


def test_widens_tuples_and_keywords() -> None:
    half = torch.ones(2, 2, dtype=torch.bfloat16)
    assert full_precision(product)((half,), other=half).dtype == torch.float32
    assert product((half,), other=half).dtype == torch.bfloat16


def test_leaves_autocast_as_it_was() -> None:
    full = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert full_precision(product)((full,), other=full).dtype == torch.float32
        assert product((full,), other=full).dtype == torch.bfloat16
