"""A fast network whose styles are predicted from pictures: how `compact-styles` was made from `compact-any`.

`python -m tools.predicted_styles styles.csv -o compact-styles.safetensors` reads a CSV with the columns path (relative
to the CSV), name and about. The network has the convolutions of the arbitrary network, bit for bit, so that its styles
blend with predicted ones in one pass. `--network compact-any-half --name compact-styles-half` makes the small network.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from impasto.image.files import read
from impasto.image.resize import fit, resized
from impasto.nets import table
from impasto.nets.fast import KIND
from impasto.nets.layers import is_style_param
from impasto.nets.predicted import PAINTER, Predicted
from impasto.stylizers.codes import code_of
from impasto.weights import readers
from impasto.weights.card import Card, save

SIDE_PX = 512  # long side of the style pictures


def params_of(picture: Path, network: table.Network) -> dict[str, Tensor]:
    """The style parameters `(1, c)` that the network predicts for a picture of `SIDE_PX`."""
    pixels = read(picture).pixels
    sized = resized(pixels, fit((pixels.shape[-2], pixels.shape[-1]), long_side_px=SIDE_PX))
    return dict(network.net.style_params(code_of(sized, network, name=picture.name)))


@torch.no_grad()
def packed(source: str, styles: list[dict[str, str]], *, folder: Path) -> tuple[dict[str, Tensor], Card]:
    """Tensors and card of the network with these `styles`: rows of the CSV in `folder`."""
    file = readers.load_weights(source)
    network = table.network_from(file, table.encoder_for(file.card, precision="float32"), precision="float32")
    params = [params_of(folder / style["path"], network) for style in styles]
    tables = {key: torch.cat([part[key].flatten(1) for part in params]) for key in params[0]}
    painter = {key.removeprefix(PAINTER): value for key, value in file.tensors.items() if key.startswith(PAINTER)}
    convolutions = {key: value for key, value in painter.items() if not is_style_param(key)}
    numbers = cast(Predicted, network.net).numbers
    card = dataclasses.replace(
        file.card,
        kind=KIND,
        network={"architecture": "residual", **numbers, "styles": len(styles)},
        styles=[{"name": style["name"], "about": style["about"]} for style in styles],
        source=f"Norm parameters that {file.card.name} predicts for {len(styles)} pictures at {SIDE_PX} px, and its "
        f"convolutions. {file.card.source}",
    )
    return convolutions | tables, card


def main() -> None:
    """Write the weight file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--network", default="compact-any")
    parser.add_argument("--name", default="compact-styles")
    asked = parser.parse_args()
    with asked.csv.open(newline="") as lines:
        styles = list(csv.DictReader(lines))
    tensors, card = packed(asked.network, styles, folder=asked.csv.parent)
    save(asked.output, tensors, card=dataclasses.replace(card, name=asked.name))


if __name__ == "__main__":
    main()
