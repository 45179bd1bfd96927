from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from johnsons import SAMPLES as LEARNED
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from impasto.core.errors import OptionError, UnknownName, WeightsError, WeightsMismatch
from impasto.core.paths import sha256_of
from impasto.weights.card import Card, load, save
from impasto.weights.catalogue import CATALOGUE, Entry, installed, located
from impasto.weights.readers import DIALECTS, imported, loaded, read

from .checkpoints import VGG16, VGG19, WIDTHS, adain, by_position, decoder, features, gatys, layers, squeezenet
from .conftest import Served

SAMPLES: dict[str, Callable[[], dict[str, Tensor]]] = {
    "torchvision-vgg": features,
    "caffe-vgg": features,
    "gatys-vgg": gatys,
    "adain-vgg": adain,
    "squeezenet": squeezenet,
    "adain-decoder": decoder,
    **{name: sample.state for name, sample in LEARNED.items()},
}
KINDS = {"adain-decoder": "arbitrary", **dict.fromkeys(LEARNED, "fast")}
PREPROCESS = {"torchvision-vgg": "imagenet-rgb", "caffe-vgg": "caffe-bgr", "gatys-vgg": "gatys-bgr"}


def pth(folder: Path, state: object, name: str = "w.pth") -> Path:
    torch.save(state, folder / name)
    return folder / name


def plain(folder: Path, state: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file(state, folder / "w.safetensors", metadata=metadata)
    return folder / "w.safetensors"


def network(counts: tuple[int, ...], *, padding: str = "zeros", ceil_mode: bool = False) -> dict[str, object]:
    return {
        "architecture": "vgg",
        "stages": [[width, count] for width, count in zip(WIDTHS, counts, strict=False)],
        "padding": padding,
        "pooling": "max",
        "ceil_mode": ceil_mode,
    }


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_every_dialect_has_a_sample() -> None:
    assert {"impasto", *SAMPLES} == DIALECTS.keys()


@pytest.mark.parametrize("dialect", SAMPLES)
@pytest.mark.parametrize("kept_as", ["pth", "safetensors"])
def test_each_dialect_is_read_from_either_container(dialect: str, kept_as: str, tmp_path: Path) -> None:
    state = SAMPLES[dialect]()
    path = pth(tmp_path, state) if kept_as == "pth" else plain(tmp_path, state)
    found = read(path, dialect=dialect)
    assert found.sha256 == sha256_of(path)
    assert found.card.kind == KINDS.get(dialect, "encoder")
    assert found.card.name == "w"
    assert found.card.licence == "see source"
    assert path.name in found.card.source
    assert dialect in found.card.source
    assert found.sha256 in found.card.source
    assert all(tensor.is_contiguous() for tensor in found.tensors.values())


@pytest.mark.parametrize("dialect", ["torchvision-vgg", "caffe-vgg"])
@pytest.mark.parametrize("counts", [VGG16, VGG19, (1, 1, 2, 2, 2), (2, 2, 4, 1), (2, 2, 4, 4, 1), (1,)])
def test_features_are_renamed_by_their_place(dialect: str, counts: tuple[int, ...], tmp_path: Path) -> None:
    state = features(counts)
    found = read(pth(tmp_path, state), dialect=dialect)
    wanted = {
        f"{name}.{part}": state[f"features.{number}.{part}"]
        for name, number in by_position(counts)
        for part in ("weight", "bias")
    }
    assert same(found.tensors, wanted)
    assert found.card.network == network(counts)
    assert found.card.preprocess == PREPROCESS[dialect]


def test_the_published_numbers_are_the_sample_s() -> None:
    vgg19 = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert [number for _, number in by_position(VGG19)] == vgg19
    assert [number for _, number in by_position(VGG16)] == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


def test_features_alone_are_read_too(tmp_path: Path) -> None:
    whole = read(pth(tmp_path, features()), dialect="caffe-vgg")
    alone = read(pth(tmp_path, layers(VGG19).state_dict()), dialect="caffe-vgg")
    assert same(whole.tensors, alone.tensors)


@pytest.mark.parametrize("counts", [VGG16, VGG19, (2, 2, 1)])
def test_batch_norm_is_folded(counts: tuple[int, ...], tmp_path: Path) -> None:
    found = read(pth(tmp_path, features(counts, normed=True)))
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
    with pytest.raises(WeightsError, match="not of dialect caffe-vgg"):
        read(pth(tmp_path, features(normed=True)), dialect="caffe-vgg")


@pytest.mark.parametrize("counts", [VGG19, (2, 2, 4, 1), (2, 1)])
def test_gatys_keys_stay(counts: tuple[int, ...], tmp_path: Path) -> None:
    state = gatys(counts)
    found = read(pth(tmp_path, state))
    assert same(found.tensors, state)
    assert found.card.network == network(counts)
    assert found.card.preprocess == "gatys-bgr"


def test_a_compact_network_without_a_card_is_not_taken_for_gatys(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no known dialect"):
        read(plain(tmp_path, gatys((2, 2, 3, 2, 1))))


@pytest.mark.parametrize(("count", "counts"), [(16, VGG19), (9, (2, 2, 4, 1)), (13, (2, 2, 4, 4, 1)), (1, (1,))])
def test_adain_keeps_every_number(count: int, counts: tuple[int, ...], tmp_path: Path) -> None:
    state = adain(count)
    found = read(pth(tmp_path, state))
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
    found = read(path)
    assert same(found.tensors, state)
    assert found.card.network == {"architecture": "squeezenet-1.0"}
    assert found.card.preprocess == "squeezenet-bgr"
    assert found.card.licence == "BSD-2-Clause"
    assert found.card.source.startswith("somewhere (file w.safetensors")


def test_features_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"--dialect torchvision-vgg\|caffe-vgg"):
        read(pth(tmp_path, features()))


@pytest.mark.parametrize("dialect", ["torchvision-vgg", "caffe-vgg"])
def test_a_known_digest_settles_it(dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pth(tmp_path, features())
    entry = Entry(
        name="known",
        kind="encoder",
        dialect=dialect,
        urls=("https://example.org/w.pth",),
        sha256=sha256_of(path)[:8].upper(),
        licence="free",
        about="a test",
    )
    monkeypatch.setitem(CATALOGUE, "known", entry)
    card = read(path).card
    assert (card.name, card.licence, card.preprocess) == ("known", "free", PREPROCESS[dialect])
    assert card.source.startswith("https://example.org/w.pth (file w.pth, read as")


def test_a_catalogue_name_is_fetched_and_read(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.files["/w.pth"] = pth(tmp_path, features()).read_bytes()
    entry = Entry(
        name="remote",
        kind="encoder",
        dialect="caffe-vgg",
        urls=(served.url("w.pth"),),
        licence="free",
        about="a test",
    )
    monkeypatch.setitem(CATALOGUE, "remote", entry)
    assert loaded("remote", allow_unverified=True).card.preprocess == "caffe-bgr"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": {"state_dict": s}},
        lambda s: {f"module.{key}": tensor for key, tensor in s.items()},
        lambda s: {"state_dict": {f"_orig_mod.module.{key}": tensor for key, tensor in s.items()}},
        lambda s: {key: nn.Parameter(tensor) for key, tensor in s.items()} | {"epoch": 3},
        lambda s: OrderedDict(reversed(s.items())),
    ],
)
def test_wrappings_come_off(wrap: Callable[[dict[str, Tensor]], object], tmp_path: Path) -> None:
    found = read(pth(tmp_path, wrap(gatys())))
    assert same(found.tensors, gatys())
    assert not any(tensor.requires_grad for tensor in found.tensors.values())


def test_parallel_features(tmp_path: Path) -> None:
    state = {key.replace("features.", "features.module."): tensor for key, tensor in features().items()}
    assert read(pth(tmp_path, state), dialect="torchvision-vgg").card.network == network(VGG19)


def test_the_old_checkpoint_format(tmp_path: Path) -> None:
    torch.save(gatys(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same(read(tmp_path / "old.pth").tensors, gatys())


def test_the_content_tells_the_container(tmp_path: Path) -> None:
    plain(tmp_path, gatys()).rename(tmp_path / "w.pth")
    assert same(read(tmp_path / "w.pth").tensors, gatys())


def test_the_tensors_outlive_the_file(tmp_path: Path) -> None:
    path = pth(tmp_path, gatys())
    found = read(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert same(found.tensors, gatys())


def test_our_own_files_are_read(tmp_path: Path) -> None:
    card = Card(kind="decoder", name="mine", network={"architecture": "other"})
    save(tmp_path / "a.safetensors", gatys(), card)
    found = read(tmp_path / "a.safetensors")
    assert found.card == card
    assert same(found.tensors, gatys())
    with pytest.raises(WeightsError, match="not of dialect gatys-vgg"):
        read(tmp_path / "a.safetensors", dialect="gatys-vgg")


def test_unknown_dialects_are_named() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'caffe-vgg'"):
        read(Path("any"), dialect="cafe-vgg")


def test_another_dialect_than_it_is(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"not of dialect adain-vgg.*it has 32 tensors, first conv1_1.weight"):
        read(pth(tmp_path, gatys()), dialect="adain-vgg")


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
        read(pth(tmp_path, state))
    assert all(name in str(caught.value) for name in DIALECTS)


def without(state: dict[str, Tensor], *keys: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key not in keys}


@pytest.mark.parametrize(
    ("dialect", "state", "said"),
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
def test_near_misses_list_the_differences(dialect: str, state: dict[str, Tensor], said: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMismatch, match=said):
        read(pth(tmp_path, state), dialect=dialect)


@pytest.mark.parametrize("bad", [torch.full((4,), float("nan")), torch.ones(4, dtype=torch.int64)])
def test_values_that_are_no_weights(bad: Tensor, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"conv1_1.bias in w.pth is not all finite floats"):
        read(pth(tmp_path, gatys() | {"conv1_1.bias": bad}))


class Own:
    """Something that only running code could restore."""


def saved(state: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, b"x")
    return buffer.getvalue()


def broken_safetensors() -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"\0" * 3


OLD = {"_use_new_zipfile_serialization": False}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"no weights at all", "damaged, or neither"),
        (saved(gatys())[:3000], "damaged, or neither"),
        (saved(gatys(), **OLD)[:3000], "damaged, or neither"),
        (saved(gatys(), **OLD)[:30], "damaged, or neither"),
        (zipped("anything"), "damaged, or neither"),
        (broken_safetensors(), "damaged or no safetensors"),
        (saved({"a": Own()}), r"Python objects \(.*Own\)"),
        (saved(nn.Linear(2, 2)), r"Python objects \(torch.nn.modules.linear.Linear\)"),
        (saved(Own(), **OLD), r"Python objects \(.*Own\)"),
        (pickle.dumps({"a": Own()}), "damaged, or neither|Python objects"),
        (saved(torch.ones(2)), "holds a Tensor"),
        (saved([torch.ones(2)]), "holds a list"),
        (saved({"epoch": 3}), "no tensors by name"),
        (saved({"state_dict": {}}), "no tensors by name"),
        (saved({1: torch.ones(2)}), "no tensors by name"),
    ],
)
def test_files_that_are_no_weights(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_torchscript_program(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("w/constants.pkl", b"x")
        file.writestr("w/data.pkl", b"x")
        file.writestr("w/version", b"3")
    with pytest.raises(WeightsError, match="TorchScript"):
        read(path)


def test_a_state_dict_inside_itself(tmp_path: Path) -> None:
    knot: dict[str, object] = {}
    knot["state_dict"] = knot
    with pytest.raises(WeightsError, match="no tensors by name"):
        read(pth(tmp_path, knot))


def test_unpickling_runs_no_code(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return mark.write_text, ("run",)

    with pytest.raises(WeightsError):
        read(pth(tmp_path, {"a": Evil()}))
    assert not mark.exists()


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read"):
        read(tmp_path / "gone.pth")


@pytest.mark.parametrize("name", ["mine", None])
def test_an_imported_file_is_found_by_name(name: str | None, tmp_path: Path) -> None:
    path = pth(tmp_path, features(), "My net (1).pth.tar")
    target = imported(path, dialect="caffe-vgg", name=name)
    chosen = name or "My-net-1"
    assert located(chosen) == target
    assert (chosen, "imported") in [(found.name, found.origin) for found in installed()]
    found, wanted = load(target), read(path, dialect="caffe-vgg")
    assert same(found.tensors, wanted.tensors)
    assert found.card.name == chosen
    assert found.card.source == wanted.card.source
    assert wanted.sha256 in found.card.source
    assert loaded(chosen).card == found.card


def test_a_second_import_replaces_the_first(tmp_path: Path) -> None:
    path = pth(tmp_path, features())
    first = imported(path, dialect="caffe-vgg")
    assert imported(path, dialect="torchvision-vgg") == first
    assert load(first).card.preprocess == "imagenet-rgb"


def test_a_failed_import_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        imported(pth(tmp_path, features()), name="mine")
    with pytest.raises(OptionError, match="choose another"):
        imported(pth(tmp_path, gatys()), name="vgg19")
    assert not any(found.origin == "imported" for found in installed())
