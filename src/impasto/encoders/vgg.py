"""The VGG family: stages of 3×3 convolutions with ReLU, a 2×2 pooling between stages (Simonyan & Zisserman 2014)."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from impasto.core.errors import ImageTooSmall, UnknownName
from impasto.encoders.padding import reflected, surrounded
from impasto.encoders.protocol import DefaultLayers, unknown_layer
from impasto.image.tiling import NO_WRAPS, Wraps

Pooling = Literal["max", "average"]
POOLINGS = ("max", "average")
PADDINGS = ("zeros", "reflect")
Matrix = Sequence[Sequence[float]]

STAGES: dict[str, tuple[tuple[int, int], ...]] = {
    "vgg16": ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
    "vgg19": ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)),
    "compact-vgg": ((32, 2), (64, 2), (128, 3), (256, 2), (256, 1)),
}
"""`(width, number of convolutions)` of each stage."""

SPARED_PIXELS = 1_500_000
"""Area in pixels from which gradient checkpointing between poolings is used (Chen et al. 2016): a second forward pass
replaces stored activations."""

JOHNSON_LAYERS = DefaultLayers(content=("relu2_2",), style=("relu1_2", "relu2_2", "relu3_3", "relu4_3"))
"""Of a VGG-16, as in Johnson et al. 2016."""

_LAYER = re.compile(r"(conv|relu)(\d+)_(\d+)|pool(\d+)")


class LayerPlace(NamedTuple):
    """Where a layer's features are: after the `conv`-th convolution of `stage` (1-based)."""

    stage: int
    conv: int
    kind: str


def _name(place: LayerPlace) -> str:
    return f"pool{place.stage}" if place.kind == "pool" else f"{place.kind}{place.stage}_{place.conv}"


class Vgg(nn.Module):
    """A VGG up to its last convolution; `vgg(image, layers)` gives features by layer name.

    Layer names are `conv1_1` (before the ReLU), `relu1_1` (after it) and `pool1`. Input is RGB in `[0, 1]`,
    `(b, 3, h, w)`; the colour map `matrix @ rgb + offset` that the weights expect is applied inside.
    """

    matrix: Tensor
    offset: Tensor

    def __init__(
        self,
        stages: Sequence[tuple[int, int]],
        *,
        matrix: Matrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        offset: Sequence[float] = (0, 0, 0),
        padding: Literal["zeros", "reflect"] = "zeros",
        pooling: Pooling = "max",
        pool_gain: Sequence[float] | None = None,
        ceil_mode: bool = False,
        batch_norm: bool = False,
    ) -> None:
        """`pool_gain` multiplies the output of each pooling: average pooling of features trained with max pooling
        reduces their magnitude (`encoders.gains` measures the factors)."""
        super().__init__()
        for kind, value, known in (("padding", padding, PADDINGS), ("pooling", pooling, POOLINGS)):
            if value not in known:
                raise UnknownName.of(kind, value, known=known)
        self.stages = tuple((int(w), int(n)) for w, n in stages)
        self.padding, self.pooling, self.ceil_mode = padding, pooling, ceil_mode
        self.wraps = NO_WRAPS
        self.pool_gain = tuple(pool_gain) if pool_gain is not None else (1.0,) * (len(self.stages) - 1)
        self.register_buffer("matrix", torch.tensor(matrix, dtype=torch.float32)[:, :, None, None], persistent=False)
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32), persistent=False)
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        width = 3
        for s, (wide, count) in enumerate(self.stages, start=1):
            for i in range(1, count + 1):
                self.convs[f"conv{s}_{i}"] = nn.Conv2d(width, wide, 3)
                if batch_norm:
                    self.norms[f"conv{s}_{i}"] = nn.BatchNorm2d(wide)
                width = wide

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer name, shallow to deep."""
        names: list[str] = []
        for s, (_, count) in enumerate(self.stages, start=1):
            for i in range(1, count + 1):
                names += [f"conv{s}_{i}", f"relu{s}_{i}"]
            if s < len(self.stages):
                names.append(f"pool{s}")
        return tuple(names)

    @property
    def defaults(self) -> DefaultLayers:
        """The layers of Johnson et al. 2016 for a VGG-16; else the first ReLU of each stage, and two in the middle."""
        if [count for _, count in self.stages] == [count for _, count in STAGES["vgg16"]]:
            return JOHNSON_LAYERS
        names = tuple(name for name in ("relu3_3", "relu4_2") if name in self.layers)
        firsts = tuple(f"relu{s}_1" for s in range(1, len(self.stages) + 1))
        return DefaultLayers(content=names or firsts[-1:], style=firsts)

    @property
    def score_layer(self) -> None:
        """None: the classifier is not part of the network."""
        return None

    def width(self, layer: str) -> int:
        """Number of channels of a layer."""
        return self.stages[self.place(layer).stage - 1][0]

    def stride(self, layer: str) -> int:
        """Pixels of the image per feature pixel."""
        place = self.place(layer)
        return int(2 ** (place.stage - (place.kind != "pool")))

    def place(self, layer: str) -> LayerPlace:
        """Where a layer is. Raises `UnknownName`."""
        match = _LAYER.fullmatch(layer)
        if match is None or layer not in self.layers:
            raise unknown_layer(layer, self.layers, defaults=self.defaults)
        if match[4] is not None:
            return LayerPlace(int(match[4]), self.stages[int(match[4]) - 1][1], "pool")
        return LayerPlace(int(match[2]), int(match[3]), match[1])

    def smallest_px(self, layers: Iterable[str]) -> int:
        """Shortest image side with which every layer has at least 2 pixels, as reflection padding needs."""
        return 2 * max((self.stride(name) for name in layers), default=1)

    def reach_px(self, layers: Iterable[str]) -> int:
        """See `protocol.EncoderNet`: the reach of the convolutions, as poolings stay within cells of the grid."""
        places = [self.place(name) for name in layers]
        above = self.layers[: max(self.layers.index(_name(place)) for place in places) + 1] if places else ()
        return sum(self.stride(name) for name in above if name.startswith("conv"))

    def align_borders(self) -> None:
        """No effect: the convolutions are padded."""

    def wrapped(self, wraps: Wraps) -> Vgg:
        """See `protocol.EncoderNet`."""
        other = copy.copy(self)
        other.wraps = wraps
        return other

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features of the named layers; nothing deeper than the deepest of them is computed.

        Raises `ImageTooSmall` where the picture has fewer pixels than `smallest_px(layers)` on a side.
        """
        wanted = set(layers)
        if not wanted:
            return {}
        depth = max(self.place(name) for name in wanted)
        self._check_size(image, wanted)
        feats: dict[str, Tensor] = {}
        with torch.autocast(image.device.type, enabled=False):  # bf16 has fewer steps than 8-bit pixels: centre first
            x = F.conv2d(image, self.matrix.to(image.dtype), self.offset.to(image.dtype))
        spare = x.requires_grad and x[0, 0].numel() >= SPARED_PIXELS
        for stage in range(1, depth.stage + 1):
            last = depth.conv if stage == depth.stage else self.stages[stage - 1][1]
            pooled = depth.stage > stage or f"pool{stage}" in wanted
            run = partial(self._stage, stage=stage, last=last, pooled=pooled, wanted=wanted)
            x, here = checkpoint(run, x, use_reentrant=False) if spare else run(x)
            feats |= here
        return feats

    def _stage(
        self, x: Tensor, *, stage: int, last: int, pooled: bool, wanted: set[str]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The output of a stage computed up to its `last` convolution, and its named features."""
        feats_by_layer: dict[str, Tensor] = {}

        def kept(name: str, feats: Tensor) -> Tensor:
            if name in wanted:  # the others are released at once, which saves most memory without gradients
                feats_by_layer[name] = feats
            return feats

        for i in range(1, last + 1):
            x = kept(f"conv{stage}_{i}", self._conv(x, f"conv{stage}_{i}"))
            x = kept(f"relu{stage}_{i}", F.relu(x))
        if pooled:
            x = kept(f"pool{stage}", self._pool(x, stage))
        return x, feats_by_layer

    def _check_size(self, image: Tensor, layers: set[str]) -> None:
        h, w = image.shape[-2:]
        if min(h, w) < (need := self.smallest_px(layers)):
            deepest = max(layers, key=self.stride)
            raise ImageTooSmall(f"the picture is {w}×{h} px here; {deepest} needs {need} px a side. Use a larger size.")

    def _conv(self, x: Tensor, name: str) -> Tensor:
        if any(self.wraps):
            x = surrounded(x, self.wraps, mirrored=self.padding == "reflect")
        else:
            x = F.pad(x, (1, 1, 1, 1)) if self.padding == "zeros" else reflected(x)
        x = self.convs[name](x)
        return self.norms[name](x) if name in self.norms else x

    def _pool(self, x: Tensor, stage: int) -> Tensor:
        pool = F.max_pool2d if self.pooling == "max" else F.avg_pool2d
        x = pool(x, 2, ceil_mode=self.ceil_mode)
        gain = self.pool_gain[stage - 1]
        return x if gain == 1.0 else x * gain

    def load_convs(self, tensors: dict[str, Tensor]) -> None:
        """Set the convolutions from canonical keys (`conv1_1.weight`, `conv1_1.bias`)."""
        self.convs.load_state_dict({k: v.float() for k, v in tensors.items()})

    @torch.no_grad()
    def convs_folded(self) -> dict[str, Tensor]:
        """Canonical tensors with the batch norms (their running statistics) folded into the convolutions."""
        tensors: dict[str, Tensor] = {}
        for name, conv in self.convs.items():
            weight, bias = conv.weight, conv.bias  # type: ignore[union-attr]
            if name in self.norms:
                weight, bias = _folded(weight, bias, norm=self.norms[name])  # type: ignore[arg-type]
            tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight.clone(), bias.clone()  # type: ignore[operator]
        return tensors


def _folded(weight: Tensor, bias: Tensor, *, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None
    assert var is not None
    scale = norm.weight / torch.sqrt(var + norm.eps)
    return weight * scale[:, None, None, None], (bias - mean) * scale + norm.bias


@torch.no_grad()
def give_batch_norm(vgg: Vgg, images: Tensor) -> None:
    """Put batch norms into a network that has none without changing what it computes on `images`.

    Each norm's statistics are those of its convolution's output there, and its scale and shift undo them. So a
    folded network can be trained on as if the norms had never been folded away.
    """
    for name, conv in vgg.convs.items():
        features = vgg(images, [name])[name].float()
        var, mean = torch.var_mean(features, dim=(0, 2, 3), correction=0)
        norm = nn.BatchNorm2d(conv.out_channels).to(features.device)  # type: ignore[arg-type]
        norm.running_mean, norm.running_var = mean.clone(), var.clone()
        norm.weight.copy_(torch.sqrt(var + norm.eps))
        norm.bias.copy_(mean)
        vgg.norms[name] = norm.eval()  # freezes its statistics while the next ones are measured
    vgg.norms.train(vgg.training)
