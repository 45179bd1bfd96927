"""An arbitrary network whose predictions lie further from those for photographs: how `compact-any` was finished.

`python -m tools.emphasised network.safetensors --gain 1.25 --contents photographs -o compact-any.safetensors` moves the
norm parameters of every style away from the mean of the parameters that the network predicts for photographs. The last
layer is linear, so the gain becomes part of its weights; convolutions stay equal.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from impasto.nets import table
from impasto.nets.predicted import Predicted
from impasto.training.sources import listed_in
from impasto.weights import readers
from impasto.weights.card import Loaded, save
from tools.predicted_styles import params_of


@torch.no_grad()
def usual_deltas(file: Loaded, photographs: Sequence[Path]) -> Tensor:
    """The mean difference `(params,)` of the parameters of photographs from the painter's own."""
    network = table.network_from(file, table.encoder_for(file.card, precision="float32"), precision="float32")
    net = cast(Predicted, network.net)
    own = dict(net.painter.named_parameters())
    deltas = []
    for path in photographs:
        params = params_of(path, network)
        deltas.append(torch.cat([(params[key] - own[key]).flatten() for key in net.shapes]))
    return torch.stack(deltas).mean(0)


def emphasised(file: Loaded, usual: Tensor, gain: float) -> dict[str, Tensor]:
    """The tensors with `gain` times the distance of each prediction from the `usual` one."""
    weight, bias, unit = (file.tensors[name] for name in ("spread.weight", "spread.bias", "row_unit"))
    return {
        **file.tensors,
        "spread.weight": (gain * weight.float()).to(weight.dtype),
        "spread.bias": gain * bias + (1 - gain) * usual / unit,
    }


def main() -> None:
    """Write the weight file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", help="a predicted network: a name or a file")
    parser.add_argument("--contents", type=Path, nargs="+", required=True)
    parser.add_argument("--count", type=int, default=48, help="photographs, evenly taken from all")
    parser.add_argument("--gain", type=float, default=1.25)
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    file, listed = readers.load_weights(asked.network), listed_in("contents", asked.contents)
    photographs = [listed[i * len(listed) // asked.count].path for i in range(asked.count)]
    tensors = emphasised(file, usual_deltas(file, photographs), asked.gain)
    source = f"{file.card.source} Predictions {asked.gain:g} times as far from the mean of {asked.count} photographs'."
    save(asked.output, tensors, card=dataclasses.replace(file.card, source=source))


if __name__ == "__main__":
    main()
