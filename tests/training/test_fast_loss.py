"""Laws of the losses that fast networks are trained with, and of which style is whose turn."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.config.fast_training import LOSS_SCALES, MULTI_STYLE
from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.losses.distances import l2, relative
from impasto.losses.statistics import gram
from impasto.objective.output import Weights, content_term_distance
from impasto.training.data import Crops
from impasto.training.fast import (
    StyleBatches,
    StyledContents,
    TrainedStyles,
    papers_gram,
    targets_of,
)

CONTENT, STYLE = {"relu3_3": 0.5, "relu4_2": 0.5}, {"relu1_1": 0.3, "relu4_1": 1.0}
scales = pytest.mark.parametrize("scale", LOSS_SCALES)


class Stub(nn.Module):
    """Gives the picture that is set, and remembers the shares."""

    def __init__(self, output: Tensor, styles: int) -> None:
        super().__init__()
        self.output, self.styles, self.idle = output, styles, nn.Parameter(torch.zeros(()))
        self.shares: Tensor | None = None

    def recoloured(self, image: Tensor, shares: Tensor | None = None) -> Tensor:
        return image

    def forward(self, image: Tensor, shares: Tensor | None = None) -> Tensor:
        self.shares = shares
        return self.output + self.idle + 0 * image


@pytest.fixture
def two(draw_photo: Any, draw_painting: Any) -> tuple[Tensor, Tensor]:
    """Two pictures that are unlike."""
    return draw_photo(32, 32), draw_painting(32, 32)


def losses(
    output: Tensor, encoder: Encoder, pictures: tuple[Tensor, ...], shares: list[list[float]], **options: Any
) -> dict[str, float]:
    styles = len(pictures)
    net = Stub(output, options.pop("styles", styles))
    contents = options.pop("contents", torch.full((len(shares), 3, 32, 32), 0.5))
    given: dict[str, Any] = {
        "network": net,
        "encoder": encoder,
        "targets": [targets_of(pictures, encoder, layers=tuple(STYLE), losses=("gram",))],
        "weights": Weights(content=1, style=2, smoothness=3, noise=4, range=5),
        "content_layers": CONTENT,
        "style_layers": STYLE,
    }
    task = TrainedStyles(**(given | options))
    rows = torch.tensor(shares)
    found = task.loss(net, StyledContents(contents, rows))
    return {name: value.item() for name, value in found.items()}


@scales
def test_each_content_is_held_to_its_own_style(encoder: Encoder, two: tuple[Tensor, Tensor], scale: str) -> None:
    both = torch.cat(two)
    right = losses(both, encoder, two, [[1, 0], [0, 1]], scale=scale)
    wrong = losses(both, encoder, two, [[0, 1], [1, 0]], scale=scale)
    assert right["style"] == pytest.approx(0, abs=1e-8)
    assert wrong["style"] > 1e-3 * wrong["content"] > 0


@scales
def test_a_sum_weighs_every_style(encoder: Encoder, two: tuple[Tensor, Tensor], scale: str) -> None:
    first, second = (losses(two[0], encoder, two, [row], scale=scale)["style"] for row in ([1.0, 0], [0, 1.0]))
    both = losses(two[0], encoder, two, [[2, 3]], scale=scale, styles=1)["style"]
    assert both == pytest.approx(2 * first + 3 * second, rel=1e-5)
    assert second > 0


def test_content_is_what_the_encoder_sees_of_it(encoder: Encoder, two: tuple[Tensor, Tensor]) -> None:
    same = losses(torch.full((1, 3, 32, 32), 0.5), encoder, two, [[1, 0]])
    assert same["content"] == pytest.approx(0, abs=1e-9)
    assert same["smoothness"] == 0
    assert same["range"] == 0
    assert losses(two[0] + 1, encoder, two, [[1, 0]])["range"] > 0


def test_a_part_of_weight_zero_is_not_there(encoder: Encoder, two: tuple[Tensor, Tensor]) -> None:
    found = losses(two[0], encoder, two, [[1, 0]], weights=Weights(content=0, style=1, range=0))
    assert set(found) == {"style"}


def test_the_style_at_several_sizes_is_their_mean(encoder: Encoder, two: tuple[Tensor, Tensor]) -> None:
    def style(*levels: int) -> float:
        targets = [targets_of(two, encoder, layers=tuple(STYLE), losses=("gram",), level=level) for level in levels]
        return losses(two[0].flip(1), encoder, two, [[1, 0]], targets=targets)["style"]

    halves = tuple(F.avg_pool2d(picture, 2) for picture in two)
    small = losses(halves[0].flip(1), encoder, halves, [[1, 0]], contents=halves[0])["style"]
    assert style(0, 1) == pytest.approx((style(0) + small) / 2, rel=1e-5)
    assert style(0) != pytest.approx(small, rel=1e-3)


def test_content_is_compared_after_an_instance_norm(encoder: Encoder, two: tuple[Tensor, Tensor]) -> None:
    layers = {"relu3_3": 1.0}
    for normalised in (True, False):
        options: dict[str, Any] = {"normalise_content": normalised, "content_layers": layers, "contents": two[1]}
        found = losses(two[0], encoder, two, [[1, 0]], **options)["content"]
        output, target = (encoder(picture, layers)["relu3_3"] for picture in two)
        distance = content_term_distance(relative(l2), normalised=normalised)
        assert found == pytest.approx(distance(output, target).item(), rel=1e-5)


def test_the_papers_gram_is_that_of_their_code(two: tuple[Tensor, Tensor]) -> None:
    feats = [torch.rand(1, 4, 6, 5, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    theirs = [(f.flatten(2) @ f.flatten(2).mT) / (4 * 6 * 5) for f in feats]
    found = papers_gram(gram(feats[0])[0], gram(feats[1])[0])
    assert found.item() == pytest.approx(F.mse_loss(*theirs).item(), rel=1e-5)


def test_networks_of_many_styles_are_told_which(encoder: Encoder, two: tuple[Tensor, Tensor]) -> None:
    net = Stub(torch.cat(two), 2)
    weights = Weights(content=0, style=1, range=0)
    targets = targets_of(two, encoder, layers=tuple(STYLE), losses=("gram",))
    task = TrainedStyles(
        network=net,  # type: ignore[arg-type]
        encoder=encoder,
        targets=[targets],
        weights=weights,
        content_layers={},
        style_layers=STYLE,
    )
    task.loss(net, StyledContents(torch.rand(2, 3, 32, 32), torch.tensor([[0, 0.5], [2, 0]])))
    assert net.shares is not None
    assert net.shares.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(OptionError, match="no pictures"):
        task.sample(net)


def assignment(multi_style: str, weights: tuple[float, ...], *, batch: int = 4, every: int = 1) -> StyleBatches:
    pictures = [np.full((8, 8, 3), i, np.uint8) for i in range(3)]
    return StyleBatches(
        contents=Crops(pictures, batch, 8, seed=5), weights=weights, multi_style=multi_style, every=every
    )


@pytest.mark.parametrize("multi_style", MULTI_STYLE)
def test_a_batch_follows_from_its_step(multi_style: str) -> None:
    made = assignment(multi_style, (1.0, 2.0, 3.0))
    for step in (0, 7):
        first, again = made(step), assignment(multi_style, (1.0, 2.0, 3.0))(step)
        assert torch.equal(first.weights, again.weights)
        assert torch.equal(first.contents, again.contents)
        assert first.weights.shape == (4, 3)


def test_all_styles_come_equally_often() -> None:
    made = assignment("conditional", (1.0, 2.0, 3.0))
    rows = torch.cat([made(step).weights for step in range(6)])  # 24 contents: 8 rounds of three
    assert (rows > 0).sum(1).tolist() == [1] * 24
    assert Counter(rows.argmax(1).tolist()) == {0: 8, 1: 8, 2: 8}
    assert rows.max(0).values.tolist() == [1, 2, 3]
    rounds = rows.argmax(1).view(8, 3).tolist()
    assert all(sorted(turn) == [0, 1, 2] for turn in rounds)
    assert len({tuple(turn) for turn in rounds}) > 1


def test_sums_averages_and_turns() -> None:
    assert assignment("sum", (1.0, 3.0))(0).weights.tolist() == [[1, 3]] * 4
    assert assignment("average", (1.0, 3.0))(0).weights.tolist() == [[0.25, 0.75]] * 4
    turns = assignment("alternate", (1.0, 3.0), every=2)
    assert [turns(step).weights[0].tolist() for step in range(6)] == [[1, 0]] * 2 + [[0, 3]] * 2 + [[1, 0]] * 2


def test_noise_asks_again(encoder: Encoder, two: tuple[Tensor, Tensor]) -> None:
    """The part is there with its weight and gone without."""
    steady = losses(two[0], encoder, two, [[1, 0]])
    assert steady["noise"] == 0  # the stub does not look at the picture
    without = losses(two[0], encoder, two, [[1, 0]], weights=Weights(content=1, style=1))
    assert "noise" not in without
