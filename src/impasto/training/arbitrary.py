"""Training of a network that paints in any style: content and style as an encoder sees them (Huang & Belongie 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.losses.distances import l2, relative
from impasto.losses.table import STYLE_LOSSES, StyleLoss
from impasto.nets.codes import code_from
from impasto.nets.colours import COLOURS, in_colours
from impasto.training.output_losses import of_output, weighted
from impasto.training.pairs import Pair

CONTENT = relative(l2)
SOME = 4  # one picture in so many is painted in its own style, too: it costs a pass through the network

Found = Mapping[str, Tensor]
"""Features `(b, c, h, w)` or codes by layer."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the parts of the loss; a part of weight 0 is not computed.

    Content and style are relative: 1 is as far as nothing is. The others are means of squares of pixel values.
    """

    content: float
    style: float
    identity: float = 0.0
    smoothness: float = 0.0
    noise: float = 0.0
    range: float = 10.0


@dataclass(frozen=True, kw_only=True)
class ArbitraryStyle:
    """Content, style, identity, smoothness, noise and range losses of a one-pass network.

    `identity`: a content painted in its own style is to stay as it is (Park & Lee 2019). The last three parts are those
    of `terms.of_output`. `normalise_content` compares content features after an instance norm, which leaves the
    contrast of the output free. With `sizes` 2 the style is compared at half the size as well, and so on.
    """

    network: nn.Module
    encoder: Encoder
    weights: Weights
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    style_losses: Sequence[str] = ("mean-std",)
    noise_std: float = 0.02
    normalise_content: bool = False
    sizes: int = 1
    shown: tuple[Tensor, Tensor] | None = None
    """Contents and styles `(n, 3, px, px)` that a sample pairs, all with all."""

    def build(self) -> nn.Module:
        """The task's own network, which training changes."""
        return self.network

    def loss(self, module: nn.Module, batch: Pair) -> dict[str, Tensor]:
        """The weighted parts, each a mean over the pairs of the batch."""
        contents, styles = _placed(batch.contents, module), _placed(batch.styles, module)
        content_layers = set(self.content_layers) if self.weights.content else set()
        style_layers = set(self.style_layers) if self.weights.style else set()
        with torch.no_grad():
            wanted = self.encoder(styles, style_layers | set(self._layers))
            code = self._code(wanted, styles)
            seen = self.encoder(self._recoloured(contents, code), content_layers | set(self._layers))
        output: Tensor = module(contents, code, feats=seen)
        found = self.encoder(output, content_layers | style_layers)
        pyramid = [(found, wanted)] if style_layers else []
        for level in range(1, self.sizes):
            small, target = (F.avg_pool2d(image, 2**level) for image in (output, styles))
            with torch.no_grad():
                goal = self.encoder(target, style_layers)
            pyramid.append((self.encoder(small, style_layers), goal))
        parts = {
            "content": lambda: self._content(found, seen),
            "style": lambda: torch.stack([self._style(*pair) for pair in pyramid]).mean(),
            "identity": lambda: self._identity(module, contents),
            **of_output(output, contents, paint=lambda noisy: module(noisy, code), noise_std=self.noise_std),
        }
        return weighted(parts, vars(self.weights))

    def sample(self, module: nn.Module) -> Tensor:
        """Every shown content in every shown style, `(1 + contents, 1 + styles, 3, px, px)`.

        The first row shows the styles, the first column the contents.
        """
        if self.shown is None:
            raise OptionError("there are no pictures to show.")
        contents, styles = (_placed(pictures, module) for pictures in self.shown)
        code, half = self._code(self.encoder(styles, self._layers), styles), self.encoder.dtype == torch.bfloat16
        with torch.autocast(contents.device.type, torch.bfloat16, enabled=half):
            painted = [module(content.expand(len(styles), -1, -1, -1), code) for content in torch.split(contents, 1)]
        rows = [torch.cat([torch.ones_like(styles[:1]), styles])]
        rows += [torch.cat([content[None], cells]) for content, cells in zip(contents, painted, strict=True)]
        return torch.stack(rows).float().clamp(0, 1)

    @property
    def _layers(self) -> tuple[str, ...]:
        return self.network.code_layers  # type: ignore[return-value]

    def _code(self, feats: Found, pictures: Tensor) -> Found:
        """Statistics of the features of `pictures` at the network's code layers, and of their colours if it asks."""
        with torch.autocast(pictures.device.type, enabled=False):  # sums of many products need float32
            return code_from(feats, pictures, net=self.network)  # type: ignore[arg-type]

    def _recoloured(self, contents: Tensor, code: Found) -> Tensor:
        """The contents as the network sees them."""
        return in_colours(contents, code[COLOURS]) if self.network.recolours else contents

    def _content(self, found: Found, seen: Found) -> Tensor:
        norm = F.instance_norm if self.normalise_content else _unchanged
        rows = [(w, norm(found[name].float()), norm(seen[name].float())) for name, w in self.content_layers.items()]
        return torch.stack([w * CONTENT(one, other) for w, one, other in rows]).sum()

    def _style(self, found: Found, wanted: Found) -> Tensor:
        parts = [
            weight * tempered(STYLE_LOSSES[name], found[layer], wanted[layer])
            for layer, weight in self.style_layers.items()
            for name in self.style_losses
        ]
        return torch.stack(parts).sum()

    def _identity(self, module: nn.Module, contents: Tensor) -> Tensor:
        """Every fourth picture, so that the parts of a batch take those that the whole would."""
        few = contents[::SOME]
        with torch.no_grad():
            feats = self.encoder(few, self._layers)
        return F.mse_loss(module(few, self._code(feats, few), feats=feats), few)


def tempered(loss: StyleLoss, found: Tensor, wanted: Tensor) -> Tensor:
    """The mean over the batch of log(1 + r), r the relative distance of features from those of their own style.

    Near the target it is r. Far from it the gradient is that of a part of what is wrong: dark and flat styles, whose
    statistics are small and r in the hundreds, would rule the training otherwise.
    """
    pairs = zip(torch.split(found, 1), torch.split(wanted, 1), strict=True)
    return torch.stack([loss(one, loss.target(other)) for one, other in pairs]).log1p().mean()


def _unchanged(feats: Tensor) -> Tensor:
    return feats


def _placed(images: Tensor, module: nn.Module) -> Tensor:
    """The pictures where the module is, in the memory format that convolutions are fastest in."""
    return images.to(next(module.parameters()).device, memory_format=torch.channels_last)
