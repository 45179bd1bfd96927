"""Training of fast networks: contents painted in trained styles, as an encoder sees them (Johnson et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.losses.distances import l2, relative
from impasto.losses.statistics import Statistic
from impasto.losses.table import STYLE_LOSSES, StyleLoss
from impasto.nets.residual import Residual
from impasto.training.data import Crops
from impasto.training.output_losses import of_output, weighted

Feats = Mapping[str, Tensor]
Targets = Mapping[str, Sequence[Mapping[str, Statistic]]]
"""By style loss, for each style, the ready statistic of each layer."""

MANY = ("conditional", "sum", "average", "alternate")
SCALES = ("relative", "papers")


@dataclass(frozen=True)
class Assigned:
    """Contents `(b, 3, px, px)` in `[0, 1]`, and how much each style's loss counts for each of them `(b, styles)`."""

    contents: Tensor
    weights: Tensor


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Batches of contents with the weights of the styles; a pure function of the step, as `Crops` is.

    `conditional`: every content has one style, all styles equally often. `sum` and `average`: every content has all of
    them; the weights of an average add up to 1. `alternate`: one style for `every` steps, then the next
    (arXiv 1911.06464, where these are compared).
    """

    contents: Crops
    weights: tuple[float, ...]
    many: str
    every: int = 1

    def __call__(self, step: int) -> Assigned:
        """The batch of this step."""
        images = self.contents(step).images
        seed, many = self.contents.seed, self.many
        return Assigned(images, shared_out(step, len(images), self.weights, many=many, every=self.every, seed=seed))


def shared_out(step: int, count: int, weights: Sequence[float], *, many: str, every: int, seed: int) -> Tensor:
    """How much each style counts for each content of a step, `(count, styles)`, as `Assignment` says."""
    given, styles = torch.tensor(weights), len(weights)
    if many == "sum":
        return given.expand(count, -1)
    if many == "average":
        return (given / given.sum()).expand(count, -1)
    if many == "alternate":
        return (F.one_hot(torch.tensor(step // every % styles), styles) * given).expand(count, -1)
    return F.one_hot(_in_turn(step, count, styles, seed=seed), styles) * given


def _in_turn(step: int, count: int, styles: int, *, seed: int) -> Tensor:
    """A style for each content: all of them in a new order, again and again."""
    found = []
    for place in range(step * count, (step + 1) * count):
        turn = torch.Generator().manual_seed(seed * 1_000_003 + place // styles)
        found.append(torch.randperm(styles, generator=turn)[place % styles])
    return torch.stack(found)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the parts of the loss; a part of weight 0 is not computed."""

    content: float
    style: float
    smoothness: float = 0.0
    noise: float = 0.0
    range: float = 10.0


@dataclass(frozen=True, kw_only=True)
class LearnedStyles:
    """Content, style, smoothness, noise and range losses of a fast network of one style or of many.

    `scale`: with `relative`, content and style are relative to their targets, and the style part is the mean of
    log(1 + r) as in `arbitrary.tempered`; with `papers` they are the squared errors of features, and of Gram matrices
    over their channels (Johnson et al. 2016, eq. 2 to 4; the published codes' weights of 1e5 and 1e10 are of these).
    Contents are compared as the network is to paint on them: in the colours of the style where it recolours.
    A network of one style paints every content in it; one of many paints each in the style that its loss is of.
    """

    network: Residual
    encoder: Encoder
    targets: Targets
    weights: Weights
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    scale: str = "relative"
    noise_std: float = 0.02
    shown: tuple[Tensor, Sequence[Tensor]] | None = None
    """Contents `(n, 3, px, px)` that a sample paints, and the style pictures `(1, 3, px, px)` to set above them."""

    def build(self) -> nn.Module:
        """The task's own network, which training changes."""
        return self.network

    def loss(self, module: nn.Module, batch: Assigned) -> dict[str, Tensor]:
        """The weighted parts, each a mean over the contents of the batch."""
        place = next(module.parameters()).device
        contents = batch.contents.to(place, memory_format=torch.channels_last)
        shares = shares_of(batch.weights).to(place) if self.network.styles > 1 else None
        content_layers = self.content_layers if self.weights.content else {}
        style_layers = self.style_layers if self.weights.style else {}
        with torch.no_grad():
            seen = self.encoder(self.network.recoloured(contents, shares), content_layers) if content_layers else {}
        output: Tensor = module(contents, shares)
        found = self.encoder(output, {*content_layers, *style_layers})
        parts = {
            "content": lambda: self._content(found, seen),
            "style": lambda: self._style(found, batch.weights),
            **of_output(output, contents, paint=lambda noisy: module(noisy, shares), noise_std=self.noise_std),
        }
        return weighted(parts, vars(self.weights))

    def sample(self, module: nn.Module) -> Tensor:
        """Every shown content in every style, `(1 + contents, 1 + styles, 3, px, px)`.

        The first row shows the styles, the first column the contents.
        """
        if self.shown is None:
            raise OptionError("there are no pictures to show.")
        place = next(module.parameters()).device
        contents = self.shown[0].to(place, memory_format=torch.channels_last)
        styles = torch.cat(list(self.shown[1])).to(place)
        half, many = self.encoder.dtype == torch.bfloat16, self.network.styles
        columns = []
        with torch.autocast(place.type, torch.bfloat16, enabled=half):
            for index in range(many):
                shares = F.one_hot(torch.tensor(index), many).float().expand(len(contents), -1).to(place)
                columns.append(module(contents, shares if many > 1 else None).float())
        rows = [torch.cat([torch.ones_like(styles[:1]), styles])]
        blank = torch.ones_like(contents[:1])[:, None].expand(-1, max(0, len(styles) - many), -1, -1, -1)
        for content, *cells in zip(contents, *columns, strict=True):
            rows.append(torch.cat([content[None], torch.stack(cells), blank[0]]))
        return torch.stack(rows).clamp(0, 1)

    def _content(self, found: Feats, seen: Feats) -> Tensor:
        distance = relative(l2) if self.scale == "relative" else l2
        return torch.stack([w * distance(found[name], seen[name]) for name, w in self.content_layers.items()]).sum()

    def _style(self, found: Feats, weights: Tensor) -> Tensor:
        parts = [
            weight * self._distances(loss, found[layer], [target[layer] for target in self.targets[loss]], weights)
            for layer, weight in self.style_layers.items()
            for loss in self.targets
        ]
        return torch.stack(parts).sum()

    def _distances(self, name: str, feats: Tensor, targets: Sequence[Statistic], weights: Tensor) -> Tensor:
        """The weighted distances of each content's statistic from those of its styles, the mean over contents."""
        loss, rows = STYLE_LOSSES[name], []
        of_all = loss.statistic(feats)
        for i, row in enumerate(weights.tolist()):
            one = tuple(part[i : i + 1] for part in of_all)
            rows += [share * self._distance(loss, one, targets[k]) for k, share in enumerate(row) if share]
        return torch.stack(rows).sum() / len(weights)

    def _distance(self, loss: StyleLoss, found: Statistic, target: Statistic) -> Tensor:
        target = tuple(part.to(found[0].device) for part in target)
        if self.scale == "relative":
            return loss.distance(found, target).log1p()
        return papers_gram(found[0], target[0])


def shares_of(weights: Tensor) -> Tensor:
    """Which style each content is painted in, `(b, styles)`: the one whose loss counts for it."""
    return F.one_hot(weights.argmax(1), weights.shape[1]).float()


def papers_gram(found: Tensor, target: Tensor) -> Tensor:
    """The squared error of Gram matrices over c · h · w, of second moments `(b, c, c)` (Johnson et al. 2016, eq. 3)."""
    return l2(found, target) / found.shape[-1] ** 2


def targets_of(
    pictures: Sequence[Tensor], encoder: Encoder, *, layers: Sequence[str], losses: Sequence[str]
) -> dict[str, list[dict[str, Statistic]]]:
    """The ready statistics of style pictures `(1, 3, h, w)` of any sizes."""
    found: dict[str, list[dict[str, Statistic]]] = {name: [] for name in losses}
    for picture in pictures:
        with torch.no_grad():
            feats = encoder(picture, layers)
        for name in losses:
            found[name].append({layer: STYLE_LOSSES[name].target(feats[layer]) for layer in layers})
    return found
