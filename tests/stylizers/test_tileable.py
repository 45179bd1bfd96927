"""Paintings that continue at the opposite edge: a rolled content is painted as the rolled painting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from moved_noise import MovedNoise
from torch import Tensor

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.losses.table import GATYS, MATCHED_LOSSES, STYLE_LOSSES
from impasto.nets import fast
from impasto.nets.adain_decoder import StyledDecoder
from impasto.nets.residual import Residual
from impasto.nets.table import VARIANTS, Network
from impasto.objective.perceptual import Terms
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.blockwise import blockwise_for
from impasto.stylizers.canvas import enlarged
from impasto.stylizers.fast import Fast
from impasto.stylizers.optimised import Optimised
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.pyramid import Pyramid
from impasto.stylizers.targets import objective_for

Draw = Callable[[int, int], Tensor]

SHALLOW = ((4, 1), (6, 2), (8, 1))
LAYERS = ("relu1_1", "relu2_1", "relu3_1")
LOSSES = LossOptions(content_layers=("relu2_1", "relu3_1"), style_layers=LAYERS, laplacian_weight=3.0)
ROWS = STYLE_LOSSES | MATCHED_LOSSES | {"gatys": GATYS}
WRAPS = [(True, False), (False, True), (True, True)]
every_way = pytest.mark.parametrize("wraps", WRAPS, ids=["y", "x", "xy"])


def rolled(image: Tensor, wraps: tuple[bool, bool], by: int = 32) -> Tensor:
    return image.roll([by * wrap for wrap in wraps], (-2, -1))


def gradient(objective: Callable[[Tensor], Terms], canvas: Tensor) -> tuple[Terms, Tensor]:
    canvas = canvas.detach().clone().requires_grad_()
    terms = objective(canvas)
    terms.total.backward()  # type: ignore[no-untyped-call]
    assert canvas.grad is not None
    return terms, canvas.grad


def apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.fixture
def small(make_encoder: Callable[..., Encoder]) -> Encoder:
    encoder = make_encoder(stages=SHALLOW)
    encoder.net.to(torch.float64)
    return encoder


@pytest.fixture
def content(draw_photo: Draw) -> Tensor:
    return draw_photo(64, 96).double()


def canvas_of(content: Tensor) -> Tensor:
    return content + 0.1 * torch.randn(content.shape, generator=torch.Generator().manual_seed(3)).to(content)


def half_of(content: Tensor) -> Tensor:
    mask = torch.zeros(1, 1, *content.shape[-2:], dtype=content.dtype)
    mask[..., :40] = 1
    return mask


@pytest.mark.parametrize("name", ROWS)
def test_every_style_loss(name: str, small: Encoder, content: Tensor, painting: Tensor) -> None:
    losses = replace(LOSSES, style_loss=name, balance="absolute" if name == "gatys" else "relative")
    mix = Mix((Style(painting.double()),))
    canvas, way = canvas_of(content), (True, True)
    found = [
        gradient(objective_for(picture, mix, encoder=small, losses=losses, canvas=at, wraps=wraps), at)
        for picture, at, wraps in (
            (content, canvas, way),
            (rolled(content, way), rolled(canvas, way), way),
            (rolled(content, way), rolled(canvas, way), (False, False)),
        )
    ]
    (terms, slope), (moved, moved_slope), (_, still) = found
    assert float(moved.total.detach()) == pytest.approx(float(terms.total.detach()), rel=1e-4)
    random = name in ("sliced", "remd", "strotss", "histogram")  # projections and samples of places
    assert random or apart(moved_slope, rolled(slope, way)) < 1e-4
    assert apart(still, rolled(slope, way)) > 1e-3


@every_way
def test_blocks_equal_the_whole(wraps: tuple[bool, bool], small: Encoder, content: Tensor, draw_painting: Draw) -> None:
    mask = half_of(content)
    styles = (Style(draw_painting(64, 90).double(), mask=mask), Style(content.flip(1), mask=1 - mask))
    options: Any = {"encoder": small, "losses": LOSSES, "wraps": wraps}
    by_blocks = blockwise_for(content, Mix(styles), block_px=2500, **options)
    assert len(by_blocks.blocks) > 1
    canvas = canvas_of(content)
    (found, ours), (wanted, theirs) = (
        gradient(objective, canvas) for objective in (by_blocks, objective_for(content, Mix(styles), **options))
    )
    assert float(found.total.detach()) == pytest.approx(float(wanted.total.detach()), rel=1e-5)
    assert apart(ours, theirs) < 1e-5


@every_way
def test_levels_of_the_pyramid(wraps: tuple[bool, bool]) -> None:
    pyramid, slope = Pyramid.of((64, 96), wraps), torch.randn(1, 3, 64, 96)
    assert pyramid.levels == 5
    torch.testing.assert_close(
        pyramid.smoothed(rolled(slope, wraps)), rolled(pyramid.smoothed(slope), wraps), atol=1e-5, rtol=1e-4
    )
    assert Pyramid.of((48, 96), (True, False)).levels == Pyramid.of((48, 96)).levels == 4
    assert Pyramid.of((40, 96), (True, False)).levels == 4  # 5 px have no half


@every_way
def test_the_next_scale(wraps: tuple[bool, bool], draw_photo: Draw) -> None:
    start, canvas = draw_photo(64, 96), draw_photo(32, 48).flip(1)
    found = enlarged(rolled(canvas, wraps, 16), (64, 96), start=rolled(start, wraps), wraps=wraps)
    torch.testing.assert_close(found, rolled(enlarged(canvas, (64, 96), start=start, wraps=wraps), wraps))


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("memory_bytes", [None, 1])
def test_a_rolled_content_is_painted_rolled(
    optimizer: str, memory_bytes: int | None, make_encoder: Callable[..., Encoder], draw_photo: Draw, painting: Tensor
) -> None:
    content, small = draw_photo(64, 96), make_encoder(stages=SHALLOW)
    history = {"history": 4} if optimizer == "lbfgs" else {}
    options = OptimiseOptions(init="recoloured", smallest_px=48, steps=(2,), optimizer=optimizer, **history)
    way = (True, True)
    work = Optimised(small, LOSSES, options, memory_bytes=memory_bytes, wraps=way)
    mix = Mix((Style(painting, mask=half_of(content)), Style(content.flip(1), mask=1 - half_of(content))))
    moved_mix = Mix(
        tuple(replace(style, mask=rolled(style.mask, way)) for style in mix.styles if style.mask is not None)
    )
    assert work.sizes((64, 96)) == [(32, 48), (64, 96)]
    *_, last = work.paint(content, work.prepare(mix))
    *_, moved = work.paint(rolled(content, way), work.prepare(moved_mix))
    torch.testing.assert_close(moved.image, rolled(last.image, way), atol=2e-3, rtol=0)
    assert float((last.image - content).abs().mean()) > 0.01


def test_sides_that_wrap_fit_the_encoder(encoder: Encoder, painting: Tensor) -> None:
    work = Optimised(encoder, wraps=(False, True))
    assert work.sizes((500, 736)) == [(125, 192), (250, 368), (500, 736)]
    with pytest.raises(OptionError, match="Use 736×500 px"):
        work.sizes((500, 730))
    with pytest.raises(OptionError, match="Use 736×500 px"):
        list(work.paint(torch.rand(1, 3, 500, 730), Mix((Style(painting),))))


# One pass


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("wraps", "strength"), [((True, True), 1.0), ((False, True), 0.4), ((True, False), 1.5)])
def test_any_style_in_one_pass(
    variant: str,
    wraps: tuple[bool, bool],
    strength: float,
    make_network: Callable[..., Network],
    draw_photo: Draw,
    painting: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, content = make_network(variant), draw_photo(96, 64)
    for net, options in ((Residual, {"strip_px": 1100}), (StyledDecoder, {"window_px": 4000})):
        monkeypatch.setattr(net, "strips", partialmethod(net.strips, **options))

    def painted(shown: Tensor, by: int, *, way: tuple[bool, bool] = wraps, memory_bytes: int = 1 << 30) -> Tensor:
        noise = MovedNoise((96, 64), (by * wraps[0], by * wraps[1]))
        work = Arbitrary(network, memory_bytes, noise, wraps=way)
        *_, last = work.paint(shown, work.prepare(Mix((Style(painting),))), strength=strength)
        return last.image

    found, moved = painted(content, 0), rolled(content, wraps)
    for memory_bytes in (0, 1 << 30):
        again = painted(moved, 32, memory_bytes=memory_bytes)
        torch.testing.assert_close(again, rolled(found, wraps), atol=1e-3, rtol=0)
    assert float((painted(moved, 32, way=(False, False)) - rolled(found, wraps)).abs().max()) > 0.01


def test_trained_styles(tmp_path: Path, save_learned: Callable[..., Path], draw_photo: Draw) -> None:
    networks = {
        name: fast.load_fast_network(save_learned(tmp_path / f"{name}.safetensors", seed=seed), precision="float32")
        for seed, name in enumerate(("a", "b"))
    }
    way, content = (True, True), draw_photo(96, 64)
    mask = half_of(content)

    def painted(shown: Tensor, by: int) -> Tensor:
        work = Fast(networks, noise=MovedNoise((96, 64), (by, by)), wraps=way)
        masks = [rolled(part, way, by) for part in (mask, 1 - mask)]
        styles = [Style(trained=name, mask=part) for name, part in zip(networks, masks, strict=True)]
        *_, last = work.paint(shown, work.prepare(Mix(tuple(styles))), strength=0.8)
        return last.image

    torch.testing.assert_close(painted(rolled(content, way), 32), rolled(painted(content, 0), way), atol=1e-3, rtol=0)


def test_a_side_that_does_not_fit_is_refused(
    make_network: Callable[..., Network], photo: Tensor, painting: Tensor
) -> None:
    work = Arbitrary(make_network("predicted"), wraps=(True, True))
    with pytest.raises(OptionError, match="Use 64×64 px"):
        list(work.paint(photo, work.prepare(Mix((Style(painting),)))))
