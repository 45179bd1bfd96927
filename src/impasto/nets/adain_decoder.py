"""A frozen encoder, a change of its features' statistics, and a decoder that mirrors the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.image.resize import SizeHW
from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.nets.colours import COLOURS, colour_map, in_colours, recoloured
from impasto.nets.layers import Conv, doubled_nearest
from impasto.nets.lazy import Map
from impasto.nets.moments import RunningMoments
from impasto.nets.noise import Noise
from impasto.nets.protocol import Code, Feats, PaintedRows, ReadRows, Stats, StyleParams
from impasto.nets.shared import shared
from impasto.nets.statistics import COVARIANCES, DEVIATIONS, QUANTILES, Running, joined_running
from impasto.nets.windows import WINDOW_PX, Window, mirrored, mirrored_indices, padded_size, windows


class AdaINDecoder(nn.Module):
    """AdaIN (Huang & Belongie 2017) and its relatives.

    The encoder's features at `relu4_1` are given the style's statistics; a decoder, the encoder backwards, makes a
    picture of them. `skips` are shallower layers whose features, given the style's statistics too, join the decoder
    where it has their size. `residual` puts a residual block before every doubling. `covariances`: whitening and
    colouring instead of means and deviations; `quantiles`: the style's distribution in each channel. `recolours`: the
    content is given the style's colours first, which `code` has in its entry "rgb". Satisfies `protocol.AnyStyle`; the
    parameters of a style are its code.
    """

    fast_network = None

    def __init__(
        self,
        encoder: Encoder,
        *,
        skips: Sequence[str] = (),
        residual: bool = False,
        covariances: bool = False,
        quantiles: bool = False,
        recolours: bool = False,
    ) -> None:
        super().__init__()
        stages = encoder.stages
        if stages is None:
            raise OptionError(f"{encoder.name} is not a purely sequential network; a mirrored decoder needs one.")
        self.encoder = encoder  # no module of its own: it is frozen, and its weights are saved with its own card
        self.statistic = COVARIANCES if covariances else QUANTILES if quantiles else DEVIATIONS
        self.recolours = recolours
        self.deepest = "relu4_1"
        self.code_layers = (*skips, self.deepest)
        self.stride = encoder.stride(self.deepest)
        widths, conv = [width for width, _ in stages[:4]], partial(Conv, side=3, padding="reflect")
        self.first = conv(widths[3], widths[2])
        self.stages, self.blocks, self.joins = nn.ModuleList(), nn.ModuleList(), nn.ModuleDict()
        for s in (2, 1, 0):
            width, count = widths[s], stages[s][1]
            after = widths[s - 1] if s else 3
            convs = [conv(width, width) for _ in range(count - 1)] + [conv(width, after)]
            self.stages.append(nn.ModuleList(convs))
            self.blocks.append(ResidualBlock(width) if residual else nn.Identity())
        for name in skips:
            width = encoder.width(name)
            self.joins[name] = nn.Conv2d(width, width, 1)
        self.reach_px = _reach([count for _, count in stages[:3]], residual=residual)

    def features(self, image: Tensor) -> Feats:
        """The encoder's features at the code layers, without gradients."""
        with torch.no_grad():
            return self.encoder(image, self.code_layers)

    def forward(self, image: Tensor, code: Code, *, feats: Feats | None = None) -> Tensor:
        """`image` `(b, 3, h, w)` painted whole by `code`; `feats` are its features, recoloured, if they are known."""
        if feats is None:
            if self.recolours:
                image = in_colours(image, code[COLOURS])
            feats = self.features(image)
        stats = {name: shared(self.statistic.of(feats[name])) for name in self.code_layers}
        return self.render(feats, stats, code=code)

    def style_params(self, code: Code) -> StyleParams:
        """The code itself."""
        return code

    def of_style(self, params: StyleParams) -> StyledDecoder:
        """See `protocol.AnyStyle`."""
        return StyledDecoder(self, params)

    def render(self, feats: Feats, stats: Stats, *, code: Code) -> Tensor:
        """The picture `(b, 3, h, w)` of features whose statistics over the whole content are `stats`, not clamped.

        No pixel depends on features of a content pixel farther away than `reach_px` on a side.
        """
        given = self.statistic.given
        changed = {name: given(feats[name], stats[name], target=code[name]) for name in self.code_layers}
        x = F.relu(self.first(changed[self.deepest]))
        for s, convs, block in zip((3, 2, 1), self.stages, self.blocks, strict=True):
            x = doubled_nearest(block(x))
            name = f"relu{s}_1"
            if name in self.joins:
                x = x + self.joins[name](changed[name])
            for conv in cast(nn.ModuleList, convs)[: None if s > 1 else -1]:
                x = F.relu(conv(x))
        last = cast(nn.ModuleList, self.stages[-1])[-1]
        with torch.autocast(x.device.type, enabled=False):  # bf16 has fewer steps than 8-bit pixels
            output: Tensor = last(x.float())
        return output


class ResidualBlock(nn.Module):
    """Two convolutions and a skip connection (He et al. 2015), without norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = (Conv(width, width, side=3, padding="reflect") for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to the same shape."""
        change: Tensor = self.two(F.relu(self.one(x)))
        return x + change


@dataclass(frozen=True, eq=False)
class StyledDecoder:
    """An `AdaINDecoder` with the code of one style: a `protocol.OneStyle`.

    Any size is painted, mirrored up to the next multiple of the network's stride. Strips are windows of whole rows: a
    first pass over them gathers the statistics of all features, a second one paints.
    """

    net: AdaINDecoder
    code: Code
    smallest_px: int = 1

    @property
    def whole_bytes(self) -> int:
        """See `protocol.OneStyle`: four maps of the first layer at a time, with some more."""
        return 10 * self.net.encoder.width("relu1_1")

    def __call__(self, image: Tensor, *, noise: Noise | None = None) -> Tensor:
        """See `protocol.OneStyle`; these networks have no noise."""
        size = (image.shape[-2], image.shape[-1])
        if self.net.recolours:
            image = in_colours(image, self.code[COLOURS])
        padded = mirrored(image, self._padded(size)).contiguous(memory_format=torch.channels_last)
        return self.net(padded, self.code, feats=self.net.features(padded))[..., : size[0], : size[1]]  # type: ignore[no-any-return]

    @torch.no_grad()
    def strips(
        self,
        read: ReadRows,
        size_hw: SizeHW,
        *,
        room_bytes: int,
        noise: Noise | None = None,
        window_px: int = WINDOW_PX,
        wraps: Wraps = NO_WRAPS,
    ) -> PaintedRows:
        """See `protocol.OneStyle`; a window has about `window_px` pixels."""
        net, picture = self.net, Map(read, 3, size_hw, wraps=wraps)
        reach_px, padded = net.reach_px, self._padded(size_hw)
        plan = windows(padded, reach_px=reach_px, stride=net.stride, window_px=window_px, wraps=wraps[0])
        linear = self._colour_map(read, size_hw, plan=plan)
        running: dict[str, Running] = {}
        kept: dict[Window, Feats] = {}
        for window in plan:
            feats = net.features(self._seen(picture, window=window, linear=linear))
            own = {name: _own(value, picture, window=window, reach_px=reach_px) for name, value in feats.items()}
            running = joined_running(running, own, statistic=net.statistic)
            if sum(value.nbytes for value in feats.values()) * (len(kept) + 1) <= room_bytes:
                kept[window] = feats
        stats = {name: shared(layer.value()) for name, layer in running.items()}
        for window in plan:
            feats = (
                kept.pop(window) if window in kept else net.features(self._seen(picture, window=window, linear=linear))
            )
            painted = _own(net.render(feats, stats, code=self.code), picture, window=window, reach_px=reach_px)
            stop = min(window.stop, size_hw[0])
            if window.start < stop:
                yield slice(window.start, stop), painted[..., : stop - window.start, : size_hw[1]]

    def _padded(self, size_hw: SizeHW) -> SizeHW:
        return padded_size(size_hw, stride=self.net.stride, smallest_px=2 * self.net.stride)  # features are padded, too

    def _colour_map(self, read: ReadRows, size_hw: SizeHW, *, plan: Sequence[Window]) -> Tensor | None:
        """The map from the colours of the whole picture to the style's colours."""
        if not self.net.recolours:
            return None
        rows = [(window.start, min(window.stop, size_hw[0])) for window in plan]
        parts = [RunningMoments.of(read(start, stop), covariances=True) for start, stop in rows if start < stop]
        return colour_map(shared(reduce(RunningMoments.joined, parts).value()), self.code[COLOURS])

    def _seen(self, picture: Map, *, window: Window, linear: Tensor | None) -> Tensor:
        """The pixels of a window, mirrored, or from the opposite edge, where it reaches beyond the picture."""
        (height, width), reach_px = picture.size_hw, self.net.reach_px
        if picture.wraps[0]:
            image = picture.around(window.first, window.last, columns=reach_px)
        else:
            rows = mirrored_indices(window.first, window.last, length=height)
            top = int(rows.min())
            image = picture.around(top, int(rows.max()) + 1, columns=reach_px)
            image = image[:, :, (rows - top).to(image.device)]
        if not picture.wraps[1]:
            image = image[..., mirrored_indices(0, self._padded(picture.size_hw)[1], length=width).to(image.device)]
        image = image.contiguous(memory_format=torch.channels_last)
        return image if linear is None else recoloured(image, linear)


def _own(feats: Tensor, picture: Map, *, window: Window, reach_px: int) -> Tensor:
    """The strip's own rows and columns of features `(b, c, h, w)` of a window of `picture`, or of its pixels."""
    stride = (window.last - window.first) // feats.shape[-2]
    return picture.cropped(window.own_rows(feats, stride=stride), reach_px // stride)


def _reach(counts: Sequence[int], *, residual: bool) -> int:
    """Pixels to each side that encoder and decoder look at, rounded up to whole pixels of the deepest layer."""
    strides = [1, 2, 4]
    convs = sum(2 * count * stride for count, stride in zip(counts, strides, strict=True))
    ends = 2 * 8 + sum(strides)  # the deepest convolution of each, and the way to the corner of the deepest pixel
    blocks = sum(2 * stride for stride in (8, 4, 2)) if residual else 0
    return -(-(convs + ends + blocks) // 8) * 8
