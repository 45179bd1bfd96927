"""Every method by size on a GPU: pictures or steps a second, memory, and the share of the device's own matmul speed.

`python benchmarks/gpu.py` runs on the first NVIDIA GPU; where there is none it prints the rows as not run.
`--device cpu` runs them on the processor, without memory. Floating-point operations are those that PyTorch counts
(`torch.utils.flop_counter`), and the peak is the best of some large products in the type that the method computes in.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from impasto import api
from impasto.api import Job, OptimiseOptions, PaintOptions, SizeOptions, StyleSource
from impasto.image import files
from impasto.image.samples import sample

SIZES = (512, 1024, 2048)
STEPS = 20
METHODS = {"one pass": ("arbitrary", "painting.png"), "trained style": ("fast", "wave"), "a step": ("optimise", "")}
STEPPED = OptimiseOptions(steps=(STEPS,), scales=1, init="content")
ROW = "{:14} {:>7} {:>9} {:>10} {:>10} {:>10}"


def seconds(run: Callable[[], object], device: torch.device, *, repeats: int) -> float:
    """The median of some runs after one that is not counted."""
    taken = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of the best of some products of square matrices."""
    best = 0.0
    for side in (1024, 2048, 4096, 8192) if device.type == "cuda" else (512, 1024, 2048):
        a = torch.randn(side, side, device=device, dtype=dtype)
        best = max(best, 2 * side**3 / seconds(lambda a=a: a @ a, device, repeats=5))  # type: ignore[misc]
    return best


def job(folder: Path, name: str, *, size: int, device: torch.device) -> Job:
    """The job of a row; optimisation takes some steps at one scale, from the content."""
    method, style = METHODS[name]
    return Job(
        content=str(folder / "content.png"),
        styles=(StyleSource(source=style if style == "wave" else str(folder / "painting.png")),),
        size=SizeOptions(exact=(size, size)),
        paint=PaintOptions(method=method, device=device.type),
        optimise=OptimiseOptions(steps=(STEPS,), scales=1, init="content")
        if method == "optimise"
        else OptimiseOptions(),
    )


def row(folder: Path, name: str, *, size: int, device: torch.device, peaks: dict[torch.dtype, float]) -> list[str]:
    """A line of the table."""
    session = api.open_session(job(folder, name, size=size, device=device))
    dtype = session.loaded.dtype
    if dtype not in peaks:
        peaks[dtype] = matmul_peak(device, dtype)
    stylizer = session.stylizer
    code = stylizer.prepare(session.inputs.mix)

    def run() -> None:
        for step in stylizer.paint(session.inputs.content, code):
            last = step
        last.picture()

    with FlopCounterMode(display=False) as counter:
        run()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    taken, parts = seconds(run, device, repeats=3), STEPS if METHODS[name][0] == "optimise" else 1
    memory = f"{torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB" if device.type == "cuda" else "-"
    share = counter.get_total_flops() / taken / peaks[dtype]
    return [f"{parts / taken:.3g}", f"{taken / parts:.3g} s", memory, f"{share:.0%}"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    device = torch.device(given.device)
    here = device.type == "cpu" or torch.cuda.is_available()
    named = torch.cuda.get_device_name(0) if here and device.type == "cuda" else device.type
    print(f"torch {torch.__version__}, {named if here else 'no NVIDIA GPU here: rows are not run'}")
    print(ROW.format("method", "px", "a second", "one takes", "memory", "of matmul"))
    peaks: dict[torch.dtype, float] = {}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        files.write(folder / "content.png", sample("astronaut").pixels)
        files.write(folder / "painting.png", sample("coffee").pixels)
        for name in METHODS:
            for size in given.sizes:
                cells = row(folder, name, size=size, device=device, peaks=peaks) if here else ["not run", "", "", ""]
                print(ROW.format(name, size, *cells), flush=True)


if __name__ == "__main__":
    main()
