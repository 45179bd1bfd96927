"""The tool that tunes the norm parameters of a network of several styles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.nets.layers import is_style_param
from impasto.training.fast_run import prepare_fast
from impasto.weights.card import load
from tools.tuned_styles import tuning


def test_the_convolutions_stay_equal(
    learned_options: Callable[..., FastTrainOptions], short: FastFitOptions, tmp_path: Path
) -> None:
    options = learned_options(name="two")
    list(prepare_fast(options, dataclasses.replace(short, learning_rate=1e-2)).train(tmp_path / "two"))
    base = load(tmp_path / "two" / "network.safetensors")
    list(tuning(base, options, dataclasses.replace(short, learning_rate=1e-2)).train(tmp_path / "tuned"))
    tuned = load(tmp_path / "tuned" / "network.safetensors")
    same = {key: torch.equal(value, tuned.tensors[key]) for key, value in base.tensors.items()}
    assert all(same[key] for key in same if not is_style_param(key))
    assert not all(same[key] for key in same if is_style_param(key))
    assert [style["name"] for style in tuned.card.styles] == [style["name"] for style in base.card.styles]
