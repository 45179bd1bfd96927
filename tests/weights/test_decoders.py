"""AdaIN's published files, encoder and decoder: what is painted with them is what their own layers paint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto.cli.main import main
from impasto.core.errors import OptionError, WeightsError, WeightsMismatch
from impasto.core.paths import sha256_of
from impasto.image import files
from impasto.nets import painting
from impasto.nets import table as nets
from impasto.nets.adain_decoder import StyledDecoder
from impasto.nets.moments import moments
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.protocol import Mix, Style
from impasto.weights.card import load
from impasto.weights.catalogue import installed
from impasto.weights.readers import import_weights, read_checkpoint

from .checkpoints import WIDTHS, adain, decoder, gatys

A, B, C, D, _ = WIDTHS


def padded(into: int, out: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(1), nn.Conv2d(into, out, 3), nn.ReLU()]


def published_encoder() -> nn.Sequential:
    """`vgg_normalised.pth` up to `relu4_1`, layer by layer as it is published."""
    parts: list[nn.Module] = [nn.Conv2d(3, 3, 1), *padded(3, A), *padded(A, A), nn.MaxPool2d(2, 2, 0, ceil_mode=True)]
    parts += [*padded(A, B), *padded(B, B), nn.MaxPool2d(2, 2, 0, ceil_mode=True)]
    parts += [*padded(B, C), *padded(C, C), *padded(C, C), *padded(C, C), nn.MaxPool2d(2, 2, 0, ceil_mode=True)]
    return nn.Sequential(*parts, *padded(C, D))


def published_decoder() -> nn.Sequential:
    """`decoder.pth`, layer by layer."""
    doubled = nn.Upsample(scale_factor=2, mode="nearest")
    parts = [*padded(D, C), doubled, *padded(C, C), *padded(C, C), *padded(C, C), *padded(C, B)]
    parts += [nn.Upsample(scale_factor=2, mode="nearest"), *padded(B, B), *padded(B, A)]
    parts += [nn.Upsample(scale_factor=2, mode="nearest"), *padded(A, A), *padded(A, 3)[:2]]
    return nn.Sequential(*parts)


def mean_std(feats: Tensor, *, unbiased: bool = True) -> tuple[Tensor, Tensor]:
    b, c = feats.shape[:2]
    rows = feats.reshape(b, c, -1)
    std = (rows.var(dim=2, unbiased=unbiased) + 1e-5).sqrt()
    return rows.mean(dim=2).view(b, c, 1, 1), std.view(b, c, 1, 1)


def encoder_state(seed: int = 0) -> dict[str, Tensor]:
    """Random weights under the published keys that keep the strength of the features."""
    return strong(adain(), seed=seed)


def strong(state: dict[str, Tensor], *, seed: int) -> dict[str, Tensor]:
    draw, found = torch.Generator().manual_seed(seed), {}
    for key, value in state.items():
        if value.ndim == 4:
            found[key] = torch.randn(value.shape, generator=draw) * (2 / value[0].numel()) ** 0.5
        else:
            found[key] = 0.1 * torch.rand(value.shape, generator=draw)
    return found


@torch.no_grad()
def as_published(content: Tensor, style: Tensor, *, strength: float, unbiased: bool = True) -> Tensor:
    """The test of the AdaIN repositories: `decoder(alpha · adain + (1 - alpha) · content)`."""
    encode, decode = published_encoder(), published_decoder()
    length = len(encode)
    kept = {key: value for key, value in encoder_state().items() if int(key.split(".")[0]) < length}
    encode.load_state_dict(kept)
    decode.load_state_dict(strong(decoder(), seed=1))
    content_feats, style_feats = encode(content), encode(style)
    own_mean, own_std = mean_std(content_feats, unbiased=unbiased)
    mean, std = mean_std(style_feats, unbiased=unbiased)
    styled = (content_feats - own_mean) / own_std * std + mean
    found: Tensor = decode(strength * styled + (1 - strength) * content_feats)
    return found


@pytest.fixture
def published(tmp_path: Path) -> dict[str, Path]:
    """Both files with the documented keys."""
    paths = {name: tmp_path / f"{name}.pth" for name in ("vgg_normalised", "decoder")}
    torch.save(encoder_state(), paths["vgg_normalised"])
    torch.save(strong(decoder(), seed=1), paths["decoder"])
    return paths


@pytest.fixture
def network(published: dict[str, Path]) -> nets.Network:
    """Both imported, the decoder with the encoder's name."""
    import_weights(published["vgg_normalised"])
    import_weights(published["decoder"], encoder="vgg_normalised")
    return nets.load_network("decoder", precision="float32")


def painted(network: nets.Network, content: Tensor, style: Tensor, *, strength: float) -> Tensor:
    """The stylizer's picture, less the part of the content that it adds back below strength 1."""
    stylizer = Arbitrary(network)
    *_, step = stylizer.paint(content, stylizer.prepare(Mix((Style(style),))), strength=strength)
    return step.image


@pytest.mark.parametrize("size", [256, 64])
def test_features_and_decoder_are_the_published_ones(
    size: int,
    network: nets.Network,
    draw_photo: Callable[..., Tensor],
    draw_painting: Callable[..., Tensor],
) -> None:
    """With unbiased variances, as published: content and style of one size have the same bias, which cancels."""
    content, style = draw_photo(size, size), draw_painting(size, size)
    net = network.net
    with torch.no_grad():
        feats = net.features(content)
        stats, code = ({"relu4_1": moments(value["relu4_1"])} for value in (feats, net.features(style)))
        found = net.render(feats, stats, code=code)
    expected = as_published(content, style, strength=1.0)
    assert float(expected.std()) > 0.05  # the pictures have something in them
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    other = as_published(content, style.flip(1), strength=1.0)
    assert float((found - other).abs().max()) > 1e-3  # the law can fail


@pytest.mark.parametrize("strips", [False, True])
def test_the_whole_stylisation_is_the_published_one(
    strips: bool,
    network: nets.Network,
    draw_photo: Callable[..., Tensor],
    draw_painting: Callable[..., Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, style = draw_photo(256, 256), draw_painting(256, 256)
    if strips:
        monkeypatch.setattr(painting, "WHOLE_PX", 0)
        monkeypatch.setattr(StyledDecoder, "strips", partialmethod(StyledDecoder.strips, window_px=20_000))
    expected = as_published(content, style, strength=1.0).clamp(0, 1)
    assert float(expected.std()) > 0.05
    found = painted(network, content, style, strength=1.0)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    half = painted(network, content, style, strength=0.5)
    between, plain = (as_published(content, style, strength=strength).clamp(0, 1) for strength in (0.5, 0.0))
    expected = (between + 0.5 * (content - plain)).clamp(0, 1)
    torch.testing.assert_close(half, expected, atol=1e-4, rtol=0)


def test_sizes_that_differ(
    network: nets.Network, draw_photo: Callable[..., Tensor], draw_painting: Callable[..., Tensor]
) -> None:
    """Exactly the published layers with variances over n; over n - 1 differs by no more than one 8-bit value."""
    content, style = draw_photo(256, 192), draw_painting(128, 160)
    found = painted(network, content, style, strength=1.0)
    expected = as_published(content, style, strength=1.0, unbiased=False).clamp(0, 1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    published = as_published(content, style, strength=1.0).clamp(0, 1)
    assert 0 < float((found - published).abs().max()) < 1 / 255


def test_the_card(network: nets.Network, published: dict[str, Path]) -> None:
    card = network.card
    assert (card.kind, card.name, card.network["architecture"]) == ("arbitrary", "decoder", "mirrored")
    eye = next(found.path for found in installed() if found.name == "vgg_normalised")
    assert card.network["encoder"] == {"name": "vgg_normalised", "sha256": sha256_of(eye)}
    assert network.encoder.card.network["ceil_mode"]
    assert sha256_of(published["decoder"]) in card.source


@pytest.mark.parametrize("wrap", ["bare", "state_dict", "module."])
def test_training_files_are_read_too(wrap: str, published: dict[str, Path], tmp_path: Path) -> None:
    state: dict[str, object] = dict(torch.load(published["decoder"], weights_only=True))
    wrapped = {
        "bare": state,
        "state_dict": {"state_dict": state},
        "module.": {f"module.{k}": v for k, v in state.items()},
    }
    torch.save(wrapped[wrap], path := tmp_path / "decoder_iter_160000.pth.tar")
    target = import_weights(path, encoder=str(published["vgg_normalised"]))
    assert target.stem == "decoder_iter_160000"
    card = load(target).card
    assert card.network["encoder"]["name"] == str(published["vgg_normalised"])
    assert nets.load_network("decoder_iter_160000").encoder.name == "vgg_normalised"


def test_storages_of_a_gpu_come_to_the_processor(tmp_path: Path) -> None:
    """A file whose tensors lie on `cuda:0`, as training leaves them: the tag in the pickle is exchanged."""
    torch.save(decoder(), tmp_path / "cpu.pth", _use_new_zipfile_serialization=False)
    raw = (tmp_path / "cpu.pth").read_bytes()
    here, there = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    assert here in raw
    (tmp_path / "decoder.pth").write_bytes(raw.replace(here, there))
    found = read_checkpoint(tmp_path / "decoder.pth")
    assert all(tensor.device.type == "cpu" for tensor in found.tensors.values())
    assert torch.equal(found.tensors["first.weight"], decoder()["1.weight"])


def without(*keys: str) -> dict[str, Tensor]:
    return {key: value for key, value in decoder().items() if key not in keys}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (without("1.weight", "28.bias"), [f"missing: 1.weight ({C}, 512, 3, 3), 28.bias (3,)"]),
        (without("1.weight", "5.weight", "8.weight", "11.weight"), ["1.weight", "5.weight", "8.weight", "11.weight"]),
        (decoder() | {"30.weight": torch.ones(3, 3, 3, 3)}, ["unexpected: 30.weight (3, 3, 3, 3)"]),
        (
            decoder() | {"8.weight": torch.ones(C, C, 1, 1), "21.bias": torch.ones(9)},
            [f"8.weight is ({C}, {C}, 1, 1)", f"21.bias is (9,), ({A},) needed"],
        ),
        (decoder() | {"28.weight": torch.ones(4, A, 3, 3)}, [f"28.weight is (4, {A}, 3, 3), (3, {A}, 3, 3) needed"]),
    ],
)
def test_near_misses_name_every_key(state: dict[str, Tensor], said: list[str], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "decoder.pth")
    with pytest.raises(WeightsMismatch) as caught:
        read_checkpoint(tmp_path / "decoder.pth")
    assert all(part in str(caught.value) for part in said)


def test_a_decoder_needs_its_encoder(published: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"impasto models import vgg_normalised\.pth.*`encoder=vgg_normalised`"):
        import_weights(published["decoder"])
    with pytest.raises(OptionError, match=r"does not apply to vgg_normalised\.pth, which is not a decoder"):
        import_weights(published["vgg_normalised"], encoder=str(published["vgg_normalised"]))
    with pytest.raises(WeightsError, match="is not a VGG encoder"):
        import_weights(published["decoder"], encoder=str(published["decoder"]))
    torch.save(gatys((2, 2)), tmp_path / "short.pth")
    with pytest.raises(WeightsMismatch, match=r"has \[2, 2\] convolutions by stage"):
        import_weights(published["decoder"], encoder=str(tmp_path / "short.pth"))
    wide = decoder() | {"1.weight": torch.ones(C, D + 1, 3, 3)}
    torch.save(wide, tmp_path / "wide.pth")
    with pytest.raises(WeightsMismatch, match=rf"first\.weight is \({C}, {D + 1}, 3, 3\), \({C}, {D}, 3, 3\) needed"):
        import_weights(tmp_path / "wide.pth", encoder=str(published["vgg_normalised"]))
    assert all(found.origin == "bundled" for found in installed())


def test_a_network_of_ours_keeps_its_card(network: nets.Network, tmp_path: Path) -> None:
    path = next(found.path for found in installed() if found.name == "decoder")
    again = load(import_weights(path, name="again"))
    assert again.card == dataclasses.replace(network.card, name="again")
    with pytest.raises(OptionError, match="does not apply"):
        import_weights(path, name="again", encoder="vgg_normalised", replace=True)


def test_an_encoder_that_has_changed_is_refused(published: dict[str, Path], network: nets.Network) -> None:
    torch.save(encoder_state(seed=5), published["vgg_normalised"])
    import_weights(published["vgg_normalised"], replace=True)
    with pytest.raises(WeightsError, match="was trained with another vgg_normalised"):
        nets.load_network("decoder")


def test_from_the_command_line(
    published: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    photo: Tensor,
    painting: Tensor,
) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    files.write(tmp_path / "photo.png", photo)
    files.write(tmp_path / "s.png", painting)
    assert main(["models", "import", "decoder.pth"]) == 2
    assert "--encoder vgg_normalised" in capsys.readouterr().err
    assert main(["models", "import", "vgg_normalised.pth"]) == 0
    assert main(["models", "import", "decoder.pth", "--encoder", "vgg_normalised"]) == 0
    words = ["stylize", "photo.png", "--style", "s.png", "--network", "decoder", "--size", "48", "-o", "out.png"]
    assert main(words) == 0, capsys.readouterr().err
    torch.set_num_threads(threads)
    assert files.read(tmp_path / "out.png").pixels.shape[-1] == 48
