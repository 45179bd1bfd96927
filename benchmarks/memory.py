"""Seconds and peak memory of painting in one pass by size: `python benchmarks/memory.py 1 10 100`.

`--trained wave` paints a style of the network of trained styles instead.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from impasto.core.memory import keep_freed_memory
from impasto.encoders import table as encoders
from impasto.image import files
from impasto.image.samples import sample
from impasto.image.swatches import swatch
from impasto.nets import table
from impasto.nets.fast import load_fast_network
from impasto.nets.table import VARIANTS, Network
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.fast import Fast
from impasto.stylizers.protocol import Mix, Style, Stylizer
from impasto.weights.card import Card


def drawn(path: Path, megapixels: float) -> None:
    """A picture of four to three in the format of the suffix, by Pillow alone."""
    small = sample("astronaut").pixels[0].mul(255).byte().permute(1, 2, 0).numpy()
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    Image.fromarray(small).resize((round(megapixels * 1e6 / height), height)).save(path)


def any_style(name: str, precision: str) -> Network:
    """A weight file, or an untrained row of `VARIANTS` on the bundled encoder."""
    if name not in VARIANTS:
        return table.load_network(name, precision=precision)
    encoder = encoders.load_encoder("compact-vgg", precision=precision)
    torch.manual_seed(0)
    net = table.untrained(encoder, VARIANTS[name]).eval().requires_grad_(False)
    net = net.to(memory_format=torch.channels_last)
    return Network(net, Card(kind=table.KIND, name=name, network=VARIANTS[name]), "", encoder, encoder.dtype)


def chosen(options: argparse.Namespace) -> tuple[Stylizer[Any], Style]:
    """The stylizer of the options, and its style."""
    if options.trained:
        network = load_fast_network("compact-styles", precision=options.precision)
        return Fast({options.trained: network.of({options.trained: 1.0})}), Style(trained=options.trained)
    network_of_any = any_style(options.network, options.precision)
    return Arbitrary(network_of_any), Style(swatch("strokes", size_hw=(480, 600)))


def paint(source: Path, output: Path, options: argparse.Namespace) -> None:
    """Read, paint and write; prints the seconds of each and the peak of memory so far."""
    if not options.give_back:
        keep_freed_memory()  # as the command line does
    stylizer, style = chosen(options)
    code = stylizer.prepare(Mix((style,)))
    notes: list[str] = []
    begun = time.perf_counter()

    def note(name: str) -> None:
        notes.append(f"{name} {time.perf_counter() - begun:.0f} s {peak_mb()} MB")

    note("start")
    content = files.read(source)
    note("read")
    *_, last = stylizer.paint(content.pixels, code, strength=options.strength)
    note("painted")
    files.write(output, last.picture())
    note("written")
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), "steps": last.total, "notes": ", ".join(notes)}))


def peak_mb() -> int:
    """The peak of this process's memory until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """A Markdown table; each picture in a process of its own, drawn in another, so that peaks do not mix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("megapixels", type=float, nargs="*", default=[1, 10, 100])
    parser.add_argument("--network", default="adain", help="a weight file, or a row of VARIANTS, untrained")
    parser.add_argument("--trained", default="", help="a trained style to paint in, in place of --network")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--suffix", default=".jpg")
    parser.add_argument("--give-back", action="store_true", help="let freed memory return to the system")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    flags = [f"--{key}={getattr(options, key)}" for key in ("network", "trained", "precision", "strength", "suffix")]
    flags += ["--give-back"] if options.give_back else []
    if options.child is not None:
        where = Path(options.child[1])
        if options.child[0] == "draw":
            drawn(where, options.megapixels[0])
        else:
            paint(where, where.with_name(f"out{options.suffix}"), options)
        return
    print("| megapixels | seconds | peak MB | steps | on the way |\n|--:|--:|--:|--:|---|")
    with tempfile.TemporaryDirectory() as name:
        for megapixels in options.megapixels:
            given = [sys.executable, __file__, str(megapixels), *flags]
            source = str(Path(name) / f"photo{options.suffix}")
            subprocess.run([*given, "--child", "draw", source], check=True)
            done = subprocess.run([*given, "--child", "paint", source], check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout)
            row = f"{found['seconds']:.1f} | {found['peak_mb']} | {found['steps']} | {found['notes']}"
            print(f"| {megapixels:g} | {row} |", flush=True)


if __name__ == "__main__":
    main()
