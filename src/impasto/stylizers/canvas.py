"""What a canvas can start as."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.colour import matched_covariance
from impasto.image.resize import resized
from impasto.stylizers.protocol import Mix


def started(
    init: str, content: Tensor, *, mix: Mix, generator: torch.Generator, picture: Tensor | None = None
) -> Tensor:
    """The first canvas, of the size of `content` `(1, 3, h, w)`.

    `content`; `style`: the first style picture that counts, stretched over it; `noise`: white noise around grey;
    `grey`; `statistics`: smooth noise with that style's colours (mean and covariance); `picture`: the given one.
    """
    size = (content.shape[-2], content.shape[-1])
    if init == "content":
        return content.clone()
    if init == "grey":
        return torch.full_like(content, 0.5)
    if init == "style":
        return resized(mix.first.seen(), size).clone()
    if init == "noise":
        return (0.5 + 0.1 * torch.randn(content.shape, generator=generator)).clamp(0, 1).to(content)
    if init == "statistics":
        coarse = torch.randn(1, 3, max(1, size[0] // 16), max(1, size[1] // 16), generator=generator)
        noise = 0.5 + 0.1 * resized(coarse, size, clamp=False) + 0.05 * torch.randn(content.shape, generator=generator)
        return matched_covariance(noise.clamp(0, 1), mix.first.seen()).to(content)
    if picture is None:
        raise OptionError("--init picture needs --init-picture FILE.")
    return resized(picture, size).clone()
