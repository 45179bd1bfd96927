"""Laws of feature columns, of their neighbours and of the relaxed earth mover's distance."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.losses import transport
from impasto.losses.neighbours import cosine_distance, matched
from impasto.losses.transport import colours, columns, neighbours, palette_transport, relaxed_transport, self_similarity


def maps(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def dense(found: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cosine distance to the nearest of the other side, both ways, by the table of all distances."""
    rows = [torch.nn.functional.normalize(one.flatten(2)[0].mT, dim=-1) for one in (found, target)]
    table = 1 - rows[0] @ rows[1].mT
    return table.min(1).values.mean(), table.min(0).values.mean()


def test_relaxed_transport_is_the_larger_of_both_ways() -> None:
    found, target = maps(0, 1, 9, 6, 7), maps(1, 1, 9, 5, 5)
    there, back = dense(found, target)
    assert float(relaxed_transport(columns(found), columns(target))) == pytest.approx(float(max(there, back)), rel=1e-2)
    assert float(transport.nearest_distance(columns(found), columns(target))) == pytest.approx(float(there), rel=1e-2)


def test_one_way_is_zero_where_a_single_patch_is_repeated() -> None:
    target = maps(0, 1, 9, 4, 4)
    repeated = target[..., :1, :1].expand(-1, -1, 5, 5)
    assert float(transport.nearest_distance(columns(repeated), columns(target))) == pytest.approx(0, abs=1e-5)
    assert float(relaxed_transport(columns(repeated), columns(target))) > 0.05


def test_neighbours_in_chunks_are_those_of_the_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    found, target = torch.randn(40, 5), torch.randn(13, 5)
    whole = found @ target.mT
    monkeypatch.setattr(transport, "CHUNK", 30)
    nearest, back = neighbours(found, target)
    assert torch.equal(nearest, whole.argmax(1))
    assert torch.equal(back, whole.argmax(0))


def test_many_columns_are_means_of_areas_and_then_a_subset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "COLUMNS", 50)
    feats = maps(0, 1, 3, 20, 20)
    pixels, mass = columns(feats)
    assert pixels.shape == (1, 50, 3)
    assert float(mass.sum()) == pytest.approx(1)
    small = torch.nn.functional.interpolate(feats, (10, 10), mode="area").flatten(2)[0].mT
    assert all(bool((small == column).all(1).any()) for column in pixels[0])


def test_every_place_is_pulled_in_a_large_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "COLUMNS", 100)
    feats = maps(0, 1, 3, 20, 20).requires_grad_()
    transport.nearest_distance(columns(feats), columns(maps(1, 1, 3, 9, 9))).backward()
    assert feats.grad is not None
    assert float((feats.grad.abs().sum(1) > 0).float().mean()) == 1


def test_palette_ignores_places_and_measures_shifts() -> None:
    picture = maps(0, 1, 3, 8, 8)
    assert float(palette_transport(colours(picture.flip(3)), colours(picture))) == pytest.approx(0, abs=1e-4)
    flat = torch.full((1, 3, 8, 8), 0.2)
    shifted = flat + torch.tensor([0.3, 0.0, 0.4]).view(1, 3, 1, 1)
    assert float(palette_transport(colours(shifted), colours(flat))) == pytest.approx(0.5, rel=1e-3)


def test_palette_of_a_region() -> None:
    picture, other = maps(0, 1, 3, 8, 8), maps(1, 1, 3, 8, 8)
    both, left = torch.cat([picture, other], dim=-1), torch.zeros(1, 1, 8, 16)
    left[..., :8] = 1
    assert float(palette_transport(colours(both, left), colours(picture))) == pytest.approx(0, abs=1e-4)
    assert float(palette_transport(colours(both), colours(picture))) > 1e-3


def test_self_similarity_is_blind_to_scale_and_to_the_order_of_channels() -> None:
    feats = maps(0, 1, 8, 6, 6)
    assert float(self_similarity(3 * feats.flip(1), feats)) == pytest.approx(0, abs=2e-3)
    assert float(self_similarity(feats.flip(3), feats)) > 0.1


# Matched targets


def test_a_style_is_its_own_neighbour() -> None:
    feats = maps(0, 1, 8, 6, 5)
    assert torch.equal(matched(feats, [maps(1, 1, 8, 4, 4), feats])[0], feats)


def test_targets_are_made_of_the_styles_own_columns() -> None:
    guide, style = maps(0, 1, 8, 6, 5), maps(1, 1, 8, 4, 4)
    (target,) = matched(guide, [style])
    assert target.shape == guide.shape
    own = style.flatten(2)[0].mT
    assert all(bool((own == column).all(1).any()) for column in target.flatten(2)[0].mT)


def test_neighbours_are_blind_to_a_shift_of_all_features() -> None:
    guide, style, shift = maps(0, 1, 8, 6, 5), maps(1, 1, 8, 4, 4), maps(2, 1, 8, 1, 1)
    assert torch.equal(matched(guide + 5 * shift, [style])[0], matched(guide, [style])[0])


def test_cosine_distance_of_a_region() -> None:
    feats, other = maps(0, 1, 8, 4, 4), maps(1, 1, 8, 4, 4)
    left = torch.zeros(1, 1, 4, 4)
    left[..., :2] = 1
    target = (torch.cat([feats[..., :2], other[..., 2:]], dim=-1),)
    assert float(cosine_distance(2 * feats, target, weights=left)) == pytest.approx(0, abs=1e-5)
    assert float(cosine_distance(feats, target)) > 0.05
    assert float(cosine_distance(-feats, (feats,))) == pytest.approx(2, rel=1e-4)
