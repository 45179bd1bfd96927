"""The residual network of one or several trained styles (Johnson et al. 2016), with instance norms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import OptionError, UnknownName
from impasto.encoders.padding import exported
from impasto.image.resize import SizeHW
from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.nets.bands import BAND_NUMBERS, BANDS, in_bands
from impasto.nets.colours import in_colours
from impasto.nets.layers import (
    NORMS,
    PALETTE,
    Block,
    Conv,
    Layer,
    Norm,
    Transposed,
    mixed_entry,
    rectified,
    shuffled,
    smoothed,
    unshuffled,
    with_skip,
)
from impasto.nets.lazy import Map, convolved, mirrored_around, squared, summed, unsquared
from impasto.nets.noise import Noise
from impasto.nets.protocol import PaintedRows, ReadRows
from impasto.nets.streamed import STRIP_PX, StripRenderer

PADDINGS = ("reflect", "zero", "same")
"""`same`: zeros, one more at the bottom and right where their number is odd, as TensorFlow has it."""

UPSAMPLINGS = ("nearest", "bilinear", "transposed")
"""`bilinear`: after a binomial blur, against aliasing of the smaller grid (Karras et al. 2021, StyleGAN3)."""


class Residual(nn.Module):
    """Strided convolutions down, residual blocks, and upsampling convolutions up to the picture's size again.

    Satisfies `protocol.OneStyle` with one style. `widths` are the channels of the layers on the way down, the first at
    full size; the first and last convolution have `outer_px` a side, all others 3. `eps` is added to variances.
    `last_norm` puts an instance norm before the output, `tanh` `(scale, offset)` makes that `scale · tanh + offset`;
    `biases` are those of convolutions. With several `styles` each norm has a scale and shift per style (Dumoulin et al.
    2017). `skips`: additive skip connections, as in a U-Net (Ronneberger et al. 2015, where features are concatenated).
    `recolours`: the content is first given the style's colours, and the network's output is added to it, so that only
    strokes and forms are left to paint; pictures are then RGB in `[0, 1]`. `unshuffle` 2: space to depth before the
    first layer and depth to space after the last one, smoothed. `noise`: white noise times a learned strength per
    channel, added before the norms of the blocks and of the way up (Karras et al. 2019, StyleGAN), so that texture in
    flat areas grows from the noise instead of from the sampling grid. `matches_palette`: the finished picture is given
    the mean and covariance of the style's colours once more, since strokes lower the contrast; `matches_bands`: before,
    its contrast at each scale becomes the style's (`nets.bands`), where that is known. Neither while training.
    `norm`: one of `layers.NORMS`. `bottleneck`: blocks of three layers, the second with so many channels, between
    1×1 convolutions (He et al. 2016, figure 5). `start_px`: the picture is mirrored by so many pixels around it, and
    the convolutions of the blocks have no padding, so that the size is again that of the picture.
    """

    whole_bytes = 450  # in bfloat16 with widths 32, 64, 128

    def __init__(
        self,
        *,
        widths: Sequence[int],
        blocks: int,
        outer_px: int = 9,
        padding: str = "reflect",
        upsampling: str = "nearest",
        eps: float = 1e-5,
        biases: bool = True,
        last_norm: bool = False,
        tanh: Sequence[float] | None = None,
        styles: int = 1,
        skips: bool = False,
        recolours: bool = False,
        unshuffle: int = 1,
        noise: bool = False,
        matches_palette: bool = False,
        matches_bands: bool = False,
        norm: str = "instance",
        bottleneck: int = 0,
        start_px: int = 0,
    ) -> None:
        super().__init__()
        self.matches_palette, self.matches_bands, self.start_px = matches_palette, matches_bands, start_px
        self.styles, self.skips, self.recolours, self.unshuffle = styles, skips, recolours, unshuffle
        self._check(padding=padding, upsampling=upsampling, norm=norm)
        self.tanh = None if tanh is None else (float(tanh[0]), float(tanh[1]))
        self.stride = unshuffle * 2 ** (len(widths) - 1)
        reach = max(outer_px // 2, 2 ** (len(widths) - 1))
        self.smallest_px = max(unshuffle * (reach + 1), start_px + 1)  # reflection needs more than the padding
        self._register_colours()
        normed = partial(Norm, eps=eps, styles=styles, kind=norm)
        made = _Layers(widths, unshuffle, padding=padding, biases=biases, noise=noise, normed=normed)
        self.down, self.blocks = made.down(outer_px), made.blocks(blocks, bottleneck, pads=not start_px)
        self.up, self.last = made.up(upsampling), made.last(outer_px, normed=last_norm, zero=recolours)
        for index, layer in enumerate(module for module in self.modules() if isinstance(module, Layer)):
            layer.index = index

    def _check(self, *, padding: str, upsampling: str, norm: str) -> None:
        """Raise `OptionError` for numbers that contradict each other or do not exist."""
        if self.styles < 1:
            raise OptionError(f"the network has {self.styles} styles; 1 or more are needed.")
        if self.unshuffle not in (1, 2):
            raise OptionError(f"unshuffle is {self.unshuffle}; 1 or 2 is needed.")
        names = (("padding", padding, PADDINGS), ("norm", norm, NORMS), ("upsampling", upsampling, UPSAMPLINGS))
        for kind, name, known in names:
            if name not in known:
                raise UnknownName.of(kind, name, known=known)
        if (self.matches_palette and not self.recolours) or (self.matches_bands and not self.matches_palette):
            raise OptionError("matches_palette needs recolours, and matches_bands needs matches_palette.")
        if self.start_px and (self.skips or self.unshuffle > 1):
            raise OptionError("start_px is for networks without skips and unshuffle.")

    def _register_colours(self) -> None:
        for name, wanted, numbers in ((PALETTE, self.recolours, 12), (BANDS, self.matches_bands, BAND_NUMBERS)):
            if wanted:
                self.register_buffer(name, torch.zeros(numbers if self.styles == 1 else (self.styles, numbers)))

    def forward(self, image: Tensor, style_weights: Tensor | None = None, *, noise: Noise | None = None) -> Tensor:
        """`image` `(b, 3, h, w)` painted whole, in the range and colour order that the weights were trained for.

        `style_weights` `(b, styles)` mix the styles in each picture; a network of one style needs none. Without `noise`
        it is drawn anew in training, and that of seed 0 otherwise.
        """
        self.check_weights(style_weights)
        image = self.recoloured(image, style_weights)
        x, skips = unshuffled(self._mirrored(image), self.unshuffle), []
        with torch.autocast(x.device.type, enabled=False):  # in bf16 a smooth sky changed by up to 188 of 255 levels
            for layer in self.down:
                x = rectified(layer(x.float(), style_weights, noise))
                skips.append(x)
        skips.pop()
        for block in self.blocks:
            x = block(x, style_weights, noise)
        for layer in self.up:
            x, skip = rectified(layer(x, style_weights, noise)), skips.pop()
            x = with_skip(x, skip.to(x.dtype)) if self.skips else x
        with torch.autocast(x.device.type, enabled=False):  # bf16 has fewer steps than 8-bit pixels
            x = self.finished(self.last(x.float(), style_weights))
        x = x[..., : image.shape[-2], : image.shape[-1]]  # upsampled features reach to the next multiple
        if not self.recolours:
            return x
        x = x + image
        if not self.matches_palette or self.training:
            return x  # a network that is trained through the maps lets the contrast of its own output drift to a third
        contrast = self.contrast(style_weights)
        x = x.clamp(0, 1) if contrast is None else in_bands(x.clamp(0, 1), contrast)
        return in_colours(x, self.colours(style_weights))

    def _mirrored(self, image: Tensor) -> Tensor:
        px = self.start_px
        return F.pad(image, (px, px, px, px), mode="reflect") if px else image

    def finished(self, x: Tensor) -> Tensor:
        """The output of the last layer as pixels, without the content that is added to them."""
        x = shuffled(x, self.unshuffle)
        x = x if self.unshuffle == 1 else smoothed(F.pad(x, (1, 1, 1, 1), mode="replicate"))
        return self.bounded(x)

    def bounded(self, x: Tensor) -> Tensor:
        """Pixels in the output's range, where the network has a `tanh`."""
        return x if self.tanh is None else self.tanh[0] * torch.tanh(x) + self.tanh[1]

    @torch.no_grad()
    def strips(
        self,
        read: ReadRows,
        size_hw: SizeHW,
        *,
        room_bytes: int,
        noise: Noise | None = None,
        style_weights: Tensor | None = None,
        strip_px: int = STRIP_PX,
        wraps: Wraps = NO_WRAPS,
    ) -> PaintedRows:
        """See `protocol.OneStyle`; `strip_px` are the pixels of a strip, about."""
        self.check_weights(style_weights)
        renderer = StripRenderer.of(
            self,
            size_hw,
            style_weights=style_weights,
            room_bytes=room_bytes,
            strip_px=strip_px,
            noise=noise,
            wraps=wraps,
        )
        target = self.colours(style_weights) if self.recolours else None
        picture = renderer.recoloured(read, target)
        x = self._finished_map(renderer, picture)

        def rows(start: int, stop: int) -> Tensor:
            painted = self.bounded(x.rows(start, stop)[..., : size_hw[1]])
            painted = painted + picture.rows(start, stop) if self.recolours else painted
            return painted.clamp(0, 1) if self.matches_palette else painted

        output = Map(rows, 3, size_hw, x.held, wraps)
        if self.matches_palette:
            output, contrast = renderer.kept(output), self.contrast(style_weights)
            output = output if contrast is None else renderer.in_bands(output, contrast)
            output = renderer.recoloured(output.rows, target)
        for start, stop in renderer.spans(size_hw[0]):
            yield slice(start, stop), output.rows(start, stop)

    def _finished_map(self, renderer: StripRenderer, picture: Map) -> Map:
        """The output of the last layer, at the size of the picture or a little larger."""
        x, skips = squared(mirrored_around(picture, self.start_px), self.unshuffle), list[Map]()
        down, blocks, up = (cast(Any, list(part)) for part in (self.down, self.blocks, self.up))
        smallest = renderer.bytes_of(reduce(convolved, [layer.conv for layer in down], x))
        for layer in down[:-1]:  # features that are kept leave room for the second ones that a block needs
            x = renderer.layered(x, layer, beside=skips, spare_bytes=smallest * (2 if self.skips else 1), wide=True)
            skips += [x] if self.skips else []
        feats = renderer.computed(x, down[-1], wide=True)
        for block in blocks:
            feats = renderer.block_of(block, feats, beside=skips)
        x = renderer.held(feats)
        del feats  # freed as soon as no map needs them
        for layer in up:
            x = renderer.layered(x, layer, beside=skips)
            x = summed(x, skips.pop()) if self.skips else x
        x = renderer.layered(x, self.last, relu=False, wide=True)
        return x if self.unshuffle == 1 else unsquared(x, self.unshuffle)

    def check_weights(self, style_weights: Tensor | None) -> None:
        """Raise `OptionError` where weights are missing."""
        if style_weights is None and self.styles > 1:
            raise OptionError(f"this network has {self.styles} styles; it needs the weight of each.")

    def recoloured(self, image: Tensor, style_weights: Tensor | None = None) -> Tensor:
        """`image` `(b, 3, h, w)`, in the colours of the style where the network `recolours`: it paints on this."""
        if not self.recolours:
            return image
        return in_colours(image, self.colours(style_weights))

    def colours(self, style_weights: Tensor | None = None) -> Tensor:
        """Mean and covariance `(1|b, 4, 3)` of the styles' colours, mixed; only where the network `recolours`."""
        return self._mixed(PALETTE, style_weights).view(-1, 4, 3)

    def contrast(self, style_weights: Tensor | None = None) -> Tensor | None:
        """The styles' `bands.band_covariances` `(1|b, 45)`, mixed; None if they are not matched or not known."""
        if not self.matches_bands:
            return None
        mixed = self._mixed(BANDS, style_weights)
        return mixed if exported() or bool(mixed.any()) else None

    def _mixed(self, buffer: str, style_weights: Tensor | None) -> Tensor:
        values = self.get_buffer(buffer)
        with torch.autocast(values.device.type, enabled=False):
            if style_weights is None or values.ndim == 1:
                return values[None]
            return mixed_entry(buffer, lambda weights: weights @ values, weights=style_weights)


class _Layers:
    """Makes the layers of a network of these `widths`; `normed` is the norm of a width."""

    def __init__(
        self,
        widths: Sequence[int],
        unshuffle: int,
        *,
        padding: str,
        biases: bool,
        noise: bool,
        normed: Callable[[int], Norm],
    ) -> None:
        self._widths, self._colours, self._normed, self._noise = list(widths), 3 * unshuffle**2, normed, noise
        self._px = [unshuffle * 2**level for level in range(len(widths))]  # pixels of the picture a place, by level
        self._conv = partial(Conv, padding=padding, bias=biases)
        self._transposed = partial(Transposed, offset=int(padding != "same"), bias=biases)

    def down(self, outer_px: int) -> nn.ModuleList:
        """The way down: the first layer at full size, the others with stride 2."""
        sides = [(outer_px, 1), *[(3, 2)] * (len(self._widths) - 1)]
        steps = zip(pairwise([self._colours, *self._widths]), sides, self._px, strict=True)
        return nn.ModuleList(
            Layer(self._conv(a, b, side=side, stride=stride), self._normed(b), px=px)
            for (a, b), (side, stride), px in steps
        )

    def blocks(self, count: int, bottleneck: int, *, pads: bool) -> nn.ModuleList:
        """The residual blocks, with or without padding."""
        conv = self._conv if pads else partial(self._conv, padding="none")
        inner, wide = bottleneck, self._widths[-1]
        sides = [(wide, inner, 1), (inner, inner, 3), (inner, wide, 1)] if inner else 2 * [(wide, wide, 3)]

        def layer(into: int, out: int, *, side: int) -> Layer:
            return Layer(conv(into, out, side=side), self._normed(out), noise=self._noise * out, px=self._px[-1])

        return nn.ModuleList(Block(*(layer(a, b, side=side) for a, b, side in sides)) for _ in range(count))

    def up(self, upsampling: str) -> nn.ModuleList:
        """The way up; each layer doubles the size."""
        conv: Callable[[int, int], nn.Module] = partial(self._conv, side=3, doubles=upsampling)
        conv = self._transposed if upsampling == "transposed" else conv
        levels = reversed(list(zip(pairwise(self._widths), self._px, strict=False)))
        return nn.ModuleList(Layer(conv(b, a), self._normed(a), noise=self._noise * a, px=px) for (a, b), px in levels)

    def last(self, outer_px: int, *, normed: bool, zero: bool) -> Layer:
        """The last layer; `zero`: the first picture is the content, in other colours."""
        conv = self._conv(self._widths[0], self._colours, side=outer_px)
        if zero:
            nn.init.zeros_(conv.weight)
        return Layer(conv, self._normed(self._colours) if normed else None, px=self._px[0])
