"""The objective by blocks equals that of the whole picture: its parts, and its gradient to 1e-5."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.config.optimise import LossOptions
from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.losses.table import GATYS, STYLE_LOSSES
from impasto.objective.perceptual import Terms
from impasto.stylizers.blockwise import blockwise_for
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.targets import objective_for

SHALLOW = ((4, 1), (6, 2), (8, 1))
"""Stages of an encoder that sees few pixels around each: small pictures have several blocks."""

BLOCK_PX = 2500
ROWS = STYLE_LOSSES | {"gatys": GATYS}
SEPARABLE = [name for name, row in ROWS.items() if row.join is not None]
SIZES = [(33, 140), (70, 83)]
LOSSES = LossOptions(
    laplacian_weight=3.0, content_layers=("relu2_1", "relu3_1"), style_layers=("relu1_1", "relu2_1", "relu3_1")
)

Draw = Callable[[int, int], Tensor]


@pytest.fixture
def exact(make_encoder: Callable[..., Encoder]) -> Callable[..., Encoder]:
    """`exact(padding=…)`: a small random VGG in float64, in which rounding does not hide a mistake."""

    def made(**network: Any) -> Encoder:
        encoder = make_encoder(stages=SHALLOW, **network)
        encoder.net.to(torch.float64)
        return encoder

    return made


def doubled(mix: Mix) -> Mix:
    styles = [
        dataclasses.replace(s, picture=s.required_picture().double(), mask=None if s.mask is None else s.mask.double())
        for s in mix.styles
    ]
    return Mix(tuple(styles))


def noisy(picture: Tensor) -> Tensor:
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(3)).to(picture)
    return (picture + 0.1 * noise).requires_grad_()  # also beyond [0, 1]


def gradient(terms: Terms, image: Tensor) -> Tensor:
    image.grad = None
    terms.total.backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    return image.grad.clone()


def assert_equal(
    content: Tensor, mix: Mix, encoder: Encoder, losses: LossOptions, *, blocks: int = 2, block_px: int = BLOCK_PX
) -> None:
    """Both objectives at a noisy content have the same parts and the same gradient."""
    if next(encoder.net.parameters()).dtype == torch.float64:
        content, mix = content.double(), doubled(mix)
    canvas = noisy(content)
    by_blocks = blockwise_for(content, mix, encoder=encoder, losses=losses, block_px=block_px)
    assert len(by_blocks.blocks) >= blocks
    found, wanted = by_blocks(canvas), objective_for(content, mix, encoder=encoder, losses=losses)(canvas)
    assert found.parts.keys() == wanted.parts.keys()
    for name, part in wanted.parts.items():
        assert float(found.parts[name]) == pytest.approx(float(part.detach()), rel=1e-5), name
    assert float(found.total.detach()) == pytest.approx(float(wanted.total.detach()), rel=1e-5)
    ours, theirs = gradient(found, canvas), gradient(wanted, canvas)
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-5


@pytest.fixture
def mix(draw_painting: Draw) -> Mix:
    return Mix((Style(draw_painting(64, 90)),))


@pytest.mark.parametrize("name", SEPARABLE)
@pytest.mark.parametrize("size", SIZES)
def test_every_separable_style_loss_has_the_gradient_of_the_whole(
    name: str, size: tuple[int, int], exact: Callable[..., Encoder], draw_photo: Draw, mix: Mix
) -> None:
    balance = "absolute" if name == "gatys" else "relative"
    losses = dataclasses.replace(LOSSES, style_loss=name, balance=balance)
    assert_equal(draw_photo(*size), mix, exact(), losses)


@pytest.mark.parametrize("content_loss", ["l2", "l1", "huber"])
@pytest.mark.parametrize(("balance", "reduction"), [("relative", "mean"), ("absolute", "mean"), ("absolute", "sum")])
def test_every_content_loss(
    content_loss: str, balance: str, reduction: str, exact: Callable[..., Encoder], draw_photo: Draw, mix: Mix
) -> None:
    losses = dataclasses.replace(
        LOSSES, content_loss=content_loss, balance=balance, content_reduction=reduction, style_loss="gram"
    )
    assert_equal(draw_photo(33, 140), mix, exact(), losses)


@pytest.mark.parametrize(
    "network",
    [
        {"padding": "zeros", "pooling": "max"},
        {"padding": "zeros", "pooling": "max", "ceil_mode": True},
        {"padding": "reflect", "pooling": "max"},
    ],
    ids=str,
)
def test_every_padding_and_pooling(
    network: dict[str, Any], exact: Callable[..., Encoder], draw_photo: Draw, mix: Mix
) -> None:
    assert_equal(draw_photo(75, 83), mix, exact(**network), LOSSES)


@pytest.mark.parametrize("name", ["gram", "mean-std", "wasserstein2"])
def test_masks_and_several_styles(
    name: str, exact: Callable[..., Encoder], draw_photo: Draw, draw_painting: Draw
) -> None:
    content, encoder = draw_photo(75, 83), exact()
    left = torch.zeros(1, 1, 75, 83)
    left[..., :30] = 1  # some blocks have nothing of it
    left[..., 30:40] = torch.linspace(1, 0, 10)
    styles = (
        Style(draw_painting(64, 90), weight=2.0, mask=left),
        Style(draw_photo(90, 64).flip(1), mask=1 - left, scale=0.5),
    )
    losses = dataclasses.replace(LOSSES, style_loss=name, balance="absolute" if name == "gatys" else "relative")
    assert_equal(content, Mix(styles), encoder, losses)
    assert_equal(content, Mix(tuple(dataclasses.replace(style, mask=None) for style in styles)), encoder, losses)


def test_a_loss_of_few_layers(exact: Callable[..., Encoder], draw_photo: Draw, mix: Mix) -> None:
    alone = [
        dataclasses.replace(LOSSES, content_weight=0.0, tv_weight=0.0),
        dataclasses.replace(LOSSES, style_weight=0.0, tv_weight=0.0),
        LossOptions(content_layers=("relu2_1",), style_layers=("relu1_1",)),
        LossOptions(content_layers=("conv3_1",), style_layers=("pool1", "relu2_2")),
    ]
    for losses in alone:
        assert_equal(draw_photo(33, 140), mix, exact(), losses)


def test_the_defaults_in_float32(encoder: Encoder, draw_photo: Draw, mix: Mix) -> None:
    assert_equal(draw_photo(230, 241), mix, encoder, LossOptions(), block_px=44_000)


@pytest.mark.parametrize("graphs", [1, 2, 3, 99])
@pytest.mark.parametrize("on_disk", [False, True])
def test_blocks_that_are_computed_once(
    graphs: int, on_disk: bool, encoder: Encoder, draw_photo: Draw, mix: Mix
) -> None:
    content, computed = draw_photo(33, 140), []
    options: Any = {"losses": LOSSES, "block_px": BLOCK_PX}
    known = blockwise_for(content, mix, encoder=encoder, graphs=0, **options)
    objective = blockwise_for(content, mix, encoder=encoder, graphs=graphs, on_disk=on_disk, **options)
    canvas = noisy(content)
    before = objective(canvas).total
    torch.testing.assert_close(gradient(objective(canvas), canvas), gradient(known(canvas), canvas))

    def counted(*given: Any) -> dict[str, Tensor]:
        computed.append(given)
        return encoder(*given)

    again = dataclasses.replace(objective, encoder=counted)
    assert torch.equal(again(canvas).total, before)
    assert len(computed) == 2 * len(objective.blocks) - min(graphs, len(objective.blocks))


def test_a_picture_of_one_block(exact: Callable[..., Encoder], photo: Tensor, mix: Mix) -> None:
    assert_equal(photo, mix, exact(), LOSSES, blocks=1, block_px=photo.numel())


def test_without_gradients_the_losses_are_the_same(encoder: Encoder, draw_photo: Draw, mix: Mix) -> None:
    content = draw_photo(33, 140)
    objective = blockwise_for(content, mix, encoder=encoder, losses=LOSSES, block_px=BLOCK_PX)
    canvas = noisy(content)
    known = float(objective(canvas).total.detach())
    with torch.no_grad():
        assert not objective(canvas).total.requires_grad
    assert float(objective(canvas.detach()).total) == pytest.approx(known)


def test_a_very_large_content_is_in_half_precision(encoder: Encoder, draw_photo: Draw, mix: Mix) -> None:
    content = draw_photo(33, 140).half()
    halves = blockwise_for(content, mix, encoder=encoder, losses=LOSSES, block_px=BLOCK_PX)
    floats = blockwise_for(content.float(), mix, encoder=encoder, losses=LOSSES, block_px=BLOCK_PX)
    canvas = noisy(content.float()).detach()
    assert float(halves(canvas).total) == pytest.approx(float(floats(canvas).total), rel=1e-6)


@pytest.mark.parametrize("name", sorted(ROWS.keys() - SEPARABLE))
def test_other_losses_are_refused(name: str, encoder: Encoder, photo: Tensor, mix: Mix) -> None:
    losses = LossOptions(style_loss=name)
    with pytest.raises(OptionError, match=f"`style_loss={name}` compares all places .* or losses .*: gram"):
        blockwise_for(photo, mix, encoder=encoder, losses=losses)


def test_an_encoder_without_a_grid_is_refused(encoder: Encoder, photo: Tensor, mix: Mix) -> None:
    class NoGrid:
        def __getattr__(self, name: str) -> Any:
            return (lambda layers: None) if name == "reach_px" else getattr(encoder.net, name)

    other = dataclasses.replace(encoder, net=NoGrid())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="has no grid that blocks could keep to"):
        blockwise_for(photo, mix, encoder=other, losses=LOSSES)


def test_the_test_can_fail(exact: Callable[..., Encoder], draw_photo: Draw, mix: Mix) -> None:
    content, encoder, mix = draw_photo(33, 140).double(), exact(), doubled(mix)
    canvas = noisy(content)
    whole = gradient(objective_for(content, mix, encoder=encoder, losses=LOSSES)(canvas), canvas)
    by_blocks = blockwise_for(content, mix, encoder=encoder, losses=LOSSES, block_px=BLOCK_PX)
    first = by_blocks.blocks[0]
    narrow = dataclasses.replace(first, x=dataclasses.replace(first.x, last=first.x.stop))  # no halo
    wrong = dataclasses.replace(by_blocks, blocks=(narrow, *by_blocks.blocks[1:]))
    assert float((gradient(wrong(canvas), canvas) - whole).norm() / whole.norm()) > 1e-5
