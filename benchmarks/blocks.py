"""Memory and processor seconds of painting by optimisation by size: `python benchmarks/blocks.py 1 4 16 --memory-gb 6`.

Each size is painted in a process of its own, at one scale, from the content, for two steps of L-BFGS; the first one,
which evaluates the objective twice, is timed. `--share 8` computes every eighth block only: seconds per block are the
same, memory is made up to that of all blocks, and very large pictures can be measured on a slow machine. The picture is
then useless.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.core.memory import keep_freed_memory
from impasto.encoders.table import load_encoder
from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.image.strips import LARGE_PX
from impasto.image.swatches import swatch
from impasto.objective import blocks as geometry
from impasto.stylizers import blockwise
from impasto.stylizers.footprint import Footprint
from impasto.stylizers.minimise import Lbfgs
from impasto.stylizers.optimised import Optimised
from impasto.stylizers.protocol import Mix, Style


def content_of(megapixels: float) -> torch.Tensor:
    """A picture of four to three, in half precision where `files.read` gives that."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (height, round(megapixels * 1e6 / height))
    picture = sample("astronaut").pixels
    return resized(picture.half() if size[0] * size[1] > LARGE_PX else picture, size)


def measure(megapixels: float, options: argparse.Namespace) -> dict[str, object]:
    """Paint one step, and report what it took."""
    keep_freed_memory()
    losses, optimise = LossOptions(), OptimiseOptions(steps=(2,), scales=1, init="content")
    encoder = load_encoder(losses.encoder, precision=options.precision)
    content = content_of(megapixels)
    size = (content.shape[-2], content.shape[-1])
    way = Footprint(encoder, losses, optimise).chosen(size, round(options.memory_gb * 1e9))
    share, each = options.share if not way.whole else 1, geometry.blocks_of
    counts: list[int] = []

    def some(*args: object, **named: object) -> tuple[geometry.CanvasBlock, ...]:
        found = each(*args, **named)  # type: ignore[arg-type]
        counts.append(len(found))
        return found[::share] if len(found) >= share else found

    blockwise.blocks_of = some  # type: ignore[attr-defined]
    work = Optimised(encoder, losses, optimise, memory_bytes=round(options.memory_gb * 1e9))
    mix = Mix((Style(swatch("strokes", size_hw=(480, 600))),))
    marks: list[float] = []
    begun, inner = time.process_time(), Lbfgs.step

    ballast: list[torch.Tensor] = []

    def step(self: Lbfgs) -> tuple[dict[str, float], str]:
        if share > 1 and not ballast and way.keep != "disk":  # the features of the content in the blocks left out
            features = Footprint(encoder, losses, optimise)._features(size[0] * size[1])
            ballast.append(torch.ones(features - features // share, dtype=torch.uint8))
        marks.append(time.process_time())
        found = inner(self)
        marks.append(time.process_time())
        return found

    Lbfgs.step = step  # type: ignore[method-assign]
    *_, last = work.paint(content, work.prepare(mix))
    count = max(counts, default=1)  # the others are those of the style picture
    computed = size[0] * size[1] / 1e6 * (len(range(0, count, share)) / count if count >= share else 1)
    return {
        "megapixels": megapixels,
        "how": "whole" if way.whole else f"{count} blocks",
        "keep": way.keep,
        "computed": round(computed, 2),
        "start_s": (marks[0] - begun) / computed,
        "step_s": (marks[1] - marks[0]) / computed,
        "estimate_mb": way.bytes // 2**20,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "finite": bool(torch.isfinite(last.image).all()),
    }


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("megapixels", type=float, nargs="*", default=[1, 4, 16])
    parser.add_argument("--memory-gb", type=float, default=6.0)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--share", type=int, default=1, help="compute one block in so many")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.megapixels[0], options)))
        return
    print("| megapixels | computed | L-BFGS in | start, s/MP | one step, s/MP | estimate MB | peak MB |")
    print("|--:|---|---|--:|--:|--:|--:|", flush=True)
    for megapixels in options.megapixels:
        given = [sys.executable, __file__, str(megapixels), "--child", "--memory-gb", str(options.memory_gb)]
        given += ["--precision", options.precision, "--share", str(options.share)]
        done = subprocess.run(given, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout)
        numbers = f"{row['start_s']:.1f} | {row['step_s']:.1f} | {row['estimate_mb']} | {row['peak_mb']}"
        print(f"| {megapixels:g} | {row['how']} | {row['keep']} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
