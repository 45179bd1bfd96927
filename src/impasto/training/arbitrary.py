"""Training of arbitrary networks: the perceptual losses of Huang & Belongie 2017."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.encoders.table import Encoder
from impasto.losses.distances import l2, relative
from impasto.losses.table import STYLE_LOSSES, StyleLoss
from impasto.nets.codes import code_from
from impasto.nets.colours import COLOURS, in_colours
from impasto.objective.output import Weights, content_term_distance, content_terms, output_terms
from impasto.objective.perceptual import FeatureTerm, Perceptual, PixelTerm
from impasto.training import sampling
from impasto.training.data import Pair, placed

CONTENT = relative(l2)
IDENTITY_EVERY = 4  # pictures: each costs another pass through the network

Feats = Mapping[str, Tensor]
"""Features `(b, c, h, w)` or codes by layer."""


@dataclass(frozen=True, kw_only=True)
class ArbitraryStyle:
    """Content, style, identity, smoothness, noise and range losses of an arbitrary network.

    `identity`: a content painted in its own style should not change (Park & Lee 2019). `normalise_content` compares
    content features after an instance norm, which leaves the contrast of the output free. `sizes` 2 adds the style loss
    at half the size, 3 at a quarter too; the style part is their mean. With a `teacher` the network is distilled: the
    teacher's painting, before its colours are matched to the style, replaces the content in the content part, and
    `pixels` is the mean squared difference from it.
    """

    network: nn.Module
    encoder: Encoder
    weights: Weights
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    style_losses: Sequence[str] = ("mean-std",)
    normalise_content: bool = False
    sizes: int = 1
    teacher: nn.Module | None = None
    shown: tuple[Tensor, Tensor] | None = None
    """Contents and styles `(n, 3, px, px)` of the samples, which pair all with all."""

    def build(self) -> nn.Module:
        """The task's own network, which training changes."""
        return self.network

    def loss(self, module: nn.Module, batch: Pair) -> dict[str, Tensor]:
        """The weighted parts, each a mean over the pairs of the batch."""
        contents, styles = placed(batch.contents, module), placed(batch.styles, module)
        content_layers = self.content_layers if self.weights.reads_content else {}
        style_layers = self.style_layers if self.weights.style else {}
        painting, feats = None, None
        with torch.no_grad():
            targets = self.encoder(styles, {*style_layers, *self._layers})
            code = self._code(targets, styles)
            if self.teacher is None:
                goal = feats = self.encoder(self._recoloured(contents, code), {*content_layers, *self._layers})
            else:
                painting = self.teacher(contents, code)
                goal = self.encoder(painting, content_layers)
        output: Tensor = module(contents, code, feats=feats)
        distance = content_term_distance(CONTENT, normalised=self.normalise_content)
        content = content_terms(content_layers, goal, weights=self.weights, distance=distance)
        rest = output_terms(self.weights, output, contents=contents, paint=lambda noisy: module(noisy, code))
        pixels = (
            *(
                PixelTerm("style", 1, partial(self._smaller_style, styles=styles, level=level))
                for level in self._levels
            ),
            PixelTerm("identity", self.weights.identity, lambda image: self._identity(module, contents)),
            *([] if painting is None else [PixelTerm("pixels", self.weights.pixels, partial(F.mse_loss, painting))]),
            *rest,
        )
        objective = Perceptual(self.encoder, features=(*content, *self._style_terms(targets)), pixels=pixels)
        return objective(output).parts

    def sample(self, module: nn.Module) -> Tensor:
        """Every shown content in every shown style, `(1 + contents, 1 + styles, 3, px, px)`.

        The first row shows the styles, the first column the contents.
        """
        contents, styles = (placed(pictures, module) for pictures in sampling.required(self.shown))
        code = self._code(self.encoder(styles, self._layers), styles)
        with sampling.precision_of(self.encoder, contents):
            painted = [module(content.expand(len(styles), -1, -1, -1), code) for content in torch.split(contents, 1)]
        return sampling.table(contents, torch.stack(painted), styles=styles)

    @property
    def _layers(self) -> tuple[str, ...]:
        return self.network.code_layers  # type: ignore[return-value]

    @property
    def _levels(self) -> range:
        """How often the picture is halved for further style losses."""
        return range(1, self.sizes if self.weights.style else 1)

    def _code(self, feats: Feats, pictures: Tensor) -> Feats:
        """The code of the style `pictures`, whose features are `feats`."""
        with torch.autocast(pictures.device.type, enabled=False):  # sums of many products need float32
            return code_from(feats, pictures, net=self.network)  # type: ignore[arg-type]

    def _recoloured(self, contents: Tensor, code: Feats) -> Tensor:
        """The contents in the colours of the styles, if the network recolours them."""
        return in_colours(contents, code[COLOURS]) if self.network.recolours else contents

    def _style_terms(self, targets: Feats) -> Iterator[FeatureTerm]:
        for layer, share in self.style_layers.items() if self.weights.style else ():
            for name in self.style_losses:
                distance = partial(tempered, STYLE_LOSSES[name], target=targets[layer])
                yield FeatureTerm("style", layer, self.weights.style * share / self.sizes, distance)

    def _smaller_style(self, image: Tensor, *, styles: Tensor, level: int) -> Tensor:
        """The weighted style loss of the image halved `level` times."""
        small, target = (F.avg_pool2d(pictures, 2**level) for pictures in (image, styles))
        with torch.no_grad():
            targets = self.encoder(target, self.style_layers)
        return Perceptual(self.encoder, features=tuple(self._style_terms(targets)))(small).total

    def _identity(self, module: nn.Module, contents: Tensor) -> Tensor:
        """Of every fourth picture, so that the parts of a batch use the same ones as the whole."""
        few = contents[::IDENTITY_EVERY]
        with torch.no_grad():
            feats = self.encoder(few, self._layers)
        return F.mse_loss(module(few, self._code(feats, few), feats=feats), few)


def tempered(loss: StyleLoss, feats: Tensor, target: Tensor) -> Tensor:
    """The mean over the batch of log(1 + r), with r the relative distance of features from those of their own style.

    Near the target this is r. Far from it the gradient is divided by 1 + r: without that, dark and flat styles, whose
    statistics are small and whose r is in the hundreds at first, dominate the training.
    """
    pairs = zip(torch.split(feats, 1), torch.split(target, 1), strict=True)
    return torch.stack([loss(one, loss.target(other)) for one, other in pairs]).log1p().mean()
