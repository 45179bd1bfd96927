"""Reflection by one pixel, against torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from impasto.encoders.padding import Reflected, reflected


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 2, 2, 2), (2, 3, 5, 4), (1, 1, 2, 7)])
def test_it_is_torchs(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format) -> None:
    feats = torch.randn(shape).to(dtype).contiguous(memory_format=layout)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = reflected(feats)
    assert torch.equal(found, F.pad(feats, (1, 1, 1, 1), mode="reflect"))
    if found.shape[1] > 1:
        assert found.is_contiguous(memory_format=layout)


def test_bfloat16_stays_under_autocast() -> None:
    feats = torch.randn(1, 4, 5, 6).bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        assert reflected(feats).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(1, 2, 2, 2), (2, 3, 3, 4)])
def test_the_gradient_is_that_of_the_function(shape: tuple[int, ...]) -> None:
    feats = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert torch.autograd.gradcheck(Reflected.apply, (feats,))
