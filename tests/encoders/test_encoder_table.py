"""Encoders ready to use: precision, gradients, pooling, and cards that do not fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.core.errors import ImageTooSmall, OptionError, UnknownName, WeightsError, WeightsMismatch
from impasto.encoders import precision
from impasto.encoders.gains import natural_noise
from impasto.encoders.squeezenet import SqueezeNet
from impasto.encoders.table import Encoder, build_encoder, load_encoder
from impasto.weights.card import Card, save

Make = Callable[..., Encoder]
LAYERS = ["relu1_1", "relu2_2", "relu3_2", "relu4_2", "relu5_1"]


def test_it_speaks_for_its_network(encoder: Encoder) -> None:
    assert encoder.name == "narrow"
    assert encoder.layers == encoder.net.layers
    assert (encoder.width("relu3_1"), encoder.stride("relu3_1")) == (8, 4)
    assert encoder.smallest_px(LAYERS) == 32


def test_gradients_reach_the_image_and_not_the_weights(encoder: Encoder, photo: Tensor) -> None:
    image = photo.clone().requires_grad_(True)
    sum(f.sum() for f in encoder(image, LAYERS).values()).backward()  # type: ignore[union-attr]
    assert image.grad is not None
    assert bool(image.grad.abs().sum() > 0)
    assert not any(p.requires_grad or p.grad is not None for p in encoder.net.parameters())
    assert not encoder.net.training


def test_the_gradient_is_that_of_the_features(make_encoder: Make, photo: Tensor) -> None:
    encoder = make_encoder(stages=((3, 1), (3, 1)))
    encoder.net.double()
    image = photo[..., :6, :6].double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: encoder(x, ["relu2_1"])["relu2_1"], image)


def test_bfloat16_is_close_to_float32(make_encoder: Make, photo: Tensor) -> None:
    exact, rough = make_encoder()(photo, LAYERS), make_encoder(precision="bfloat16")(photo, LAYERS)
    for name in LAYERS:
        assert exact[name].dtype == torch.float32
        assert rough[name].dtype == torch.bfloat16
        error = (rough[name].float() - exact[name]).square().mean() / exact[name].square().mean()
        assert float(error) < 0.02**2, name


def test_bfloat16_sees_the_smallest_steps_of_dark_and_bright_pixels(make_encoder: Make) -> None:
    """Colours are centred in float32: around 1 bfloat16 has steps of 1/256, half as fine as needed."""
    rough = make_encoder(precision="bfloat16")
    one, other = torch.full((1, 3, 32, 32), 0.49), torch.full((1, 3, 32, 32), 0.49 + 1 / 1024)
    assert not torch.equal(rough(one, ["conv1_1"])["conv1_1"], rough(other, ["conv1_1"])["conv1_1"])


def test_float32_stays_float32_inside_autocast(make_encoder: Make, photo: Tensor) -> None:
    encoder = make_encoder()
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(photo, ["relu3_1"])["relu3_1"]
    assert torch.equal(found, encoder(photo, ["relu3_1"])["relu3_1"])


def test_the_memory_format_of_the_picture_does_not_matter(encoder: Encoder, photo: Tensor) -> None:
    last = photo.contiguous(memory_format=torch.channels_last)
    assert torch.equal(encoder(photo, ["relu3_1"])["relu3_1"], encoder(last, ["relu3_1"])["relu3_1"])


def test_a_batch_is_its_pictures(encoder: Encoder, photo: Tensor) -> None:
    pair = torch.cat([photo, photo.flip(-1)])
    whole = encoder(pair, LAYERS)
    for name in LAYERS:
        alone = torch.cat([encoder(p[None], LAYERS)[name] for p in pair])
        torch.testing.assert_close(whole[name], alone, rtol=1e-4, atol=1e-5)


def test_errors_of_layers_and_sizes_come_through(encoder: Encoder) -> None:
    with pytest.raises(UnknownName, match="relu3_2"):
        encoder.smallest_px(["relu3_22"])
    with pytest.raises(ImageTooSmall, match="relu5_1 needs 32 px"):
        encoder(torch.rand(1, 3, 31, 64), LAYERS)


def test_pooling_is_changed_with_gains(make_encoder: Make) -> None:
    native, other = make_encoder(), make_encoder(pooling="max")
    assert native.net.pool_gain == (1.0,) * 4  # type: ignore[union-attr]
    assert other.net.pooling == "max"  # type: ignore[union-attr]
    assert all(gain < 1 for gain in other.net.pool_gain)  # type: ignore[union-attr]
    assert make_encoder(pooling="average").net.pool_gain == (1.0,) * 4  # type: ignore[union-attr]
    noise = natural_noise(64, count=2, seed=3)
    wanted, found = (e(noise, ["pool4"])["pool4"].square().mean().sqrt() for e in (native, other))
    assert float(found) == pytest.approx(float(wanted), rel=0.1)


def test_an_unknown_pooling(make_encoder: Make) -> None:
    with pytest.raises(UnknownName, match=r"pooling 'avg'. Did you mean 'average'"):
        make_encoder(pooling="avg")


def test_squeezenet_has_its_own_pooling() -> None:
    card = Card(kind="encoder", name="s", network={"architecture": "squeezenet-1.0"}, preprocess="squeezenet-bgr")
    tensors = SqueezeNet(matrix=[[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]], offset=[0.0, 0, 0]).state_dict()
    assert build_encoder(card, tensors, precision="float32").smallest_px(["conv1"]) == 12
    with pytest.raises(OptionError, match="max pooling only"):
        build_encoder(card, tensors, pooling="average")


# Cards


@pytest.fixture
def card_and_tensors(encoder: Encoder) -> tuple[Card, dict[str, Tensor]]:
    return encoder.card, encoder.net.convs_folded()  # type: ignore[union-attr]


def test_from_a_file(card_and_tensors: tuple[Card, dict[str, Tensor]], encoder: Encoder, tmp_path: Path) -> None:
    card, tensors = card_and_tensors
    save(tmp_path / "mine.safetensors", tensors, card=card)
    photo = torch.rand(1, 3, 40, 40)
    again = load_encoder(tmp_path / "mine.safetensors", precision="float32")
    assert again.card == card
    assert len(again.sha256) == 64
    assert torch.equal(again(photo, ["relu5_1"])["relu5_1"], encoder(photo, ["relu5_1"])["relu5_1"])


def test_half_weights_compute_in_float32(card_and_tensors: tuple[Card, dict[str, Tensor]], photo: Tensor) -> None:
    card, tensors = card_and_tensors
    halved = build_encoder(card, {k: v.half() for k, v in tensors.items()}, precision="float32")
    assert halved(photo, ["relu2_1"])["relu2_1"].dtype == torch.float32


def test_no_preprocess_is_plain_rgb(card_and_tensors: tuple[Card, dict[str, Tensor]], photo: Tensor) -> None:
    card, tensors = card_and_tensors
    bare, rgb = (
        build_encoder(dataclasses.replace(card, preprocess=p), tensors, precision="float32") for p in ("", "rgb")
    )
    assert torch.equal(bare(photo, ["relu1_1"])["relu1_1"], rgb(photo, ["relu1_1"])["relu1_1"])


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        ({"architecture": "vgg", "stages": [[4, 1]]}, WeightsError, "has no padding, pooling"),
        ({"architecture": "vggg"}, UnknownName, "architecture 'vggg'. Did you mean 'vgg'"),
        ({}, UnknownName, "architecture 'None'"),
        ({"architecture": "vgg", "stages": [[4, 1]], "padding": "wrap", "pooling": "max"}, UnknownName, "padding"),
        ({"architecture": "vgg", "stages": [[4, 1]], "padding": "zeros", "pooling": "p"}, UnknownName, "pooling"),
    ],
)
def test_cards_that_describe_no_network(network: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build_encoder(Card(kind="encoder", name="broken", network=network), {}, precision="float32")


def test_tensors_that_do_not_fit_are_all_named(card_and_tensors: tuple[Card, dict[str, Tensor]]) -> None:
    card, tensors = card_and_tensors
    del tensors["conv2_1.bias"]
    tensors |= {"conv9_9.weight": torch.zeros(1), "conv1_1.bias": torch.zeros(5)}
    with pytest.raises(WeightsMismatch, match=r"conv2_1\.bias.*conv9_9\.weight.*conv1_1\.bias"):
        build_encoder(card, tensors)


# Precision


@pytest.mark.parametrize("native", [True, False])
def test_auto_takes_what_the_processor_does_natively(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda device="cpu": native)
    assert precision.compute_dtype("auto") == (torch.bfloat16 if native else torch.float32)
    assert precision.compute_dtype("float32") == torch.float32
    assert precision.compute_dtype("bfloat16") == torch.bfloat16


def test_asking_the_processor() -> None:
    assert isinstance(precision.has_bfloat16(), bool)
    assert precision.has_bfloat16("mps") is False
