"""Stability under random motion, the loss that needs no film."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.objective.motion import moved, random_flow, stability
from impasto.objective.output import Weights, output_terms

CONTENTS = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def test_a_shift_moves_by_whole_pixels() -> None:
    flow = torch.zeros(2, 2, 48, 64)
    flow[:, 0], flow[:, 1] = 3, -2
    found = moved(CONTENTS, flow)
    assert torch.allclose(found[..., 2:, :-3], CONTENTS[..., :-2, 3:], atol=1e-4)
    assert torch.allclose(moved(CONTENTS, flow * 0), CONTENTS, atol=1e-5)


def test_random_flows_are_smooth_and_as_large_as_asked() -> None:
    torch.manual_seed(1)
    flow = random_flow(torch.zeros(64, 3, 96, 128), std_px=8.0)
    assert flow.shape == (64, 2, 96, 128)
    assert 5 < float(flow.std()) < 11
    steps = torch.cat([flow.diff(dim=-1).flatten(), flow.diff(dim=-2).flatten()])
    assert steps.abs().max() < 1.0  # things are stretched, and never torn or folded
    assert not torch.equal(flow[0], flow[1])


def test_a_painter_that_follows_what_moves_has_no_loss_and_a_fixed_pattern_has_one() -> None:
    def inverted(image: Tensor) -> Tensor:
        return 1 - image

    pattern = torch.rand(1, 3, 48, 64)
    options = {"contents": CONTENTS, "std_px": 4.0}
    torch.manual_seed(2)
    steady = stability(1 - CONTENTS, paint=inverted, noise_std=0.0, **options)  # type: ignore[arg-type]
    stuck = stability(
        0.5 * CONTENTS + 0.5 * pattern, paint=lambda x: 0.5 * x + 0.5 * pattern, noise_std=0.0, **options  # type: ignore[arg-type]
    )  # fmt: skip
    assert steady < 1e-9
    assert stuck > 1e-2
    noisy = stability(1 - CONTENTS, paint=inverted, noise_std=0.1, **options)  # type: ignore[arg-type]
    assert float(noisy) == pytest.approx(0.01, rel=0.35)  # the noise is passed on; clamping takes some of it away


def test_both_paintings_have_gradients() -> None:
    weight = torch.ones(1, requires_grad=True)
    output = CONTENTS * weight

    def paint(image: Tensor) -> Tensor:
        return (image * weight).flip(-1)

    stability(output, contents=CONTENTS, paint=paint, std_px=4.0, noise_std=0.0).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.abs() > 0


def test_it_is_a_part_of_its_own_that_is_off_by_default() -> None:
    painted = 0

    def paint(image: Tensor) -> Tensor:
        nonlocal painted
        painted += 1
        return image

    for weights in (Weights(), Weights(motion=2.0)):
        terms = output_terms(weights, CONTENTS, contents=CONTENTS, paint=paint, noise_std=0.02)
        values = {term.name: float(term(CONTENTS)) for term in terms if term.weight}
        assert ("motion" in values) == (painted == 1) == (weights.motion > 0)
