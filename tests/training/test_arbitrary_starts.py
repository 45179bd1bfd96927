"""What the training of a network of any style begins with: other networks, painters, what is usual of styles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.config.arbitrary_training import ArbitraryFitOptions, ArbitraryTrainOptions
from impasto.core.errors import OptionError, WeightsMismatch
from impasto.nets import table as nets
from impasto.nets.colours import COLOURS
from impasto.nets.layers import is_style_param
from impasto.nets.predicted import SMALL, Predicted
from impasto.stylizers.codes import code_of
from impasto.training import arbitrary_run
from impasto.training.arbitrary_run import prepare_arbitrary
from impasto.weights import readers
from impasto.weights.card import Card, load

Options = Callable[..., ArbitraryTrainOptions]


def test_starting_from_a_network_begins_where_it_was(
    adain_options: Options, brief: ArbitraryFitOptions, tmp_path: Path
) -> None:
    for variant in ("adain", "predicted"):
        list(
            prepare_arbitrary(adain_options(variant=variant), dataclasses.replace(brief, steps=2)).train(
                tmp_path / variant
            )
        )
        start = load(tmp_path / variant / "network.safetensors").tensors
        options = adain_options(variant=variant, start_from=str(tmp_path / variant / "network.safetensors"))
        found = prepare_arbitrary(options, dataclasses.replace(brief, seed=7)).task.network.state_dict()
        assert all(torch.equal(found[name], value.float()) for name, value in start.items())
        assert prepare_arbitrary(options, brief).metadata["options"]["start_from"] == "network.safetensors"


def test_a_painter_of_learned_styles_is_kept_to_the_last_bit(
    adain_options: Options, brief: ArbitraryFitOptions, tmp_path: Path
) -> None:
    options = adain_options(variant="predicted", keep_painter=True)
    assert prepare_arbitrary(options, brief).metadata["options"]["start_from"] == "compact-styles"
    known = readers.load_weights("compact-styles").tensors
    prepared = prepare_arbitrary(options, brief)
    net = prepared.task.network
    assert isinstance(net, Predicted)
    table = known["down.1.norm.weight"].float()
    assert torch.equal(net.painter.state_dict()["down.1.norm.weight"], table.mean(0))
    rows = net.style_params(arbitrary_run._codes(net, prepared.task.encoder, pairs=prepared.batches))[
        "down.1.norm.weight"
    ].detach()
    assert 0.05 < float((rows.std(0) / table.std(0)).mean()) < 1  # as far apart at first as a part of what is known
    list(prepare_arbitrary(options, dataclasses.replace(brief, steps=2)).train(tmp_path / "out"))
    after = load(tmp_path / "out" / "network.safetensors").tensors
    same = {key: torch.equal(after[f"painter.{key}"], value) for key, value in known.items() if not is_style_param(key)}
    assert len(same) > 20
    assert all(same.values())
    assert not torch.equal(after["squeeze.weight"], net.state_dict()["squeeze.weight"].half())


def test_a_painter_that_there_is_not_is_not_kept(
    adain_options: Options, brief: ArbitraryFitOptions, unread: None, learned_file: Path
) -> None:
    for options in ({"variant": "predicted", "start_from": "none"}, {"variant": "adain"}):
        with pytest.raises(OptionError, match="`keep_painter` needs `variant=predicted` and weights to start from"):
            prepare_arbitrary(adain_options(**options, keep_painter=True), brief)
    with pytest.raises(WeightsMismatch, match=r"does not fit `variant=predicted`: .*down\.0"):
        prepare_arbitrary(adain_options(variant="predicted", start_from=str(learned_file)), brief)


def test_starting_from_another_network_names_every_key(
    adain_options: Options, brief: ArbitraryFitOptions, unread: None, save_network: Callable[..., Path], there: Path
) -> None:
    path = save_network(there / "res.safetensors", encoder=there / "tiny.safetensors", variant="adain-residual")
    with pytest.raises(WeightsMismatch, match=r"res\.safetensors` does not fit `variant=adain`") as caught:
        prepare_arbitrary(adain_options(start_from=str(path)), brief)
    names = [name for name in load(path).tensors if name.startswith("blocks.")]
    assert len(names) == 12
    assert names[0] in str(caught.value)
    with pytest.raises(WeightsMismatch, match=r"missing: first\.weight"):
        prepare_arbitrary(adain_options(start_from=str(there / "tiny.safetensors")), brief)


def test_the_scale_of_codes_is_measured_on_the_styles(
    adain_options: Options, brief: ArbitraryFitOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arbitrary_run, "MEASURED", 40)
    prepared = prepare_arbitrary(adain_options(variant="predicted"), brief)
    net, encoder = prepared.task.network, prepared.task.encoder
    assert isinstance(net, Predicted)
    batches = [prepared.batches.styles(step).images for step in range(20)]
    network = nets.Network(net, Card(kind="arbitrary", name="n", network={}), "", encoder)  # type: ignore[arg-type]
    codes = [code_of(image[None], network) for images in batches for image in images]
    rows = torch.stack([torch.cat([code[name].flatten() for name in (*net.code_layers, COLOURS)]) for code in codes])
    away = (rows - net.code_mean) / net.code_std
    assert float(away.mean().abs()) < 0.3
    assert float(away.square().mean()) < 1.5
    assert bool((net.code_std >= SMALL).all())
    assert not torch.equal(net.code_mean, torch.zeros_like(net.code_mean))


def test_a_network_is_distilled_from_a_teacher_of_twice_its_size(
    adain_options: Options, brief: ArbitraryFitOptions, save_network: Callable[..., Path], there: Path, tmp_path: Path
) -> None:
    tiny = there / "tiny.safetensors"
    teacher = save_network(there / "large.safetensors", encoder=tiny, variant="predicted")
    options = adain_options(variant="predicted-half", start_from=str(teacher), teacher=str(teacher))
    prepared = prepare_arbitrary(options, brief)
    start, known = prepared.task.network.state_dict(), load(teacher).tensors
    assert all(torch.equal(start[key], value) for key, value in known.items() if "blocks" in key)
    assert prepared.metadata["options"]["teacher"] == "large.safetensors"
    rows = list(prepared.train(tmp_path / "out"))
    assert {"content", "style", "pixels"} <= rows[-1].losses.keys()
    found = load(tmp_path / "out" / "network.safetensors").tensors
    assert not torch.equal(found["painter.last.conv.weight"].float(), start["painter.last.conv.weight"])
    assert prepared.task.teacher is not None
    frozen = {key: value for key, value in prepared.task.teacher.state_dict().items() if not key.startswith("code")}
    assert all(torch.equal(value, known[key]) for key, value in frozen.items())


def test_a_teacher_describes_styles_as_its_student_does(
    adain_options: Options, brief: ArbitraryFitOptions, unread: None, save_network: Callable[..., Path], there: Path
) -> None:
    teacher = save_network(there / "adain.safetensors", encoder=there / "tiny.safetensors")
    with pytest.raises(OptionError, match=r"describes styles by narrow at relu4_1, the network by narrow at relu1_1"):
        prepare_arbitrary(adain_options(variant="predicted", start_from="none", teacher=str(teacher)), brief)
