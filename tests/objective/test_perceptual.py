"""Laws of the objective: its parts, its layers and its gradients."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from impasto.encoders.table import Encoder
from impasto.losses.smoothness import laplacian_match, total_variation
from impasto.losses.table import CONTENT_LOSSES, STYLE_LOSSES
from impasto.objective.perceptual import FeatureTerm, Perceptual, PixelTerm, out_of_range

GRAM = STYLE_LOSSES["gram"]
L2 = CONTENT_LOSSES["l2"]


def content_terms(encoder: Encoder, picture: Tensor, layers: tuple[str, ...], weight: float = 1.0) -> list[FeatureTerm]:
    feats = encoder(picture, layers)
    return [FeatureTerm("content", name, weight, partial(L2, target=feats[name])) for name in layers]


def style_terms(
    encoder: Encoder, picture: Tensor, layers: tuple[str, ...], weight: float = 1.0, mask: Tensor | None = None
) -> list[FeatureTerm]:
    feats = encoder(picture, layers)
    targets = {name: GRAM.target(feats[name]) for name in layers}
    return [FeatureTerm("style", name, weight, partial(GRAM, target=targets[name], weights=mask)) for name in layers]


@pytest.fixture
def objective(encoder: Encoder, photo: Tensor, painting: Tensor) -> Perceptual:
    return Perceptual(
        encoder,
        (
            *content_terms(encoder, photo, ("relu2_1", "relu3_1"), 0.5),
            *style_terms(encoder, painting, ("relu1_1", "relu2_1"), 3.0),
        ),
        (PixelTerm("tv", 0.1, total_variation), PixelTerm("range", 2.0, out_of_range)),
    )


def test_the_parts_add_up_to_the_total(objective: Perceptual) -> None:
    terms = objective(torch.rand(1, 3, 72, 80) * 1.2)
    assert set(terms.parts) == {"content", "style", "tv", "range"}
    assert all(part.shape == () and float(part) > 0 for part in terms.parts.values())
    torch.testing.assert_close(terms.total, torch.stack(list(terms.parts.values())).sum())


def test_each_part_is_its_weighted_losses(
    objective: Perceptual, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    image, layers = torch.rand(1, 3, 72, 80), ["relu1_1", "relu2_1", "relu3_1"]
    feats, of_photo, of_painting = (encoder(picture, layers) for picture in (image, photo, painting))
    parts = objective(image).parts
    content = sum(0.5 * L2(feats[layer], of_photo[layer]) for layer in layers[1:])
    style = sum(3.0 * GRAM(feats[layer], GRAM.target(of_painting[layer])) for layer in layers[:2])
    torch.testing.assert_close(parts["content"], content)
    torch.testing.assert_close(parts["style"], style)
    torch.testing.assert_close(parts["tv"], 0.1 * total_variation(image))


def test_content_is_zero_at_the_content_and_style_at_the_style(encoder: Encoder, photo: Tensor) -> None:
    layers = ("relu1_1", "relu3_1")
    objective = Perceptual(encoder, (*content_terms(encoder, photo, layers), *style_terms(encoder, photo, layers)))
    parts = objective(photo).parts
    assert float(parts["content"]) == pytest.approx(0, abs=1e-9)
    assert float(parts["style"]) == pytest.approx(0, abs=1e-9)
    assert all(float(part) > 1e-3 for part in objective(photo.flip(-2) * 0.5).parts.values())


def test_asks_for_the_layers_of_its_terms_once(encoder: Encoder, photo: Tensor) -> None:
    asked = []

    def counting(image: Tensor, layers: frozenset[str]) -> dict[str, Tensor]:
        asked.append(set(layers))
        return encoder(image, layers)

    objective = Perceptual(
        counting,  # type: ignore[arg-type]
        (*content_terms(encoder, photo, ("relu2_1",)), *style_terms(encoder, photo, ("relu1_1", "relu2_1"))),
    )
    objective(photo)
    assert asked == [{"relu1_1", "relu2_1"}]
    assert objective.layers == {"relu1_1", "relu2_1"}


def test_without_layers_the_encoder_is_left_alone(photo: Tensor) -> None:
    def never(image: Tensor, layers: object) -> dict[str, Tensor]:
        raise AssertionError("called")

    terms = Perceptual(never, pixels=(PixelTerm("tv", 1.0, total_variation),))(photo)  # type: ignore[arg-type]
    torch.testing.assert_close(terms.total, total_variation(photo))


def test_without_any_term_there_is_nothing_to_do(encoder: Encoder, photo: Tensor) -> None:
    image = photo.clone().requires_grad_(True)
    terms = Perceptual(encoder)(image)
    terms.total.backward()
    assert (terms.total.item(), terms.parts) == (0.0, {})
    assert image.grad is not None
    assert not bool(image.grad.any())


def test_terms_of_one_name_add_up(encoder: Encoder, photo: Tensor) -> None:
    twice = Perceptual(encoder, pixels=(PixelTerm("tv", 1.0, total_variation), PixelTerm("tv", 2.0, total_variation)))
    terms = twice(photo)
    torch.testing.assert_close(terms.parts["tv"], 3 * total_variation(photo))
    torch.testing.assert_close(terms.total, terms.parts["tv"])


def test_the_gradient_reaches_the_picture(objective: Perceptual) -> None:
    image = torch.rand(1, 3, 72, 80, requires_grad=True)
    objective(image).total.backward()
    assert image.grad is not None
    assert bool(torch.isfinite(image.grad).all())
    assert bool(image.grad.any())


def test_a_mask_keeps_the_gradient_of_style_in_its_region(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    mask = torch.zeros(1, 1, 72, 80)
    mask[..., :40] = 1
    objective = Perceptual(encoder, tuple(style_terms(encoder, painting, ("relu1_1",), mask=mask)))
    image = photo.clone().requires_grad_(True)
    objective(image).total.backward()
    assert image.grad is not None
    assert bool(image.grad[..., :40].any())
    assert not bool(image.grad[..., 42:].any())  # a 3×3 convolution sees one pixel beyond the border


def test_a_mask_of_ones_is_none(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    values = [
        Perceptual(encoder, tuple(style_terms(encoder, painting, ("relu1_1",), mask=mask)))(photo).total
        for mask in (None, torch.ones(1, 1, 72, 80))
    ]
    torch.testing.assert_close(values[0], values[1])


def test_the_laplacian_term_is_zero_at_the_content(encoder: Encoder, photo: Tensor) -> None:
    term = PixelTerm("laplacian", 1.0, partial(laplacian_match, content=photo))
    assert float(Perceptual(encoder, pixels=(term,))(photo).total) == 0
    assert float(Perceptual(encoder, pixels=(term,))(photo.flip(-1)).total) > 0


def test_out_of_range() -> None:
    assert float(out_of_range(torch.rand(1, 3, 8, 8))) == 0
    assert float(out_of_range(torch.tensor([0.0, 1.0]))) == 0
    assert float(out_of_range(torch.tensor([-0.5, 0.5, 1.5, 1.0]))) == pytest.approx(0.125)


def test_bfloat16_features_give_float32_losses(photo: Tensor, painting: Tensor, make_encoder: object) -> None:
    rough = make_encoder(precision="bfloat16")  # type: ignore[operator]
    terms = Perceptual(rough, tuple(style_terms(rough, painting, ("relu1_1",))))(photo)
    assert terms.total.dtype == torch.float32
