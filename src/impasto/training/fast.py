"""Training of fast networks: perceptual losses against trained styles (Johnson et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.encoders.table import Encoder
from impasto.losses.distances import l2, relative
from impasto.losses.statistics import Statistic
from impasto.losses.table import STYLE_LOSSES, StyleLoss
from impasto.nets.residual import Residual
from impasto.objective.output import Weights, content_term_distance, content_terms, output_terms
from impasto.objective.perceptual import FeatureTerm, Perceptual, PixelTerm
from impasto.training import sampling
from impasto.training.data import Crops, placed

Targets = Mapping[str, Sequence[Mapping[str, Statistic]]]
"""By style loss, for each style, the ready statistic of each layer, at one size of the pictures."""


@dataclass(frozen=True)
class StyledContents:
    """Contents `(b, 3, px, px)` in `[0, 1]`, and the weight of each style's loss for each of them `(b, styles)`."""

    contents: Tensor
    weights: Tensor


@dataclass(frozen=True, kw_only=True)
class StyleBatches:
    """Batches of contents with the weights of the styles; a pure function of the step, as `Crops` is.

    `conditional`: every content has one style, and all styles are equally frequent. `sum` and `average`: every content
    has all of them; the weights of an average add up to 1. `alternate`: one style for `every` steps, then the next
    (compared in arXiv 1911.06464).
    """

    contents: Crops
    weights: tuple[float, ...]
    multi_style: str
    every: int = 1

    def __call__(self, step: int) -> StyledContents:
        """The batch of this step."""
        images = self.contents(step).images
        weights = style_weights_at(
            step,
            len(images),
            weights=self.weights,
            multi_style=self.multi_style,
            every=self.every,
            seed=self.contents.seed,
        )
        return StyledContents(images, weights)


def style_weights_at(
    step: int, count: int, *, weights: Sequence[float], multi_style: str, every: int, seed: int
) -> Tensor:
    """The weight of each style for each content of a step, `(count, styles)`; see `StyleBatches`."""
    given, styles = torch.tensor(weights), len(weights)
    if multi_style == "sum":
        return given.expand(count, -1)
    if multi_style == "average":
        return (given / given.sum()).expand(count, -1)
    if multi_style == "alternate":
        return (F.one_hot(torch.tensor(step // every % styles), styles) * given).expand(count, -1)
    return F.one_hot(_shuffled_styles(step, count, styles=styles, seed=seed), styles) * given


def _shuffled_styles(step: int, count: int, *, styles: int, seed: int) -> Tensor:
    """A style for each content: permutations of all styles, one after another."""
    chosen = []
    for place in range(step * count, (step + 1) * count):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + place // styles)
        chosen.append(torch.randperm(styles, generator=generator)[place % styles])
    return torch.stack(chosen)


@dataclass(frozen=True, kw_only=True)
class TrainedStyles:
    """Content, style, smoothness, noise and range losses of a fast network of one or several styles.

    `scale`: with `relative`, content and style are relative to their targets, and the style part is the mean of
    log(1 + r), see `arbitrary.tempered`. With `papers` they are squared errors of features, and of Gram matrices over
    their channels (Johnson et al. 2016, eq. 2 to 4), on which published weights such as 1e5 and 1e10 are based.
    The content target is the content as the network receives it: in the style's colours if the network recolours.
    `normalise_content` and the sizes of the style loss are as for arbitrary networks.
    A network of one style paints every content in it; one of several paints each in the style of its loss.
    """

    network: Residual
    encoder: Encoder
    targets: Sequence[Targets]
    """At each size of the style loss: the whole picture, half of it, and so on."""
    weights: Weights
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    scale: str = "relative"
    normalise_content: bool = False
    shown: tuple[Tensor, Sequence[Tensor]] | None = None
    """Contents `(n, 3, px, px)` of the samples, and the style pictures `(1, 3, px, px)` to show above them."""

    def build(self) -> nn.Module:
        """The task's own network, which training changes."""
        return self.network

    def loss(self, module: nn.Module, batch: StyledContents) -> dict[str, Tensor]:
        """The weighted parts, each a mean over the contents of the batch."""
        contents = placed(batch.contents, module)
        styles = painted_styles(batch.weights).to(contents.device) if self.network.styles > 1 else None
        content_layers = self.content_layers if self.weights.reads_content else {}
        with torch.no_grad():
            targets = self.encoder(self.network.recoloured(contents, styles), content_layers) if content_layers else {}
        output: Tensor = module(contents, styles)
        distance = content_term_distance(
            relative(l2) if self.scale == "relative" else l2, normalised=self.normalise_content
        )
        content = content_terms(content_layers, targets, weights=self.weights, distance=distance)
        levels = range(1, len(self.targets) if self.weights.style else 1)
        smaller = (PixelTerm("style", 1, partial(self._smaller_style, weights=batch.weights, level=n)) for n in levels)
        rest = output_terms(self.weights, output, contents=contents, paint=lambda noisy: module(noisy, styles))
        features = (*content, *self._style_terms(batch.weights))
        return Perceptual(self.encoder, features, (*smaller, *rest))(output).parts

    def sample(self, module: nn.Module) -> Tensor:
        """Every shown content in every style, `(1 + contents, 1 + styles, 3, px, px)`.

        The first row shows the styles, the first column the contents.
        """
        shown, styles = sampling.required(self.shown)
        contents = placed(shown, module)
        with sampling.precision_of(self.encoder, contents):
            columns = [module(contents, chosen).float() for chosen in each_style(self.network.styles, contents)]
        return sampling.table(contents, torch.stack(columns, 1), styles=torch.cat(list(styles)))

    def _style_terms(self, weights: Tensor, *, level: int = 0) -> Iterator[FeatureTerm]:
        for layer, share in self.style_layers.items() if self.weights.style else ():
            for name, targets in self.targets[level].items():
                distance = partial(self._distances, name, [target[layer] for target in targets], weights)
                yield FeatureTerm("style", layer, self.weights.style * share / len(self.targets), distance)

    def _smaller_style(self, image: Tensor, *, weights: Tensor, level: int) -> Tensor:
        """The weighted style loss of the image halved `level` times."""
        terms = tuple(self._style_terms(weights, level=level))
        return Perceptual(self.encoder, features=terms)(F.avg_pool2d(image, 2**level)).total

    def _distances(self, name: str, targets: Sequence[Statistic], weights: Tensor, feats: Tensor) -> Tensor:
        """The weighted distances of each content's statistic from those of its styles, the mean over contents."""
        loss, distances = STYLE_LOSSES[name], []
        statistics = loss.statistic(feats)
        for i, row in enumerate(weights.tolist()):
            one = tuple(part[i : i + 1] for part in statistics)
            distances += [
                weight * self._distance(loss, one, target=targets[k]) for k, weight in enumerate(row) if weight
            ]
        return torch.stack(distances).sum() / len(weights)

    def _distance(self, loss: StyleLoss, statistic: Statistic, *, target: Statistic) -> Tensor:
        target = tuple(part.to(statistic[0].device) for part in target)
        if self.scale == "relative":
            return loss.distance(statistic, target).log1p()
        return papers_gram(statistic[0], target[0])


def painted_styles(weights: Tensor) -> Tensor:
    """The style that each content is painted in, one-hot `(b, styles)`: the one with the largest loss weight."""
    return F.one_hot(weights.argmax(1), weights.shape[1]).float()


def each_style(styles: int, contents: Tensor) -> list[Tensor | None]:
    """For each style of a network, the style weights `(b, styles)` that select it; None for a network of one."""
    if styles == 1:
        return [None]
    return [one.expand(len(contents), -1) for one in torch.eye(styles, device=contents.device)[:, None]]


def papers_gram(moments: Tensor, target: Tensor) -> Tensor:
    """The squared error of Gram matrices / (c h w), given second moments `(b, c, c)` (Johnson et al. 2016, eq. 3)."""
    return l2(moments, target) / moments.shape[-1] ** 2


def targets_of(
    pictures: Sequence[Tensor], encoder: Encoder, *, layers: Sequence[str], losses: Sequence[str], level: int = 0
) -> dict[str, list[dict[str, Statistic]]]:
    """The ready statistics of style pictures `(1, 3, h, w)` of any sizes, halved `level` times."""
    targets: dict[str, list[dict[str, Statistic]]] = {name: [] for name in losses}
    for picture in pictures:
        with torch.no_grad():
            feats = encoder(F.avg_pool2d(picture, 2**level), layers)
        for name in losses:
            targets[name].append({layer: STYLE_LOSSES[name].target(feats[layer]) for layer in layers})
    return targets
