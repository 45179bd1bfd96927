"""Frames per second of trained styles by size, beside the plain network of Johnson et al. 2016 in float32, in one run.

`python benchmarks/fast.py` takes the bundled network and the first of its styles. The plain one is written here in the
usual layers of torch (32, 64, 128 channels, five blocks, 9 × 9 at both ends, reflection padding), with random weights:
what a picture costs does not depend on them. Beside each size stands the greatest difference that bfloat16 makes to our
picture, in 8-bit steps, and the mean one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from impasto.core.memory import keep_freed_memory
from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.nets import fast as fast_nets

SIZES = {"256 × 256": (256, 256), "512 × 512": (512, 512), "720p": (720, 1280), "1080p": (1080, 1920)}


class Block(nn.Module):
    """Two convolutions beside a straight way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.way = nn.Sequential(*conv(width, width, 3), nn.ReLU(), *conv(width, width, 3))

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both."""
        found: Tensor = x + self.way(x)
        return found


def conv(into: int, out: int, side: int, stride: int = 1) -> list[nn.Module]:
    """Padding, convolution, norm."""
    return [nn.ReflectionPad2d(side // 2), nn.Conv2d(into, out, side, stride), nn.InstanceNorm2d(out, affine=True)]


def plain() -> nn.Module:
    """The network as its papers and their codes have it."""
    ways = [*conv(3, 32, 9), nn.ReLU(), *conv(32, 64, 3, 2), nn.ReLU(), *conv(64, 128, 3, 2), nn.ReLU()]
    ways += [Block(128) for _ in range(5)]
    for into, out in ((128, 64), (64, 32)):
        ways += [nn.Upsample(scale_factor=2), *conv(into, out, 3), nn.ReLU()]
    return nn.Sequential(*ways, *conv(32, 3, 9)[:2]).eval()


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The median of some runs after one that is not counted."""
    run()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="compact-styles")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    keep_freed_memory()
    johnson = plain()
    ours, exact = (fast_nets.load_fast_network(given.network, precision=precision) for precision in ("auto", "float32"))
    one, wide = (network.of({network.styles[0]: 1.0}) for network in (ours, exact))
    print(f"{ours.name}, {str(ours.dtype).removeprefix('torch.')}, {torch.get_num_threads()} threads\n")
    print("| size | plain Johnson, float32 | ours | times as fast | greatest, mean difference from float32 |")
    print("|---|--:|--:|--:|--:|")
    photo = sample("astronaut").pixels
    with torch.inference_mode():
        for name, size in SIZES.items():
            image = resized(photo, size)
            slow = seconds(partial(johnson, image), given.repeats)
            fast = seconds(partial(one.painter.painted, image), given.repeats)
            away = 255 * (one.painter.painted(image) - wide.painter.painted(image)).abs()
            rates = f"{1 / slow:.2f} | {1 / fast:.2f} | {slow / fast:.1f}"
            print(f"| {name} | {rates} | {away.max():.0f}, {away.mean():.1f} |")


if __name__ == "__main__":
    main()
