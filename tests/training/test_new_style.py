"""A network of two styles learns a third: only scales and shifts change, and the result blends with the rest."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.config.new_style import NewStyleFitOptions, NewStyleOptions
from impasto.core.errors import ImpastoError, OptionError, StateError, WeightsError
from impasto.image import files
from impasto.image.resize import resized
from impasto.nets import fast as nets
from impasto.nets import table
from impasto.nets.layers import PALETTE, is_style_param
from impasto.nets.predicted import Predicted
from impasto.stylizers.codes import code_of
from impasto.training.fast_run import prepare_fast
from impasto.training.fit import Progress
from impasto.training.new_style import learning_as, nearest, prepare_new_style, train_style
from impasto.weights.card import Card, load, save


@pytest.fixture
def network(learned_options: Callable[..., FastTrainOptions], short: FastFitOptions, tmp_path: Path) -> Path:
    """A network of two styles that was trained for some steps."""
    fitting = dataclasses.replace(short, learning_rate=1e-2)
    list(prepare_fast(learned_options(name="two"), fitting).train(tmp_path / "two"))
    return tmp_path / "two" / "network.safetensors"


@pytest.fixture
def options(network: Path, contents: Path, there: Path) -> NewStyleOptions:
    """Of a third style, for that network; the encoder that it names is here by this name."""
    file = load(network)
    training = file.card.training
    training["options"]["encoder"] = str(there / "tiny.safetensors")
    save(network, file.tensors, card=dataclasses.replace(file.card, training=training))
    return NewStyleOptions(network=str(network), contents=(contents,))


@pytest.fixture
def quick(short: FastFitOptions) -> NewStyleFitOptions:
    """Four steps."""
    given = {field.name: getattr(short, field.name) for field in dataclasses.fields(short)}
    return NewStyleFitOptions(**(given | {"learning_rate": 1e-2}))


@pytest.fixture
def picture(styles: Path) -> Path:
    """The new style."""
    return styles / "2.png"


def taught(
    picture: Path, options: NewStyleOptions, fitting: NewStyleFitOptions, folder: Path, *, steps: int | None = None
) -> list[Progress]:
    rows, running = [], train_style(picture, options, fitting=fitting, folder=folder)
    for progress in running:
        rows.append(progress)
        if progress.step == steps:
            running.close()  # type: ignore[attr-defined]
    return rows


def test_only_scales_and_shifts_change(
    picture: Path, options: NewStyleOptions, quick: NewStyleFitOptions, network: Path, tmp_path: Path
) -> None:
    with pytest.raises(ImpastoError, match="64 px"):  # 72 × 48: too small for a style
        taught(picture, options, quick, tmp_path / "out")
    large = tmp_path / "large.png"
    from PIL import Image

    Image.open(picture).resize((96, 80)).save(large)
    rows = taught(large, options, quick, tmp_path / "out")
    assert [(row.step, row.steps) for row in rows] == [(i, 4) for i in range(1, 5)]
    before, after = load(network), load(tmp_path / "out" / "network.safetensors")
    changed = 0
    for key, value in after.tensors.items():
        if is_style_param(key):
            assert value.shape == before.tensors[key].shape[1:]
            changed += not any(torch.equal(value, row) for row in before.tensors[key])
        else:
            assert torch.equal(value, before.tensors[key])
    assert changed > 0
    assert (after.card.name, after.card.kind, after.card.styles) == ("large", "fast", [])
    assert after.card.training["network"]["name"] == "two"
    assert "not stated" in after.card.notes
    painted = nets.load_fast_network(tmp_path / "out" / "network.safetensors").painter.painted(torch.rand(1, 3, 24, 24))
    assert painted.shape == (1, 3, 24, 24)


@pytest.fixture
def large(picture: Path, tmp_path: Path) -> Path:
    """The new style, large enough."""
    from PIL import Image

    Image.open(picture).resize((96, 80)).save(tmp_path / "large.png")
    return tmp_path / "large.png"


def test_a_network_of_any_style_begins_with_what_it_predicts(
    large: Path,
    options: NewStyleOptions,
    quick: NewStyleFitOptions,
    network: Path,
    save_network: Callable[..., Path],
    there: Path,
    tmp_path: Path,
) -> None:
    path = save_network(there / "any.safetensors", encoder=there / "tiny.safetensors", variant="predicted")
    file = load(path)
    save(path, file.tensors, card=dataclasses.replace(file.card, training=load(network).card.training))
    options = dataclasses.replace(options, network=str(path), style_px=80)
    begun = prepare_new_style(large, options, fitting=quick)
    any_style = table.load_network(path, precision="float32")
    assert isinstance(any_style.net, Predicted)
    params = any_style.net.style_params(code_of(resized(files.read(large).pixels, (80, 96)), any_style))
    row = {key: value[0] for key, value in params.items()}
    state = begun.task.network.state_dict()
    for key, value in row.items():
        torch.testing.assert_close(state[key], value, rtol=1e-4, atol=1e-5)
    taught(large, options, quick, tmp_path / "out")
    after = load(tmp_path / "out" / "network.safetensors")
    assert after.card.kind == "fast"
    for key, value in after.tensors.items():
        assert torch.equal(value, load(path).tensors[f"painter.{key}"]) or is_style_param(key)
    found = nets.load_fast_network(tmp_path / "out" / "network.safetensors")
    assert not torch.equal(found.style_params("large")["down.0.norm.weight"], row["down.0.norm.weight"])
    tiled = save_network(there / "tiled.safetensors", encoder=there / "tiny.safetensors", variant="adain")
    with pytest.raises(WeightsError, match="is of kind arbitrary"):
        prepare_new_style(large, dataclasses.replace(options, network=str(tiled)), fitting=quick)


def test_stopped_and_resumed_is_as_if_never_stopped(
    large: Path, options: NewStyleOptions, quick: NewStyleFitOptions, tmp_path: Path
) -> None:
    both = dataclasses.replace(options, whole_steps=4)
    whole = taught(large, both, quick, tmp_path / "whole")
    assert [row.step for row in whole] == list(range(1, 9))
    first = taught(large, both, quick, tmp_path / "parts", steps=3)
    second = taught(large, both, quick, tmp_path / "parts", steps=7)
    third = taught(large, both, quick, tmp_path / "parts")
    assert [row.step for row in second + third] == [4, 5, 6, 7, 8]
    assert first + second + third == whole
    name = "network.safetensors"
    assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(StateError, match="whole_steps"):
        taught(large, dataclasses.replace(options, whole_steps=5), quick, tmp_path / "parts")


def test_more_steps_train_all_of_it(
    large: Path, options: NewStyleOptions, quick: NewStyleFitOptions, network: Path, tmp_path: Path
) -> None:
    taught(large, dataclasses.replace(options, whole_steps=2), quick, tmp_path / "out")
    before, after = load(network), load(tmp_path / "out" / "network.safetensors")
    assert any(
        not torch.equal(after.tensors[key], before.tensors[key]) for key in after.tensors if not is_style_param(key)
    )


def test_it_learns(large: Path, options: NewStyleOptions, quick: NewStyleFitOptions, tmp_path: Path) -> None:
    longer = dataclasses.replace(quick, steps=20, batch_size=5, learning_rate=3e-2)
    rows = taught(large, options, longer, tmp_path / "out")
    first, last = (sum(row.losses["style"] for row in part) for part in (rows[:4], rows[-4:]))
    assert last < 0.97 * first


def test_it_begins_with_the_nearest_style(
    options: NewStyleOptions, quick: NewStyleFitOptions, there: Path, large: Path
) -> None:
    begun = prepare_new_style(large, options, fitting=quick)
    base = load(Path(options.network))
    colours = {PALETTE: begun.task.network.get_buffer(PALETTE).clone()}
    rows = [
        {key: value[i] if is_style_param(key) else value for key, value in base.tensors.items()} | colours
        for i in range(2)
    ]
    batch = begun.batches(2**40)
    losses = []
    for row in rows:
        begun.task.network.load_state_dict({key: value.float() for key, value in row.items()})
        with torch.no_grad():
            losses.append(begun.task.loss(begun.task.network.eval(), batch)["style"].item())
    wanted = rows[losses.index(min(losses))]
    found = nearest(base.tensors, begun)
    assert all(torch.equal(found[key], wanted[key]) for key in found)
    assert losses[0] != losses[1]
    pixels = files.read(large).pixels  # 96 × 80, and the short side is to be 64
    mean = resized(pixels, (64, 77)).mean((0, 2, 3))
    torch.testing.assert_close(found[PALETTE][:3], mean, atol=1e-3, rtol=0)


def test_options_are_those_of_the_network_but_for_what_is_given(
    large: Path, options: NewStyleOptions, quick: NewStyleFitOptions
) -> None:
    plain = learning_as(load(Path(options.network)), large, options=options)
    assert (plain.crop_px, plain.style_weight, plain.widths) == (32, 2.0, (4, 6))
    other = learning_as(
        load(Path(options.network)), large, options=dataclasses.replace(options, style_weight=9.0, crop_px=48)
    )
    assert (other.crop_px, other.style_weight, other.content_weight) == (48, 9.0, 1.0)


def test_photographs_of_a_library_serve_where_no_contents_are_given(
    large: Path, options: NewStyleOptions, quick: NewStyleFitOptions
) -> None:
    begun = prepare_new_style(large, dataclasses.replace(options, contents=()), fitting=quick)
    assert len(begun.datasets[0]) >= 4


def test_networks_that_cannot_learn(
    large: Path, options: NewStyleOptions, quick: NewStyleFitOptions, network: Path, there: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="`style_weight` is 0"):
        taught(large, dataclasses.replace(options, style_weight=0.0), quick, tmp_path / "out")
    encoder = dataclasses.replace(options, network=str(there / "tiny.safetensors"))
    with pytest.raises(WeightsError, match="kind encoder"):
        taught(large, encoder, quick, tmp_path / "out")
    file, foreign = load(network), tmp_path / "foreign.safetensors"
    card = Card(kind="fast", name="foreign", network=file.card.network, preprocess="bgr-255-mean")
    save(foreign, file.tensors, card=card)
    with pytest.raises(WeightsError, match="does not work in RGB"):
        taught(large, dataclasses.replace(options, network=str(foreign)), quick, tmp_path / "out")
    shutil.rmtree(tmp_path / "two")
    with pytest.raises(ImpastoError, match=r"network\.safetensors"):
        taught(large, options, quick, tmp_path / "out")
    assert not (tmp_path / "out").exists()
