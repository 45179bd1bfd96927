"""A style learned in minutes beside a network trained for it alone from the beginning: style and content losses.

`python benchmarks/new_style.py --style painting.jpg --networks A.safetensors B.safetensors --contents photos` measures
networks, the results of `impasto train style` and of `impasto train fast`, on pictures that none of them was trained
on, by the losses that the first was trained with, both with weight 1.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

from impasto.config.fast_training import FastFitOptions
from impasto.config.new_style import NewStyleOptions
from impasto.core.memory import keep_freed_memory
from impasto.nets.residual import Residual
from impasto.training.fast_run import prepare_fast
from impasto.training.new_style import learning_as
from impasto.weights import readers
from impasto.weights.card import fill

BATCHES = 8


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--contents", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", required=True)
    given = parser.parse_args()
    keep_freed_memory()
    fitting = FastFitOptions(seed=12345)
    print("| network | content | style |\n|---|--:|--:|")
    first = readers.load_weights(given.networks[0])
    for name in given.networks:
        file = readers.load_weights(name)
        numbers = {key: value for key, value in file.card.network.items() if key not in ("architecture", "output")}
        options = learning_as(first, given.style, options=NewStyleOptions(contents=(given.contents,), network=name))
        options = dataclasses.replace(options, content_weight=1.0, style_weight=1.0)
        net = Residual(**numbers)
        prepared = prepare_fast(options, fitting, network=net)
        fill(net, file.tensors, where=name)
        net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        sums: dict[str, float] = {"content": 0, "style": 0}
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for step in range(BATCHES):
                torch.manual_seed(step)
                found = prepared.task.loss(net, prepared.batches(step))
                sums = {part: sums[part] + float(found[part]) / BATCHES for part in sums}
        print(f"| {name} | {sums['content']:.3f} | {sums['style']:.3f} |", flush=True)


if __name__ == "__main__":
    main()
