"""Seconds and peak memory of `impasto stylize --method optimise` by size, process start included.

`python benchmarks/sizes.py`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from impasto.image import files
from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.image.swatches import swatch


def measured(folder: Path, size: int) -> tuple[float, float, int]:
    """Seconds in all, seconds of painting, and the peak of memory in MB, of one picture of `size` × `size` px."""
    words = ["stylize", str(folder / "photo.png"), "--style", str(folder / "style.png"), "-o", str(folder / "out.png")]
    command = [sys.executable, "-m", "impasto", *words, "--exact", f"{size}x{size}", "--json", "--quiet"]
    command += ["--method", "optimise"]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        result = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    return time.perf_counter() - begun, result["seconds"], usage.ru_maxrss // 1024


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[256, 512, 1024, 2048])
    print("| size, px | seconds in all | of these, painting | peak MB |\n|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files.write(folder / "photo.png", resized(sample("astronaut").pixels, (1024, 1024)))
        files.write(folder / "style.png", swatch("strokes", size_hw=(1200, 1500)))
        for size in parser.parse_args().sizes:
            whole, painting, peak = measured(folder, size)
            print(f"| {size} × {size} | {whole:.1f} | {painting:.1f} | {peak} |", flush=True)


if __name__ == "__main__":
    main()
