"""SqueezeNet 1.0 (Iandola et al. 2016, arXiv 1602.07360): a small ImageNet classifier, here as a teacher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import ImageTooSmall, OptionError
from impasto.encoders.protocol import DefaultLayers, unknown_layer
from impasto.image.pixels import preprocess_from
from impasto.image.tiling import Wraps
from impasto.weights.card import Card, fill

_FIRES = {
    "fire2": (96, 16, 64),
    "fire3": (128, 16, 64),
    "fire4": (128, 32, 128),
    "fire5": (256, 32, 128),
    "fire6": (256, 48, 192),
    "fire7": (384, 48, 192),
    "fire8": (384, 64, 256),
    "fire9": (512, 64, 256),
}
_WIDTHS = {"conv1": 96, **{name: 2 * expand for name, (_, _, expand) in _FIRES.items()}, "scores": 1000}
_DEFAULTS = DefaultLayers(content=("fire4",), style=("conv1", "fire3", "fire4", "fire6", "fire8"))
_STRIDES = {"conv1": 2, "fire2": 4, "fire3": 4, "fire4": 4, "fire9": 16, "scores": 16}


class Fire(nn.Module):
    """Squeeze to few channels, then expand by 1×1 and 3×3 convolutions side by side."""

    def __init__(self, width: int, squeeze: int, *, expand: int) -> None:
        super().__init__()
        self.conv1x1_1 = nn.Conv2d(width, squeeze, 1)
        self.conv1x1_2 = nn.Conv2d(squeeze, expand, 1)
        self.conv3x3_2 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(b, width, h, w)` to `(b, 2·expand, h, w)`."""
        x = F.relu(self.conv1x1_1(x))
        return F.relu(torch.cat([self.conv1x1_2(x), self.conv3x3_2(x)], dim=1))


class SqueezeNet(nn.Module):
    """`net(image, layers)` gives features named `conv1`, `fire2` … `fire9`, and `scores` `(b, 1000, 1, 1)`.

    Input is RGB in `[0, 1]`. `conv1_padding` reflects that many pixels at the border first: the published network has
    none, with 3 the features align with those of padded networks.
    """

    matrix: Tensor
    offset: Tensor

    def __init__(self, *, matrix: Sequence[Sequence[float]], offset: Sequence[float], conv1_padding: int = 0) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.tensor(matrix)[:, :, None, None], persistent=False)
        self.register_buffer("offset", torch.tensor(offset), persistent=False)
        self.conv1_padding = conv1_padding
        self.conv1 = nn.Conv2d(3, 96, 7, stride=2)
        for name, (width, squeeze, expand) in _FIRES.items():
            self.add_module(name, Fire(width, squeeze, expand=expand))
        self.conv_final = nn.Conv2d(512, 1000, 1, padding=1)

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer name, shallow to deep."""
        return tuple(_WIDTHS)

    @property
    def defaults(self) -> DefaultLayers:
        """Layers of content and style by default."""
        return _DEFAULTS

    @property
    def stages(self) -> None:
        """None: fire modules are not a plain sequence of convolutions."""
        return None

    @property
    def score_layer(self) -> str:
        """The layer of the class scores."""
        return "scores"

    def width(self, layer: str) -> int:
        """Number of channels of a layer."""
        self._check_name(layer)
        return _WIDTHS[layer]

    def stride(self, layer: str) -> int:
        """Pixels of the image per feature pixel."""
        self._check_name(layer)
        return _STRIDES.get(layer, 8)

    def smallest_px(self, layers: Iterable[str]) -> int:
        """Shortest image side that the layers accept."""
        return 2 * max((self.stride(name) for name in layers), default=1) + 8

    def reach_px(self, layers: Iterable[str]) -> None:
        """None: the unpadded first convolution shifts features off the multiples of their stride."""
        return None

    def align_borders(self) -> None:
        """Pad the first convolution."""
        self.conv1_padding = 3

    def wrapped(self, wraps: Wraps) -> SqueezeNet:
        """Raises `OptionError`: the poolings overlap, so that features do not repeat with the picture."""
        raise OptionError("`tileable` needs an encoder of the VGG family; SqueezeNet is of another.")

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features of the named layers; nothing deeper is computed."""
        wanted = list(layers)
        for name in wanted:
            self._check_name(name)
        if not wanted:
            return {}
        deepest = max(wanted, key=self.layers.index)
        h, w = image.shape[-2:]
        if min(h, w) < (need := self.smallest_px(wanted)):
            raise ImageTooSmall(f"the picture is {w}×{h} px here; {deepest} needs {need} px a side. Use a larger size.")
        feats: dict[str, Tensor] = {}
        with torch.autocast(image.device.type, enabled=False):  # as in `vgg`: centre first
            x = F.conv2d(image, self.matrix, self.offset)
        for name in self.layers[: self.layers.index(deepest) + 1]:
            x = self._stage(x, name)
            if name in wanted:
                feats[name] = x
        return feats

    def _stage(self, x: Tensor, name: str) -> Tensor:
        if name == "conv1":
            p = self.conv1_padding
            return F.relu(self.conv1(F.pad(x, (p, p, p, p), mode="reflect") if p else x))
        if name == "scores":
            return F.relu(self.conv_final(x)).mean(dim=(2, 3), keepdim=True)
        if name in ("fire2", "fire5", "fire9"):
            x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
        feats: Tensor = getattr(self, name)(x)
        return feats

    def _check_name(self, layer: str) -> None:
        if layer not in _WIDTHS:
            raise unknown_layer(layer, self.layers, defaults=_DEFAULTS)


def build_squeezenet(card: Card, tensors: Mapping[str, Tensor], *, pooling: str) -> SqueezeNet:
    """The network of a card; `pooling` is "native" or "max"."""
    if pooling not in ("native", "max"):
        raise OptionError(f"`pooling` is {pooling}; {card.name} is a SqueezeNet, which has max pooling only.")
    colour = preprocess_from(card.preprocess or "rgb")
    net = SqueezeNet(matrix=colour.matrix, offset=colour.offset, conv1_padding=card.network.get("conv1_padding", 0))
    fill(net, tensors, where=card.name)
    return net
