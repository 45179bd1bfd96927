from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from impasto.core.errors import WeightsError, WeightsMismatch
from impasto.core.paths import sha256_of
from impasto.weights.card import CARD_KEY, Card, check_shapes, load, save

NETWORK = {"architecture": "vgg", "stages": [[4, 1]], "padding": "zeros", "pooling": "max", "ceil_mode": False}


def card(**changes: Any) -> Card:
    return Card(**({"kind": "encoder", "name": "tiny", "network": NETWORK} | changes))


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, 3, 3, generator=generator)
    return {"conv1_1.weight": weight.half(), "conv1_1.bias": torch.randn(4, generator=generator)}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "tiny.safetensors"
    written = card(
        preprocess={"matrix": [[0.1, 1 / 3, 0], [0, 1, 0], [1, 0, 0]], "offset": [1e-30, 2, 3.5]},
        licence="MIT",
        source="München",
        training={"steps": 10, "nested": {"rates": [1e-3, 2]}},
        measures={"error": 0.5},
        notes='two\nlines and "quotes"',
        layer_scale={"relu1_1": 0.25},
    )
    save(path, tensors(), card=written)
    found = load(path)
    assert found.card == written
    assert found.sha256 == sha256_of(path)
    assert found.tensors.keys() == tensors().keys()
    for key, tensor in tensors().items():
        assert found.tensors[key].dtype == tensor.dtype
        assert torch.equal(found.tensors[key], tensor)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save(a, tensors(), card=card(training={"x": 1, "y": 2}))
    save(b, dict(reversed(tensors().items())), card=card(training={"y": 2, "x": 1}))
    assert a.read_bytes() == b.read_bytes()


def test_views_and_shared_tensors_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "views.safetensors"
    whole = torch.arange(12.0).reshape(3, 4).requires_grad_()
    save(path, {"t": whole.t(), "again": whole, "row": whole[1]}, card=card())
    found = load(path).tensors
    assert torch.equal(found["t"], whole.detach().t())
    assert torch.equal(found["row"], whole.detach()[1])


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save(path, tensors(), card=card())
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        save(path, {"x": None}, card=card())  # type: ignore[dict-item]
    assert path.read_bytes() == before


def test_a_card_holds_no_reference_to_what_it_was_made_from() -> None:
    network = {"architecture": "vgg", "stages": [(4, 1)]}
    made = card(network=network)
    network["architecture"] = "other"
    assert made.network == {"architecture": "vgg", "stages": [[4, 1]]}
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": ""}, "empty"),
        ({"name": 3}, "name is 3; str"),
        ({"network": []}, "network is"),
        ({"training": {"x": float("nan")}}, "training cannot be written as JSON"),
        ({"measures": {"x": torch.ones(1)}}, "measures cannot be written as JSON"),
        ({"preprocess": {"matrix": [[1, 0, 0]] * 3}}, "preprocess"),
        ({"preprocess": {"matrix": [[1, 0]] * 3, "offset": [0, 0, 0]}}, "preprocess"),
        ({"preprocess": {"matrix": [[1, 0, 0]] * 2, "offset": [0, 0, 0]}}, "preprocess"),
        ({"preprocess": {"matrix": [[1, 0, 0]] * 3, "offset": [0, 0, "x"]}}, "preprocess"),
        ({"layer_scale": {"relu1_1": "big"}}, "layer_scale of relu1_1"),
    ],
)
def test_bad_cards_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        card(**changes)


def written_with(path: Path, metadata: dict[str, str]) -> Path:
    save_file(tensors(), path, metadata=metadata)
    return path


def test_a_file_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"bare\.safetensors has no impasto card"):
        load(written_with(tmp_path / "bare.safetensors", {"other": "x"}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "is a list"),
        (json.dumps({"kind": "encoder", "network": {}}), r"\['name'\] are missing"),
        (json.dumps({"kind": "e", "name": "n", "network": {}, "colour": 1}), r"unknown fields \['colour'\].*upgrade"),
        (json.dumps({"kind": "e", "name": "n", "network": 3}), "x.safetensors: the card's network is 3"),
    ],
)
def test_bad_cards_in_files_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        load(written_with(tmp_path / "x.safetensors", {CARD_KEY: text}))


def test_the_card_stands_in_the_metadata_as_json(tmp_path: Path) -> None:
    save(tmp_path / "x.safetensors", tensors(), card=card())
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["impasto"])["network"] == NETWORK


def test_shapes_that_fit_pass() -> None:
    check_shapes({"a": (1, 2), "b": torch.Size([3])}, {"b": (3,), "a": (1, 2)}, where="x")


def test_every_difference_is_listed_at_once() -> None:
    found = {"a": (1,), "b": (2,), "extra": (3,), "extra2": (4,)}
    needed = {"a": (1,), "b": (2, 2), "gone": (5,), "gone2": (6,)}
    with pytest.raises(WeightsMismatch) as caught:
        check_shapes(found, needed, where="x.pth")
    assert str(caught.value) == (
        "x.pth does not fit the network. missing: gone (5,), gone2 (6,); unexpected: extra (3,), extra2 (4,); "
        "other shape: b is (2,), (2, 2) needed."
    )


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    save(tmp_path / "made.safetensors", {"a": torch.ones(2)}, card=Card(kind="encoder", name="x", network={}))
    assert (tmp_path / "made.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
