"""Run the README's first three commands with an installed wheel: `ENV/bin/python -I tools/wheel_check.py README.md`.

The commands run in an empty folder with sample pictures, so that nothing of the checkout can help.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = 3


def first_commands(page: str) -> list[list[str]]:
    """The words of the first `COMMANDS` lines that start with `impasto`."""
    lines = [line for line in page.splitlines() if line.startswith("impasto ")]
    return [shlex.split(line, comments=True) for line in lines[:COMMANDS]]


def run_commands(page: Path) -> None:
    """Run the commands in a temporary folder. Raises `SystemExit` if one fails or writes no picture."""
    from PIL import Image
    from skimage import data

    import impasto

    if not Path(impasto.__file__).is_relative_to(sys.prefix):
        raise SystemExit(f"impasto is imported from {impasto.__file__}, not from the environment {sys.prefix}.")
    commands = first_commands(page.read_text(encoding="utf-8"))
    if len(commands) < COMMANDS:
        raise SystemExit(f"{page} has {len(commands)} commands; {COMMANDS} are needed.")
    with tempfile.TemporaryDirectory() as folder:
        samples = {"photo.jpg": data.chelsea(), "painting.jpg": data.coffee()}
        for name, pixels in samples.items():
            Image.fromarray(pixels).save(Path(folder) / name)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"IMPASTO_CACHE": str(Path(folder) / "cache"), "IMPASTO_OFFLINE": "1"}
        for _, *words in commands:
            print("impasto", *words, flush=True)
            subprocess.run([Path(sys.prefix, "bin", "impasto"), *words], cwd=folder, env=environment, check=True)
            output = Path(folder, words[words.index("-o") + 1])
            with Image.open(output) as picture:
                picture.load()


if __name__ == "__main__":
    run_commands(Path(sys.argv[1]))
