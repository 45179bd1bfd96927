"""Painting by optimisation against the textbook recipe, on this machine: `make bench`.

Each row runs in a process of its own, so that its peak memory is its own. The textbook recipe is one scale, float32,
the usual memory layout, 500 steps of `torch.optim.LBFGS` from the content; ours is the default of `impasto stylize`.
Both minimise the same objective, and every loss in the table is evaluated in float32 at full size. The textbook runs
until it reaches the loss that the default ends with (`--full`: also to its end). Without VGG-19 weights on this
machine, VGG-19 has random ones (He et al. 2015) of the same shapes: the arithmetic is the same.

    python benchmarks/optimise.py                 # all rows
    python benchmarks/optimise.py --size 256      # smaller and quicker
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command sets it, before torch is loaded

import torch
from torch import Tensor

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.core import memory
from impasto.core.errors import ImpastoError
from impasto.encoders import table
from impasto.encoders.table import Encoder
from impasto.encoders.vgg import STAGES
from impasto.image.resize import fit, resized
from impasto.image.samples import sample
from impasto.image.swatches import swatch
from impasto.objective.perceptual import Perceptual
from impasto.stylizers.optimised import Optimised
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.targets import objective_for
from impasto.weights.card import Card

TEXTBOOK_STEPS = 500
Row = dict[str, Any]


def vgg19(*, precision: str) -> Encoder:
    """VGG-19 with its published weights where they are cached, else with random ones."""
    try:
        os.environ.setdefault("IMPASTO_OFFLINE", "1")
        return table.load_encoder("vgg19", precision=precision)
    except ImpastoError:
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
    card = Card(kind="encoder", name="vgg19 (random)", network=network, preprocess="imagenet-rgb")
    return table.build_encoder(card, tensors, precision=precision)


def encoder(name: str, *, precision: str) -> Encoder:
    """The encoder of a row."""
    return vgg19(precision=precision) if name == "vgg19" else table.load_encoder(name, precision=precision)


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """The pictures of the benchmark, and the encoder that judges every row in float32."""

    content: Tensor
    mix: Mix
    judge: Encoder
    losses: LossOptions

    @functools.cached_property
    def objective(self) -> Perceptual:
        """The full-size float32 objective."""
        return objective_for(self.content, self.mix, encoder=self.judge, losses=self.losses)

    def loss(self, image: Tensor) -> float:
        """The objective of `image` at full size, in float32."""
        with torch.no_grad():
            return float(self.objective(image).total)

    @functools.cached_property
    def gflop(self) -> float:
        """Multiplications and additions of one forward and backward pass at full size, in 10⁹."""
        from torch.utils.flop_counter import FlopCounterMode

        canvas = self.content.clone().requires_grad_(True)
        with FlopCounterMode(display=False) as counter:
            self.objective(canvas).total.backward()
        return float(counter.get_total_flops()) / 1e9


def scene(name: str, size: int) -> Scene:
    """A photograph and a swatch at `size` px."""
    photo = sample("astronaut").pixels
    content = resized(photo, fit((photo.shape[-2], photo.shape[-1]), long_side_px=size))
    style = Style(swatch("strokes", size_hw=(size * 3 // 4, size)), name="strokes")
    return Scene(content, Mix((style,)), encoder(name, precision="float32"), LossOptions())


@dataclasses.dataclass(frozen=True)
class Plain:
    """An encoder in the usual memory layout."""

    net: Any

    def __call__(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        """Features, float32."""
        found: dict[str, Tensor] = self.net(image.contiguous(), layers)
        return found


def textbook(judged: Scene, painter: Encoder) -> Iterator[Tensor]:
    """The canvas after each step of the textbook recipe."""
    net = painter.net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    objective = dataclasses.replace(judged.objective, encoder=Plain(net))
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


def ours(judged: Scene, painter: Encoder, *, until_reached: bool) -> Iterator[Tensor]:
    """The canvas after each step of ours, all scales."""
    stylizer = Optimised(painter, judged.losses, OptimiseOptions())
    if until_reached:
        scales = len(stylizer.sizes((judged.content.shape[-2], judged.content.shape[-1])))
        steps = (*(stylizer.steps_at(scale) for scale in range(scales - 1)), TEXTBOOK_STEPS)
        stylizer = dataclasses.replace(stylizer, options=dataclasses.replace(stylizer.options, steps=steps))
    code = stylizer.prepare(judged.mix)
    for step in stylizer.paint(judged.content, code):
        yield step.image


def run(row: str, name: str, size: int, target: float | None) -> Row:
    """One row: paint until done, or until the loss is at `target`; evaluations of the loss are not timed."""
    memory.keep_freed_memory()
    judged = scene(name, size)
    start_loss, gflop = judged.loss(judged.content), judged.gflop
    precision = "float32" if row in ("textbook", "float32") else "auto"
    painter = encoder(name, precision=precision)
    area = judged.content[0, 0].numel()
    passes = []  # full-size passes that each evaluation is worth
    assert isinstance(painter.net, torch.nn.Module)
    painter.net.register_forward_hook(
        lambda _, args, __: passes.append(args[0][0, 0].numel() / area) if torch.is_grad_enabled() else None
    )
    steps = textbook(judged, painter) if row == "textbook" else ours(judged, painter, until_reached=target is not None)
    seconds, count, image, reached = 0.0, 0, judged.content, False
    while not reached:
        begun = time.perf_counter()
        found = next(steps, None)
        seconds += time.perf_counter() - begun
        if found is None:
            break
        image, count = found, count + 1
        reached = target is not None and image.shape == judged.content.shape and judged.loss(image) <= target
    return {
        "row": row if target is None else f"{row}, to the default's loss",
        "encoder": painter.name,
        "arithmetic": str(painter.dtype).removeprefix("torch."),
        "seconds": round(seconds, 2),
        "steps": count,
        "evaluations": len(passes),
        "loss": round(judged.loss(resized(image, (judged.content.shape[-2], judged.content.shape[-1]))), 4),
        "start_loss": round(start_loss, 4),
        "reached": reached,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "gflops": round(sum(passes) * gflop / seconds, 1),
    }


def peak(dtype: torch.dtype) -> float:
    """GFLOP/s of a 4096³ matrix product, the best of five."""
    a = torch.randn(4096, 4096).to(dtype)
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - begun)
    return 2 * 4096**3 / min(times[1:]) / 1e9


def in_own_process(row: str, name: str, size: int, target: float | None = None) -> Row:
    """A row, measured in a process of its own."""
    command = [sys.executable, __file__, "--row", row, "--encoder", name, "--size", str(size)]
    command += [] if target is None else ["--target", str(target)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Row = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def table_of(rows: list[Row], peaks: dict[str, float]) -> str:
    """The rows as Markdown."""
    lines = [
        "| encoder | recipe | seconds | times faster | steps | evaluations | loss | GFLOP/s | of the peak | peak MB |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        book = next(r for r in rows if r["encoder"] == row["encoder"] and r["row"].startswith("textbook,"))
        faster, share = book["seconds"] / row["seconds"], row["gflops"] / peaks[row["arithmetic"]]
        cells = [row["encoder"], f"{row['row']} ({row['arithmetic']})", row["seconds"], f"{faster:.1f}", row["steps"]]
        cells += [row["evaluations"], row["loss"], row["gflops"], f"{share:.0%}", row["peak_mb"]]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """All rows as a Markdown table, or one row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--row")
    parser.add_argument("--encoder", default="compact-vgg")
    parser.add_argument("--target", type=float)
    parser.add_argument("--encoders", default="compact-vgg,vgg19")
    parser.add_argument("--full", action="store_true", help="also all 500 steps of the textbook recipe")
    parser.add_argument("--output", type=Path, help="also write the rows as JSON")
    asked = parser.parse_args()
    if asked.row:
        print(json.dumps(run(asked.row, asked.encoder, asked.size, asked.target)))
        return
    peaks = {name: peak(getattr(torch, name)) for name in ("float32", "bfloat16")}
    rows = []
    for name in asked.encoders.split(","):
        ours_now = in_own_process("default", name, asked.size)
        rows += [in_own_process("textbook", name, asked.size, ours_now["loss"]), ours_now]
        rows += [in_own_process("float32", name, asked.size)]
        rows += [in_own_process("textbook", name, asked.size)] if asked.full else []
    found = ", ".join(f"{value:.0f} GFLOP/s {name}" for name, value in peaks.items())
    print(f"Matrix product of {torch.get_num_threads()} threads: {found}.")
    print("\n" + table_of(rows, peaks))
    if asked.output:
        asked.output.write_text(json.dumps({"peak_gflops": peaks, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
