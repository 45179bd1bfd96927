"""Readers of other projects' layouts of networks: each checkpoint format by its keys and shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from johnsons import SAMPLES as FAST
from torch import Tensor
from torch.nn import functional

from impasto.core.errors import UnknownName, WeightsError, WeightsMismatch
from impasto.core.paths import sha256_of
from impasto.weights.card import Card, save
from impasto.weights.catalogue import CATALOGUE, CatalogueEntry
from impasto.weights.readers import FORMATS, load_weights, read_checkpoint

from .checkpoints import (
    VGG16,
    VGG19,
    WIDTHS,
    adain,
    by_position,
    decoder,
    features,
    gatys,
    layers,
    plain,
    pth,
    same,
    squeezenet,
    torchvision_squeezenet,
)
from .conftest import Served

SAMPLES: dict[str, Callable[[], dict[str, Tensor]]] = {
    "torchvision-vgg": features,
    "caffe-vgg": features,
    "gatys-vgg": gatys,
    "adain-vgg": adain,
    "squeezenet": squeezenet,
    "torchvision-squeezenet": torchvision_squeezenet,
    "adain-decoder": decoder,
    **{name: sample.state for name, sample in FAST.items()},
}
KINDS = {"adain-decoder": "arbitrary", **dict.fromkeys(FAST, "fast")}
PREPROCESS = {"torchvision-vgg": "imagenet-rgb", "caffe-vgg": "caffe-bgr", "gatys-vgg": "gatys-bgr"}


def network(counts: tuple[int, ...], *, padding: str = "zeros", ceil_mode: bool = False) -> dict[str, object]:
    return {
        "architecture": "vgg",
        "stages": [[width, count] for width, count in zip(WIDTHS, counts, strict=False)],
        "padding": padding,
        "pooling": "max",
        "ceil_mode": ceil_mode,
    }


ELSEWHERE = {"jcjohnson"}
"""Formats of containers of their own: `test_torch7`."""


def test_every_format_has_a_sample() -> None:
    assert {"impasto", *SAMPLES, *ELSEWHERE} == FORMATS.keys()


@pytest.mark.parametrize("checkpoint_format", SAMPLES)
@pytest.mark.parametrize("kept_as", ["pth", "safetensors"])
def test_each_format_is_read_from_either_container(checkpoint_format: str, kept_as: str, tmp_path: Path) -> None:
    state = SAMPLES[checkpoint_format]()
    path = pth(tmp_path, state) if kept_as == "pth" else plain(tmp_path, state)
    found = read_checkpoint(path, checkpoint_format=checkpoint_format)
    assert found.sha256 == sha256_of(path)
    assert found.card.kind == KINDS.get(checkpoint_format, "encoder")
    assert found.card.name == "w"
    assert found.card.licence == "see source"
    assert path.name in found.card.source
    assert checkpoint_format in found.card.source
    assert found.sha256 in found.card.source
    assert all(tensor.is_contiguous() for tensor in found.tensors.values())


@pytest.mark.parametrize("checkpoint_format", ["torchvision-vgg", "caffe-vgg"])
@pytest.mark.parametrize("counts", [VGG16, VGG19, (1, 1, 2, 2, 2), (2, 2, 4, 1), (2, 2, 4, 4, 1), (1,)])
def test_features_are_renamed_by_their_place(checkpoint_format: str, counts: tuple[int, ...], tmp_path: Path) -> None:
    state = features(counts)
    found = read_checkpoint(pth(tmp_path, state), checkpoint_format=checkpoint_format)
    wanted = {
        f"{name}.{part}": state[f"features.{number}.{part}"]
        for name, number in by_position(counts)
        for part in ("weight", "bias")
    }
    assert same(found.tensors, wanted)
    assert found.card.network == network(counts)
    assert found.card.preprocess == PREPROCESS[checkpoint_format]


def test_the_published_numbers_are_the_sample_s() -> None:
    vgg19 = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert [number for _, number in by_position(VGG19)] == vgg19
    assert [number for _, number in by_position(VGG16)] == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


def test_features_alone_are_read_too(tmp_path: Path) -> None:
    whole = read_checkpoint(pth(tmp_path, features()), checkpoint_format="caffe-vgg")
    alone = read_checkpoint(pth(tmp_path, layers(VGG19).state_dict()), checkpoint_format="caffe-vgg")
    assert same(whole.tensors, alone.tensors)


@pytest.mark.parametrize("counts", [VGG16, VGG19, (2, 2, 1)])
def test_batch_norm_is_folded(counts: tuple[int, ...], tmp_path: Path) -> None:
    found = read_checkpoint(pth(tmp_path, features(counts, normed=True)))
    assert found.card.preprocess == "imagenet-rgb"
    assert found.card.network == network(counts)
    image = torch.rand(1, 3, 17, 19)
    canvas = image
    for stage, count in enumerate(counts, 1):
        canvas = functional.max_pool2d(canvas, 2) if stage > 1 else canvas
        for i in range(1, count + 1):
            pair = found.tensors[f"conv{stage}_{i}.weight"], found.tensors[f"conv{stage}_{i}.bias"]
            canvas = functional.relu(functional.conv2d(canvas, *pair, padding=1))
    with torch.no_grad():
        wanted = layers(counts, normed=True)(image)
    assert wanted.abs().max() > 0
    torch.testing.assert_close(canvas, wanted, rtol=1e-4, atol=1e-5)


def test_batch_norm_is_not_caffe(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not of checkpoint format caffe-vgg"):
        read_checkpoint(pth(tmp_path, features(normed=True)), checkpoint_format="caffe-vgg")


@pytest.mark.parametrize("counts", [VGG19, (2, 2, 4, 1), (2, 1)])
def test_gatys_keys_stay(counts: tuple[int, ...], tmp_path: Path) -> None:
    state = gatys(counts)
    found = read_checkpoint(pth(tmp_path, state))
    assert same(found.tensors, state)
    assert found.card.network == network(counts)
    assert found.card.preprocess == "gatys-bgr"


def test_a_compact_network_without_a_card_is_not_taken_for_gatys(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no known checkpoint format"):
        read_checkpoint(plain(tmp_path, gatys((2, 2, 3, 2, 1))))


@pytest.mark.parametrize(("count", "counts"), [(16, VGG19), (9, (2, 2, 4, 1)), (13, (2, 2, 4, 4, 1)), (1, (1,))])
def test_adain_keeps_every_number(count: int, counts: tuple[int, ...], tmp_path: Path) -> None:
    state = adain(count)
    found = read_checkpoint(pth(tmp_path, state))
    assert same(found.tensors, gatys(counts))
    assert found.card.network == network(counts, padding="reflect", ceil_mode=True)
    preprocess = found.card.preprocess
    assert isinstance(preprocess, dict)
    assert torch.equal(torch.tensor(preprocess["matrix"]), state["0.weight"][:, :, 0, 0])
    assert torch.equal(torch.tensor(preprocess["offset"]), state["0.bias"])


@pytest.mark.parametrize("classifier", [True, False])
def test_squeezenet_keys_stay(classifier: bool, tmp_path: Path) -> None:
    state = squeezenet(classifier=classifier)
    path = plain(tmp_path, state, {"licence": "BSD-2-Clause", "source": "somewhere"})
    found = read_checkpoint(path)
    assert same(found.tensors, state)
    assert found.card.network == {"architecture": "squeezenet-1.0"}
    assert found.card.preprocess == "squeezenet-bgr"
    assert found.card.licence == "BSD-2-Clause"
    assert found.card.source.startswith("somewhere (file w.safetensors")


def test_features_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"`checkpoint_format=torchvision-vgg\|caffe-vgg"):
        read_checkpoint(pth(tmp_path, features()))


@pytest.mark.parametrize("checkpoint_format", ["torchvision-vgg", "caffe-vgg"])
def test_a_known_digest_settles_it(checkpoint_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pth(tmp_path, features())
    entry = CatalogueEntry(
        name="known",
        kind="encoder",
        checkpoint_format=checkpoint_format,
        urls=("https://example.org/w.pth",),
        sha256=sha256_of(path)[:8].upper(),
        licence="free",
        about="a test",
    )
    monkeypatch.setitem(CATALOGUE, "known", entry)
    card = read_checkpoint(path).card
    assert (card.name, card.licence, card.preprocess) == ("known", "free", PREPROCESS[checkpoint_format])
    assert card.source.startswith("https://example.org/w.pth (file w.pth, read as")


def test_a_catalogue_name_is_fetched_and_read(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.files["/w.pth"] = pth(tmp_path, features()).read_bytes()
    entry = CatalogueEntry(
        name="remote",
        kind="encoder",
        checkpoint_format="caffe-vgg",
        urls=(served.url("w.pth"),),
        licence="free",
        about="a test",
    )
    monkeypatch.setitem(CATALOGUE, "remote", entry)
    assert load_weights("remote", allow_unverified=True).card.preprocess == "caffe-bgr"


def test_parallel_features(tmp_path: Path) -> None:
    state = {key.replace("features.", "features.module."): tensor for key, tensor in features().items()}
    assert read_checkpoint(pth(tmp_path, state), checkpoint_format="torchvision-vgg").card.network == network(VGG19)


def test_our_own_files_are_read(tmp_path: Path) -> None:
    card = Card(kind="decoder", name="mine", network={"architecture": "other"})
    save(tmp_path / "a.safetensors", gatys(), card=card)
    found = read_checkpoint(tmp_path / "a.safetensors")
    assert found.card == card
    assert same(found.tensors, gatys())
    with pytest.raises(WeightsError, match="not of checkpoint format gatys-vgg"):
        read_checkpoint(tmp_path / "a.safetensors", checkpoint_format="gatys-vgg")


def test_unknown_formats_are_named() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'caffe-vgg'"):
        read_checkpoint(Path("any"), checkpoint_format="cafe-vgg")


def test_another_format_than_it_is(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"not of checkpoint format adain-vgg.*it has 32 tensors, first conv1_1.weight"
    ):
        read_checkpoint(pth(tmp_path, gatys()), checkpoint_format="adain-vgg")


@pytest.mark.parametrize(
    "state",
    [
        {"a": torch.ones(1)},
        {"features.0.weight": torch.ones(4, 3, 7, 7)},
        {"features.0.weight": torch.ones(4, 3, 3, 3), "features.3.squeeze.weight": torch.ones(1, 4, 1, 1)},
        {"1.weight": torch.ones(4, 3, 3, 3)},
    ],
)
def test_others_are_told_what_is_known(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(pth(tmp_path, state))
    assert all(name in str(caught.value) for name in FORMATS)


def without(state: dict[str, Tensor], *keys: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key not in keys}


@pytest.mark.parametrize(
    ("checkpoint_format", "state", "said"),
    [
        ("caffe-vgg", without(features(), "features.7.weight"), "features.10 after features.5; features.7"),
        (
            "caffe-vgg",
            without(features(), "features.7.bias", "features.34.bias"),
            r"missing: features.7.bias \(4,\), features.34.bias \(6,\)",
        ),
        (
            "caffe-vgg",
            features() | {"features.2.weight": torch.ones(9, 9, 3, 3)},
            r"\(9, 9, 3, 3\), \(4, 4, 3, 3\) needed",
        ),
        ("caffe-vgg", features() | {"features.3.bias": torch.ones(4)}, "unexpected: features.3.bias"),
        ("caffe-vgg", features((5, 1)), "at most 5 stages of 4"),
        (
            "torchvision-vgg",
            without(features(normed=True), "features.1.running_var"),
            "missing: features.1.running_var",
        ),
        ("gatys-vgg", without(gatys(), "conv5_4.bias"), "missing: conv5_4.bias"),
        ("gatys-vgg", gatys() | {"conv1_1.weight": torch.tensor(1.0)}, "conv1_1.weight"),
        ("adain-vgg", without(adain(), "0.bias"), r"missing: 0.bias \(3,\)"),
        ("adain-vgg", adain(0), "no convolutions"),
        ("adain-vgg", without(adain(), "2.weight", "2.bias"), "other shape: 5.weight"),
        ("squeezenet", without(squeezenet(), "fire9.conv1x1_2.weight"), "no convolution fire9.conv1x1_2"),
        (
            "squeezenet",
            squeezenet() | {"fire3.conv3x3_2.weight": torch.ones(5, 9, 3, 3)},
            "other shape: fire3.conv3x3_2",
        ),
        ("squeezenet", squeezenet() | {"fire10.bias": torch.ones(1)}, "unexpected: fire10.bias"),
    ],
)
def test_near_misses_list_the_differences(
    checkpoint_format: str, state: dict[str, Tensor], said: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsMismatch, match=said):
        read_checkpoint(pth(tmp_path, state), checkpoint_format=checkpoint_format)


def test_torchvision_s_squeezenet_is_the_same_network_in_other_colours(tmp_path: Path) -> None:
    one = read_checkpoint(pth(tmp_path, torchvision_squeezenet()))
    other = read_checkpoint(pth(tmp_path, squeezenet()))
    assert same(one.tensors, other.tensors)
    assert (one.card.preprocess, other.card.preprocess) == ("imagenet-rgb", "squeezenet-bgr")
    broken = {k: v for k, v in torchvision_squeezenet().items() if k != "features.7.expand1x1.weight"}
    with pytest.raises(WeightsMismatch, match="fire5"):
        read_checkpoint(pth(tmp_path, broken))
