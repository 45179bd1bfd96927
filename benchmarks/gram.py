"""The second moment of features against the plain expression: `python benchmarks/gram.py`."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from impasto.losses.moments import second_moment

SHAPES = ((32, 512, 512), (64, 256, 256), (128, 128, 128), (256, 64, 64), (256, 32, 32))


def plain(feats: Tensor) -> Tensor:
    """The textbook expression, in float32."""
    pixels = feats.float().flatten(2)
    return pixels @ pixels.mT / pixels.shape[-1]


def best_ms(function: Callable[[Tensor], Tensor], feats: Tensor) -> float:
    """Milliseconds of forward and backward, the best of seven."""
    times = []
    for _ in range(8):
        feats.grad = None
        begun = time.perf_counter()
        function(feats).square().mean().backward()
        times.append(time.perf_counter() - begun)
    return min(times[1:]) * 1e3


def main() -> None:
    """A Markdown table of bfloat16, channels-last features of a 512-px picture."""
    print("| channels, height, width | plain, ms | ours, ms |\n|---|--:|--:|")
    for shape in SHAPES:
        feats = torch.rand(1, *shape).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_(True)
        print(f"| {shape} | {best_ms(plain, feats):.1f} | {best_ms(second_moment, feats):.1f} |")


if __name__ == "__main__":
    main()
