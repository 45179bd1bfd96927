"""Training of a network that paints in any style: content and style as an encoder sees them (Huang & Belongie 2017)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.losses.distances import l2, relative
from impasto.losses.smoothness import total_variation
from impasto.losses.table import STYLE_LOSSES
from impasto.nets.moments import moments
from impasto.objective.perceptual import out_of_range
from impasto.training.pairs import Pair

CONTENT = relative(l2)
SOME = 4  # one picture in so many is painted in its own style, too: it costs a pass through the network


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the parts of the loss, which are relative: 1 is as far as nothing is."""

    content: float
    style: float
    identity: float = 0.0
    smoothness: float = 0.0
    noise: float = 0.0
    range: float = 10.0


@dataclass(frozen=True, kw_only=True)
class ArbitraryStyle:
    """Content, style, identity, smoothness and noise losses of a one-pass network.

    `identity`: a content painted in its own style is to stay as it is (Park & Lee 2019). `noise`: a little noise on the
    content is not to change the output (Gao et al. 2020, for steady video).
    """

    network: nn.Module
    encoder: Encoder
    weights: Weights
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    style_losses: Sequence[str] = ("mean-std",)
    noise_std: float = 0.02
    shown: tuple[Tensor, Tensor] | None = None
    """Contents and styles `(n, 3, px, px)` that a sample pairs, all with all."""

    def build(self) -> nn.Module:
        """The task's own network, which training changes."""
        return self.network

    def loss(self, module: nn.Module, batch: Pair) -> dict[str, Tensor]:
        """The weighted parts."""
        device = next(module.parameters()).device
        contents = batch.contents.to(device, memory_format=torch.channels_last)
        styles = batch.styles.to(device, memory_format=torch.channels_last)
        codes: tuple[str, ...] = self.network.code_layers  # type: ignore[assignment]
        with torch.no_grad():
            seen = self.encoder(contents, {*self.content_layers, *codes})
            wanted = self.encoder(styles, {*self.style_layers, *codes})
        code = {name: self._moments(wanted[name]) for name in codes}
        output = module(contents, code, feats=seen)
        found = self.encoder(output, {*self.content_layers, *self.style_layers})
        parts = {
            "content": self.weights.content * self._content(found, seen),
            "style": self.weights.style * self._style(found, wanted),
            "range": self.weights.range * out_of_range(output),
        }
        if self.weights.smoothness:
            parts["smoothness"] = self.weights.smoothness * total_variation(output)
        if self.weights.identity:
            few = math.ceil(len(contents) / SOME)
            own = {name: self._moments(seen[name][:few]) for name in codes}
            same = module(contents[:few], own, feats={name: feats[:few] for name, feats in seen.items()})
            parts["identity"] = self.weights.identity * F.mse_loss(same, contents[:few])
        if self.weights.noise:
            noisy = contents + self.noise_std * torch.randn_like(contents)
            parts["noise"] = self.weights.noise * F.mse_loss(module(noisy, code), output)
        return parts

    def sample(self, module: nn.Module) -> Tensor:
        """Every shown content in every shown style, `(n, 3, px, px)`, content by content."""
        if self.shown is None:
            raise OptionError("there are no pictures to show.")
        device = next(module.parameters()).device
        contents, styles = (pictures.to(device) for pictures in self.shown)
        codes: tuple[str, ...] = self.network.code_layers  # type: ignore[assignment]
        wanted = self.encoder(styles, codes)
        code = {name: self._moments(wanted[name]) for name in codes}
        with torch.autocast(device.type, self.encoder.dtype, enabled=self.encoder.dtype == torch.bfloat16):
            cells = [module(content.expand(len(styles), -1, -1, -1), code) for content in torch.split(contents, 1)]
        return torch.cat(cells).float().clamp(0, 1)

    def _moments(self, feats: Tensor) -> Tensor:
        return moments(feats, covariances=self.network.covariances)  # type: ignore[arg-type]

    def _content(self, found: Mapping[str, Tensor], seen: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([w * CONTENT(found[name], seen[name]) for name, w in self.content_layers.items()]).sum()

    def _style(self, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
        losses = [STYLE_LOSSES[name] for name in self.style_losses]
        parts = [
            weight * loss(found[name], loss.target(wanted[name]))
            for name, weight in self.style_layers.items()
            for loss in losses
        ]
        return torch.stack(parts).sum()
