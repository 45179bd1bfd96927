"""Stability under random motion and contrastive coherence, the losses that need no film."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.objective.output import (
    Weights,
    coherence,
    content_terms,
    moved,
    output_terms,
    random_flow,
    stability,
)

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
        terms = output_terms(weights, CONTENTS, contents=CONTENTS, paint=paint)
        values = {term.name: float(term(CONTENTS)) for term in terms if term.weight}
        assert ("motion" in values) == (painted == 1) == (weights.motion > 0)


def test_coherence_is_small_where_neighbours_differ_as_in_the_content() -> None:
    """Contrast and brightness of the features are free; places that are exchanged are not."""
    target = torch.randn(2, 16, 12, 12, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(4)
    same = coherence(3 * target + 5, target)
    other = coherence(torch.randn(2, 16, 12, 12), target)
    turned = coherence(target.flip(-1), target)
    assert same < 0.5 < 4 < other
    assert turned > 4
    assert float(coherence(target[..., :2], target[..., :2])) == 0


def test_coherence_leads_to_the_content() -> None:
    target = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(5))
    feats = torch.randn(1, 16, 8, 8).requires_grad_()
    optimizer = torch.optim.Adam([feats], lr=0.1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = coherence(feats, target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_coherence_is_a_part_of_the_content_layers() -> None:
    feats = {"relu1_1": torch.randn(1, 4, 8, 8)}
    for weights, names in ((Weights(content=1), {"content"}), (Weights(coherence=2), {"coherence"})):
        terms = content_terms({"relu1_1": 0.5}, feats, weights=weights, distance=torch.nn.functional.mse_loss)
        assert {term.name for term in terms if term.weight} == names
        assert weights.reads_content
    assert not Weights(style=1).reads_content
