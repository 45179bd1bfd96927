"""Predictions that lie further from the usual ones."""

from __future__ import annotations

import dataclasses
from typing import cast

import torch

from impasto.image.samples import sample, sample_path
from impasto.nets import table
from impasto.nets.predicted import Predicted
from impasto.stylizers.codes import code_of
from impasto.weights import readers
from tools.emphasised import emphasised, usual_deltas


def test_a_prediction_moves_away_from_that_of_the_photographs() -> None:
    """For the photograph itself nothing changes; another picture's parameters move by the gain."""
    file = readers.load_weights("compact-any")
    usual = usual_deltas(file, [sample_path("coffee")])
    changed = dataclasses.replace(file, tensors=emphasised(file, usual, 1.5))
    params = []
    for weights in (file, changed):
        network = table.network_from(weights, table.encoder_for(weights.card, precision="float32"), precision="float32")
        net = cast(Predicted, network.net)
        own = torch.cat([dict(net.painter.named_parameters())[key].detach().flatten() for key in net.shapes])
        with torch.no_grad():
            predicted = net.style_params(code_of(sample("chelsea").pixels, network, name="cat"))
        params.append(torch.cat([predicted[key].flatten() for key in net.shapes]) - own)
    before, after = params
    assert torch.allclose(after - usual, 1.5 * (before - usual), atol=2e-3)
    assert (before - usual).abs().max() > 0.1
