"""Training of a network that paints in any style: content and style as an encoder sees them (Huang & Belongie 2017)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
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

    `identity`: a content painted in its own style is to stay as it is (Park & Lee 2019). `noise`: a little noise on the
    content is not to change the output (Gao et al. 2020, for steady video). `range`: no pixel is to leave `[0, 1]`.
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
        """The weighted parts, each a mean over the pairs of the batch."""
        contents, styles = _placed(batch.contents, module), _placed(batch.styles, module)
        content_layers = set(self.content_layers) if self.weights.content else set()
        style_layers = set(self.style_layers) if self.weights.style else set()
        with torch.no_grad():
            seen = self.encoder(contents, content_layers | set(self._layers))
            wanted = self.encoder(styles, style_layers | set(self._layers))
        code = self._code(wanted)
        output: Tensor = module(contents, code, feats=seen)
        found = self.encoder(output, content_layers | style_layers)
        parts: dict[str, Callable[[], Tensor]] = {
            "content": lambda: self._content(found, seen),
            "style": lambda: self._style(found, wanted),
            "identity": lambda: self._identity(module, contents, seen),
            "smoothness": lambda: total_variation(output),
            "noise": lambda: self._noise(module, contents, code, output=output),
            "range": lambda: out_of_range(output),
        }
        weights = dataclasses.asdict(self.weights)
        return {name: weights[name] * part() for name, part in parts.items() if weights[name]}

    def sample(self, module: nn.Module) -> Tensor:
        """Every shown content in every shown style, `(1 + contents, 1 + styles, 3, px, px)`.

        The first row shows the styles, the first column the contents.
        """
        if self.shown is None:
            raise OptionError("there are no pictures to show.")
        contents, styles = (_placed(pictures, module) for pictures in self.shown)
        code, half = self._code(self.encoder(styles, self._layers)), self.encoder.dtype == torch.bfloat16
        with torch.autocast(contents.device.type, torch.bfloat16, enabled=half):
            painted = [module(content.expand(len(styles), -1, -1, -1), code) for content in torch.split(contents, 1)]
        rows = [torch.cat([torch.ones_like(styles[:1]), styles])]
        rows += [torch.cat([content[None], cells]) for content, cells in zip(contents, painted, strict=True)]
        return torch.stack(rows).float().clamp(0, 1)

    @property
    def _layers(self) -> tuple[str, ...]:
        return self.network.code_layers  # type: ignore[return-value]

    def _code(self, feats: Found) -> dict[str, Tensor]:
        """Statistics of the features at the network's code layers."""
        covariances: bool = self.network.covariances  # type: ignore[assignment]
        with torch.autocast(_first(feats.values()).device.type, enabled=False):  # sums of many products need float32
            return {name: moments(feats[name], covariances=covariances) for name in self._layers}

    def _content(self, found: Found, seen: Found) -> Tensor:
        return torch.stack([w * CONTENT(found[name], seen[name]) for name, w in self.content_layers.items()]).sum()

    def _style(self, found: Found, wanted: Found) -> Tensor:
        losses = [STYLE_LOSSES[name] for name in self.style_losses]
        parts = [
            weight * loss(found[name], loss.target(wanted[name]))
            for name, weight in self.style_layers.items()
            for loss in losses
        ]
        return torch.stack(parts).sum()

    def _identity(self, module: nn.Module, contents: Tensor, seen: Found) -> Tensor:
        """Every fourth picture, so that the parts of a batch take those that the whole would."""
        few, feats = contents[::SOME], {name: value[::SOME] for name, value in seen.items()}
        return F.mse_loss(module(few, self._code(feats), feats=feats), few)

    def _noise(self, module: nn.Module, contents: Tensor, code: Found, *, output: Tensor) -> Tensor:
        noisy = contents + self.noise_std * torch.randn_like(contents)
        return F.mse_loss(module(noisy, code), output)


def _placed(images: Tensor, module: nn.Module) -> Tensor:
    """The pictures where the module is, in the memory format that convolutions are fastest in."""
    return images.to(next(module.parameters()).device, memory_format=torch.channels_last)


def _first(values: Iterable[Tensor]) -> Tensor:
    return next(iter(values))
