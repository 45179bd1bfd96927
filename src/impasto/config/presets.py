"""Named sets of options. A new preset is one row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """`options` maps a group of `Job` to the values of its fields."""

    about: str
    options: Mapping[str, Mapping[str, Any]]


OPTIMISE = {"method": "optimise"}

HYPERCOLUMN = ("relu1_1+relu2_1+relu3_1+relu4_1",)
FROM_64_PX = {"smallest_px": 64, "steps": (30, 30, 25, 15)}

PRESETS: dict[str, Preset] = {
    "gatys": Preset(
        "as in Gatys 2016: VGG-19 with average pooling, from noise, at one scale; slow",
        {
            "paint": {"method": "optimise", "precision": "float32"},
            "losses": {
                "encoder": "vgg19",
                "pooling": "average",
                "content_layers": ("conv4_2",),
                "content_weight": 1.0,
                "style_layers": ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
                "style_layer_weights": (0.2,),
                "style_loss": "gatys",
                "style_weight": 1000.0,
                "balance": "absolute",
                "tv_weight": 0.0,
            },
            "optimise": {
                "init": "noise",
                "scales": 1,
                "steps": (500,),
                "optimizer": "lbfgs",
                "history": 100,
                "variables": "pixels",
            },
        },
    ),
    "nnst": Preset(
        "as in Kolkin 2022: each place becomes like the most similar place of the style; vivid strokes",
        {
            "paint": OPTIMISE,
            "losses": {
                "style_layers": HYPERCOLUMN,
                "style_loss": "neighbours",
                "content_weight": 0.0,
                "palette_weight": 2.0,
                "tv_weight": 0.2,
            },
            "optimise": {**FROM_64_PX, "final_steps": 6, "final_chroma": True},
        },
    ),
    "strotss": Preset(
        "as in Kolkin 2019: relaxed earth mover's distance of style, self-similarity of content, and the palette",
        {
            "paint": OPTIMISE,
            "losses": {
                "style_layers": HYPERCOLUMN,
                "style_loss": "strotss",
                "content_layers": HYPERCOLUMN,
                "content_loss": "self-similarity",
                "content_weight": 6.0,
                "palette_weight": 2.0,
                "tv_weight": 0.5,
            },
            "optimise": FROM_64_PX,
        },
    ),
    "texture": Preset(
        "texture synthesis: the style alone, from noise; of the content nothing but its size",
        {
            "paint": OPTIMISE,
            "losses": {"content_weight": 0.0, "tv_weight": 0.5},
            "optimise": {"init": "noise", "smallest_px": 128, "steps": (60, 40, 20)},
        },
    ),
    "draft": Preset(
        "256 px in half the steps of optimisation, to try styles",
        {"paint": OPTIMISE, "size": {"size": 256}, "optimise": {"steps": (20, 6)}},
    ),
    "fine": Preset("three times the steps of optimisation", {"paint": OPTIMISE, "optimise": {"steps": (120, 30)}}),
}
