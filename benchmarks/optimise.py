"""Painting by optimisation against the textbook recipe, on this machine: `make bench`.

Each row runs in a process of its own, so that its peak memory is its own. The textbook recipe is one scale, float32, the
usual memory layout, 500 steps of `torch.optim.LBFGS` from the content; ours is the default of `impasto stylize`. Both
minimise the same objective, and every loss in the table is evaluated in float32 at full size. Without VGG-19 weights on
this machine, VGG-19 has random weights (He et al. 2015) of the same shapes: the arithmetic is the same.

    python benchmarks/optimise.py                 # all rows, about half an hour on 2 cores
    python benchmarks/optimise.py --size 256      # smaller and quicker
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from impasto import api
from impasto.image.samples import sample
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.core import memory
from impasto.encoders import table
from impasto.encoders.table import Encoder
from impasto.encoders.vgg import STAGES
from impasto.image.resize import fit, resized
from impasto.image.swatches import swatch
from impasto.stylizers.optimised import Optimised
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.targets import objective_for
from impasto.weights.card import Card

TEXTBOOK_STEPS = 500


def vgg19(*, precision: str) -> Encoder:
    """VGG-19 with its published weights where they are cached, else with random ones."""
    try:
        return table.loaded("vgg19", precision=precision)
    except api.ImpastoError:
        pass
    draw = torch.Generator().manual_seed(0)
    tensors, before = {}, 3
    for stage, (width, count) in enumerate(STAGES["vgg19"], start=1):
        for index in range(1, count + 1):
            scale = math.sqrt(2 / (9 * before))
            tensors[f"conv{stage}_{index}.weight"] = scale * torch.randn(width, before, 3, 3, generator=draw)
            tensors[f"conv{stage}_{index}.bias"] = torch.zeros(width)
            before = width
    network = {"architecture": "vgg", "stages": STAGES["vgg19"], "padding": "zeros", "pooling": "max"}
    card = Card(kind="encoder", name="vgg19-random", network=network, preprocess="imagenet-rgb")
    return table.built(card, tensors, precision=precision)


def encoder(name: str, *, precision: str) -> Encoder:
    """The encoder of a row."""
    return vgg19(precision=precision) if name == "vgg19" else table.loaded(name, precision=precision)


@dataclasses.dataclass(frozen=True)
class Scene:
    """The pictures of the benchmark, and the fp32 loss that judges every row."""

    content: Tensor
    mix: Mix
    judge: Encoder
    losses: LossOptions

    def loss(self, image: Tensor) -> float:
        """The objective of `image` at full size, in float32."""
        with torch.no_grad():
            return self.objective(image).total.item()

    @property
    def objective(self) -> api.Any:
        """The full-size float32 objective."""
        return _cached_objective(self)


def _cached_objective(scene: Scene, _kept: dict[int, object] = {}) -> object:  # noqa: B006 one scene a process
    if id(scene) not in _kept:
        _kept[id(scene)] = objective_for(scene.content, scene.mix, encoder=scene.judge, losses=scene.losses)
    return _kept[id(scene)]


def scene(name: str, size: int) -> Scene:
    """A photograph and a swatch at `size` px."""
    photo = sample("astronaut").pixels
    content = resized(photo, fit((photo.shape[-2], photo.shape[-1]), long_side_px=size))
    style = Style(swatch("strokes", size_hw=(size * 3 // 4, size)), name="strokes")
    return Scene(content, Mix((style,)), encoder(name, precision="float32"), LossOptions())


def textbook(judged: Scene) -> Iterator[Tensor]:
    """The canvas after each step of the textbook recipe."""
    net = judged.judge.net.to(memory_format=torch.contiguous_format)
    eye = dataclasses.replace(judged.judge, net=net)
    objective = dataclasses.replace(judged.objective, encoder=_Plain(eye))
    canvas = judged.content.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([canvas], max_iter=1, history_size=100)

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = objective(canvas).total
        total.backward()
        return total

    for _ in range(TEXTBOOK_STEPS):
        optimizer.step(closure)
        yield canvas.detach()


@dataclasses.dataclass(frozen=True)
class _Plain:
    """An encoder in the usual memory layout."""

    encoder: Encoder

    def __call__(self, image: Tensor, layers: api.Any) -> dict[str, Tensor]:
        return self.encoder.net(image.contiguous(), layers)


def ours(judged: Scene, name: str, options: OptimiseOptions) -> Iterator[Tensor]:
    """The canvas after each step of ours, all scales."""
    stylizer = Optimised(encoder(name, precision=options.precision), judged.losses, options)
    code = stylizer.prepare(judged.mix)
    for step in stylizer.paint(judged.content, code):
        yield step.image


def run(row: str, name: str, size: int, target: float | None) -> dict[str, object]:
    """One row: paint until done, or until the loss is at `target`; evaluations of the loss are not timed."""
    memory.keep_freed_memory()
    judged = scene(name, size)
    start_loss = judged.loss(judged.content)
    steps = textbook(judged) if row == "textbook" else ours(judged, name, _options(row, target))
    seconds, count, image, reached = 0.0, 0, judged.content, None
    while True:
        begun = time.perf_counter()
        found = next(steps, None)
        seconds += time.perf_counter() - begun
        if found is None:
            break
        image, count = found, count + 1
        full = image.shape == judged.content.shape
        if target is not None and full and judged.loss(image) <= target:
            reached = seconds
            break
    return {
        "row": row,
        "encoder": judged.judge.name,
        "seconds": round(seconds, 2),
        "steps": count,
        "loss": round(judged.loss(resized(image, tuple(judged.content.shape[-2:]))), 4),
        "start_loss": round(start_loss, 4),
        "reached": reached is not None,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "gflop_a_full_step": round(_gflop(judged), 1),
    }


def _options(row: str, target: float | None) -> OptimiseOptions:
    options = OptimiseOptions()
    if row == "float32":
        options = dataclasses.replace(options, precision="float32")
    if target is not None:  # go on at full size until the loss is reached
        options = dataclasses.replace(options, steps=(*options.steps[:-1], TEXTBOOK_STEPS))
    return options


def _gflop(judged: Scene) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    canvas = judged.content.clone().requires_grad_(True)
    with FlopCounterMode(display=False) as counter:
        judged.objective(canvas).total.backward()
    return counter.get_total_flops() / 1e9


def peak(dtype: torch.dtype) -> float:
    """GFLOP/s of a 4096³ matrix product, the best of five."""
    a = torch.randn(4096, 4096).to(dtype)
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - begun)
    return 2 * 4096**3 / min(times[1:]) / 1e9


def _in_own_process(row: str, name: str, size: int, target: float | None = None) -> dict[str, api.Any]:
    command = [sys.executable, __file__, "--row", row, "--encoder", name, "--size", str(size)]
    command += [] if target is None else ["--target", str(target)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, api.Any] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def main() -> None:
    """All rows as a Markdown table, or one row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--row")
    parser.add_argument("--encoder", default="compact-vgg")
    parser.add_argument("--target", type=float)
    parser.add_argument("--output", type=Path, help="also write the rows as JSON")
    asked = parser.parse_args()
    if asked.row:
        print(json.dumps(run(asked.row, asked.encoder, asked.size, asked.target)))
        return
    peaks = {name: peak(getattr(torch, name)) for name in ("float32", "bfloat16")}
    book = _in_own_process("textbook", "vgg19", asked.size)
    rows = [book]
    rows += [_in_own_process(row, "vgg19", asked.size, book["loss"]) for row in ("float32", "default")]
    rows += [_in_own_process(row, "compact-vgg", asked.size) for row in ("textbook", "float32", "default")]
    _print(rows, peaks)
    if asked.output:
        asked.output.write_text(json.dumps({"peak_gflops": peaks, "rows": rows}, indent=1) + "\n")


def _print(rows: list[dict[str, api.Any]], peaks: dict[str, float]) -> None:
    print(f"matrix product, 2 threads: {peaks['float32']:.0f} GFLOP/s float32, {peaks['bfloat16']:.0f} bfloat16\n")
    print("| encoder | recipe | seconds | times faster | steps | loss (float32) | peak MB |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for row in rows:
        book = next(r for r in rows if r["encoder"] == row["encoder"] and r["row"] == "textbook")
        faster = book["seconds"] / row["seconds"]
        cells = (row["encoder"], row["row"], row["seconds"], f"{faster:.1f}", row["steps"], row["loss"], row["peak_mb"])
        print("| " + " | ".join(str(cell) for cell in cells) + " |")


if __name__ == "__main__":
    main()
