"""What the page about training says of variants and options."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.arbitrary_training import ArbitraryFitOptions, ArbitraryTrainOptions
from impasto.config.distil import DistilOptions
from impasto.config.fast_training import FastTrainOptions
from impasto.config.job import PaintOptions
from impasto.config.new_style import NewStyleOptions
from impasto.config.pictures import ColourOptions
from impasto.config.training import BackboneOptions
from impasto.encoders import table as encoders
from impasto.nets.table import VARIANTS, untrained
from impasto.objective.output import Weights
from impasto.training.run import NETWORK

PAGE = (Path(__file__).parents[2] / "docs" / "train.md").read_text(encoding="utf-8")


def test_every_variant_with_its_parameters() -> None:
    rows = re.findall(r"^\| `([\w-]+)`(?: \(default\))? \|.*\| ([\d.]+ M) \|", PAGE, re.MULTILINE)
    eye = encoders.load_encoder("compact-vgg", precision="float32")
    nets = {name: untrained(eye, numbers) for name, numbers in VARIANTS.items()}
    assert rows == [(n, f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M") for n, net in nets.items()]
    assert f"`{ArbitraryTrainOptions().variant}` (default)" in PAGE


def test_every_flag_there_is() -> None:
    options: tuple[type, ...] = (
        ArbitraryFitOptions,
        ArbitraryTrainOptions,
        BackboneOptions,
        ArbitraryOptions,
        PaintOptions,
    )
    options += (ColourOptions, DistilOptions, FastTrainOptions, NewStyleOptions)
    known = {field.name for cls in options for field in dataclasses.fields(cls)}
    known |= {"style", "help", "json", "nproc_per_node", "logdir"}  # of other commands
    named = {flag.removeprefix("no-").replace("-", "_") for flag in re.findall(r"--([a-z][\w-]*)", PAGE)}
    assert named - known == set()
    assert "style_weight" in named


def test_every_part_of_the_loss_and_every_file() -> None:
    for field in dataclasses.fields(Weights):
        assert f"| {field.name} |" in PAGE
    assert f"| range | {Weights().range:g}, fixed |" in PAGE
    assert f"`{NETWORK}`" in PAGE
