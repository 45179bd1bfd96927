"""Whole pictures of any size, painted by a network with one style."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from impasto.core.errors import ImageTooSmall
from impasto.image.pixels import Preprocess
from impasto.image.tiling import NO_WRAPS, Wraps, check_multiples
from impasto.nets.noise import Noise
from impasto.nets.protocol import OneStyle

RGB = "rgb"  # the range and colour order where a card does not say

WHOLE_PX = 1 << 18
"""A larger picture is painted by strips. In float32 that is a third faster at 4 megapixels."""

HALF_PX = 1 << 22
"""In bfloat16 strips take twice the time: a picture of at most this many pixels is painted whole if memory allows."""

MEMORY_BYTES = 2_700_000_000
"""For a large picture, its output, and features that are kept so as not to be computed again."""

Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class Painter:
    """A network with one style, on `device` in `dtype`, from and to RGB in `[0, 1]`.

    `preprocess` maps pictures to the network's input range, `postprocess` to the range of its output.
    """

    net: OneStyle
    name: str
    preprocess: Preprocess
    postprocess: Preprocess
    dtype: torch.dtype
    device: torch.device

    @torch.no_grad()
    def painted(
        self, image: Tensor, *, memory_bytes: int = MEMORY_BYTES, noise: Noise | None = None, wraps: Wraps = NO_WRAPS
    ) -> Tensor:
        """The whole `image` `(1, 3, h, w)` in `[0, 1]` repainted and clamped.

        A large one is painted by strips, in about `memory_bytes` for the picture, its output, which has its type, and
        kept features; less memory makes it slower. Any other result is float32. `noise` is by default that of seed 0.
        Pictures that `wraps` are always painted by strips, whose margins come from the opposite edge. Raises
        `ImageTooSmall`, and `OptionError` for a side that wraps and is not a multiple of `tiling.MULTIPLE_PX`.
        """
        height, width = image.shape[-2:]
        if min(height, width) < self.net.smallest_px:
            raise ImageTooSmall(
                f"the content is {width}×{height} px here; {self.name} needs {self.net.smallest_px} px a side. "
                "Use a larger `size`."
            )
        check_multiples((height, width), wraps)
        half = self.dtype == torch.bfloat16
        fits = half and height * width <= min(HALF_PX, memory_bytes // self.net.whole_bytes)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            if any(wraps) or (height * width > WHOLE_PX and not fits):
                return self._by_strips(image, room_bytes=memory_bytes - 2 * image.nbytes, noise=noise, wraps=wraps)
            seen = self.preprocess.apply(image.to(self.device).float())
            painted = self.net(seen.contiguous(memory_format=torch.channels_last), noise=noise)
        return self.postprocess.inverse().apply(painted.float()).clamp_(0, 1).to(image.device)

    def _by_strips(self, image: Tensor, *, room_bytes: int, noise: Noise | None, wraps: Wraps) -> Tensor:
        output, back = torch.empty_like(image), self.postprocess.inverse()

        def read(start: int, stop: int) -> Tensor:
            return self.preprocess.apply(image[..., start:stop, :].to(self.device).float())

        size = (image.shape[-2], image.shape[-1])
        for rows, strip in self.net.strips(read, size, room_bytes=room_bytes, noise=noise, wraps=wraps):
            output[..., rows, :] = back.apply(strip).clamp_(0, 1)
        return output


def with_params(build: Callable[[], Net], net: nn.Module, *, params: Mapping[str, Tensor]) -> Net:
    """The network that `build` makes, frozen, with the tensors of `net`, not copied, and `params` in their place."""
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        made = build()
    made.load_state_dict({**net.state_dict(), **params}, assign=True)
    return made.eval().requires_grad_(False)
