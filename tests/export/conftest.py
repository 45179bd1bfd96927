"""Untrained networks to export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from impasto.nets import fast
from impasto.nets.bands import band_covariances
from impasto.nets.layers import is_style_param
from impasto.nets.residual import Residual
from impasto.weights.card import Card, Loaded

NETWORKS: dict[str, dict[str, Any]] = {
    "ours": {  # ONNX Runtime Web 1.30 computes convolutions from 6 to 4 channels wrongly by WebGPU
        "widths": (4, 8), "blocks": 1, "outer_px": 3, "skips": True, "recolours": True, "upsampling": "bilinear",
        "noise": True, "matches_palette": True, "matches_bands": True,
    },
    "half": {"widths": (6, 8), "blocks": 1, "outer_px": 3, "recolours": True, "unshuffle": 2},
    "tensorflow": {"widths": (4, 6), "blocks": 1, "padding": "same", "upsampling": "transposed", "tanh": (0.4, 0.5)},
}  # fmt: skip


def _network(kind: str, *, styles: Sequence[str] = ("one",), preprocess: str = "rgb") -> fast.FastNetwork:
    """An untrained fast network all of whose parts have an effect."""
    numbers = NETWORKS[kind]
    net = Residual(**numbers, styles=len(styles))
    for key, value in net.named_parameters():
        value.data.add_((0.3 if is_style_param(key) or key.endswith("noise") else 0.05) * torch.randn_like(value))
    if net.recolours:
        colours = torch.cat([torch.rand(len(styles), 3), 0.05 * torch.eye(3).flatten().expand(len(styles), 9)], dim=1)
        net.get_buffer("palette").copy_(colours.view_as(net.get_buffer("palette")))
    if net.matches_bands:
        contrast = band_covariances(torch.rand(len(styles), 3, 64, 64))
        net.get_buffer("bands").copy_(contrast.view_as(net.get_buffer("bands")))
    card = Card(
        kind=fast.KIND,
        name=kind,
        network={"architecture": "residual", **numbers, "styles": len(styles), "output": preprocess},
        preprocess=preprocess,
        styles=[{"name": name} for name in styles],
    )
    return fast.fast_network_from(Loaded(card=card, tensors=net.state_dict(), sha256=""), precision="float32")


@pytest.fixture(scope="session")
def a_network() -> Callable[..., fast.FastNetwork]:
    """See `_network`."""
    return _network
