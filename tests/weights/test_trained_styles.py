"""Trained styles of six projects: what is painted with their files is what their own layers paint."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
from johnsons import (
    SAMPLES,
    A,
    B,
    C,
    State,
    of_examples,
    of_gordicaleksa,
    of_lengstrom,
    of_myklmaring,
    of_rrmina,
    of_rrmina_resnext,
)
from torch import Tensor

from impasto.core.errors import WeightsError, WeightsMismatch
from impasto.encoders import precision
from impasto.nets import fast as nets
from impasto.nets import layers, painting, residual
from impasto.stylizers.fast import Fast
from impasto.stylizers.protocol import Mix, Style
from impasto.weights.card import card_of
from impasto.weights.johnson import LAYOUTS
from impasto.weights.readers import import_weights, read_checkpoint

AMBIGUOUS = ("rrmina", "rrmina-tanh", "rrmina-tanh-rgb")


def file_of(folder: Path, state: object, name: str = "candy.pth") -> Path:
    torch.save(state, folder / name)
    return folder / name


def network_of(name: str, folder: Path) -> nets.FastNetwork:
    """The sample of a checkpoint format, imported and loaded."""
    path = file_of(folder, SAMPLES[name].state())
    import_weights(path, checkpoint_format=name if name in AMBIGUOUS else None, replace=True)
    return nets.load_fast_network("candy", precision="float32")


def painted(network: nets.FastNetwork, content: Tensor) -> Tensor:
    stylizer = Fast({"candy": network})
    *_, step = stylizer.paint(content, stylizer.prepare(Mix((Style(trained="candy"),))))
    return step.image


def test_every_layout_has_a_sample() -> None:
    assert [layout.name for layout in LAYOUTS] == list(SAMPLES)


@pytest.mark.parametrize("size", [(24, 32), (27, 33), (26, 29)])
@pytest.mark.parametrize("name", SAMPLES)
def test_the_painting_is_the_project_s_own(
    name: str, size: tuple[int, int], tmp_path: Path, draw_photo: Callable[..., Tensor]
) -> None:
    """Sides that are multiples of 4, odd ones, and those that are odd once they are halved."""
    content, sample = draw_photo(*size), SAMPLES[name]
    network = network_of(name, tmp_path)
    expected = sample.forward(content, sample.state())[..., : size[0], : size[1]].clamp(0, 1)
    assert float(expected.std()) > 0.05  # there is something in it
    assert float(((expected > 0) & (expected < 1)).float().mean()) > 0.1  # and not all is clamped
    torch.testing.assert_close(painted(network, content), expected, atol=1e-4, rtol=0)
    turned = sample.forward(content.flip(1), sample.state())[..., : size[0], : size[1]].clamp(0, 1)
    assert float((turned - expected).abs().max()) > 1e-3  # the law can fail: colours matter


@pytest.mark.parametrize("name", SAMPLES)
def test_parts_are_the_whole(
    name: str, tmp_path: Path, draw_photo: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    content, network = draw_photo(27, 33), network_of(name, tmp_path)
    whole = painted(network, content)
    monkeypatch.setattr(painting, "WHOLE_PX", 70)
    monkeypatch.setattr(residual.Residual, "strips", partialmethod(residual.Residual.strips, strip_px=70))
    torch.testing.assert_close(painted(network, content), whole, atol=1e-5, rtol=0)


def test_gradients_flow() -> None:
    net = residual.Residual(widths=(2, 3), blocks=1)
    net(torch.rand(1, 3, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in net.parameters())
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        calm = net(image)
    torch.testing.assert_close(net(image).detach(), calm, atol=1e-5, rtol=0)


def test_the_card_says_range_colours_and_layers(tmp_path: Path) -> None:
    card = network_of("lengstrom", tmp_path).card
    assert (card.kind, card.name, card.preprocess) == ("fast", "candy", "rgb-255")
    wanted = {"widths": [A, B, C], "padding": "same", "eps": 1e-3, "last_norm": True, "tanh": [150.0, 127.5]}
    assert wanted.items() <= card.network.items()
    assert "read as lengstrom" in card.source
    bgr = network_of("rrmina", tmp_path).card
    assert (bgr.preprocess, bgr.network["output"]) == ("bgr-255", "bgr-255")


def test_eps_counts(tmp_path: Path, draw_photo: Callable[..., Tensor]) -> None:
    """A flat, dark picture, whose variances are about as small as what is added to them."""
    content, sample = draw_photo(24, 32) / 20_000, SAMPLES["lengstrom"]
    network = network_of("lengstrom", tmp_path)
    expected = sample.forward(content, sample.state()).clamp(0, 1)
    torch.testing.assert_close(painted(network, content), expected, atol=1e-4, rtol=0)
    for module in network.net.modules():
        if isinstance(module, layers.Norm):
            module.eps = 1e-5
    assert float((painted(network, content) - expected).abs().max()) > 1e-2


def test_statistics_of_old_torch_are_left_aside(tmp_path: Path) -> None:
    state = of_examples()
    for key in [key for key in state if ".in" in f".{key}" and key.endswith(".weight") and state[key].ndim == 1]:
        start = key.removesuffix("weight")
        state |= {f"{start}running_mean": torch.rand(3), f"{start}running_var": torch.rand(3)}
    assert len(state) > len(of_examples())
    found = read_checkpoint(file_of(tmp_path, state))
    assert found.tensors.keys() == read_checkpoint(file_of(tmp_path, of_examples())).tensors.keys()


def test_wrapped_as_it_is_trained(tmp_path: Path) -> None:
    whole = {"commit_hash": "abc", "content_weight": 1.0, "num_of_datapoints": 3, "state_dict": of_gordicaleksa()}
    whole["optimizer_state"] = {"state": {0: {"step": torch.ones(())}}, "param_groups": [{"lr": 1e-3}]}
    assert "read as gordicaleksa" in read_checkpoint(file_of(tmp_path, whole)).card.source
    parallel = {f"module.{key}": value for key, value in SAMPLES["eriklindernoren"].state().items()}
    assert "read as eriklindernoren" in read_checkpoint(file_of(tmp_path, parallel)).card.source


def test_second_copies_must_be_the_same(tmp_path: Path) -> None:
    state = of_myklmaring()
    assert len([key for key in state if key.startswith(("encoder.", "residual.", "decoder."))]) * 2 == len(state)
    half = {key: value for key, value in state.items() if key.startswith(("encoder.", "residual.", "decoder."))}
    one, other = read_checkpoint(file_of(tmp_path, half)).tensors, read_checkpoint(file_of(tmp_path, state)).tensors
    assert all(torch.equal(one[key], value) for key, value in other.items())
    with pytest.raises(WeightsMismatch, match=r"two tensors for norm1\.bias that differ \(encoder\.1\.bias\)"):
        read_checkpoint(file_of(tmp_path, state | {"encoder.1.bias": torch.ones(A)}))


def test_what_keys_leave_open_is_asked(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"may be rrmina or .* `checkpoint_format=rrmina\|rrmina-tanh\|rrmina-tanh-rgb"
    ):
        read_checkpoint(file_of(tmp_path, of_rrmina()))


def test_the_resnext_variant_is_not_asked_about(tmp_path: Path) -> None:
    file = read_checkpoint(file_of(tmp_path, of_rrmina_resnext()))
    assert file.card.network["bottleneck"] == 3
    assert len(of_rrmina_resnext()) == 82


def missing(state: State, *keys: str) -> State:
    return {key: value for key, value in state.items() if key not in keys}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            missing(of_examples(), "res3.in2.bias", "conv1.conv2d.weight"),
            ["missing: conv1.conv2d.weight (32, 3, 9, 9)", "res3.in2.bias (6,)"],
        ),
        (of_examples() | {"res6.in1.bias": torch.ones(2)}, ["unexpected: res6.in1.bias (2,)"]),
        (
            of_gordicaleksa() | {"in1.weight": torch.ones(9), "up3.conv2d.weight": torch.ones(3, A, 3, 3)},
            [f"in1.weight is (9,), ({A},) needed", f"up3.conv2d.weight is (3, {A}, 3, 3), (3, {A}, 9, 9) needed"],
        ),
        (
            of_lengstrom() | {"Variable_39": torch.ones(3, 3, C, B), "Variable_48": torch.ones(())},
            ["unexpected: Variable_48 ()", f"Variable_39 is (3, 3, {C}, {B}), (3, 3, {B}, {C}) needed"],
        ),
    ],
)
def test_near_misses_name_every_key(state: State, said: list[str], tmp_path: Path) -> None:
    with pytest.raises(WeightsMismatch) as caught:
        read_checkpoint(file_of(tmp_path, state))
    assert all(part in str(caught.value) for part in said), caught.value


# Arrays of TensorFlow


def folder_of(path: Path, state: State) -> Path:
    """As deeplearn.js reads it, with what an optimiser kept listed but not there."""
    path.mkdir()
    manifest = {key: {"filename": key, "shape": list(value.shape)} for key, value in state.items()}
    manifest |= {"Variable_3_Adam_1": {"filename": "Variable_3_Adam_1", "shape": [1]}}
    (path / "manifest.json").write_text(json.dumps(manifest))
    for key, value in state.items():
        (path / key).write_bytes(value.numpy().astype("<f4").tobytes())
    return path


def test_a_folder_and_npz_are_the_same(tmp_path: Path) -> None:
    state = of_lengstrom()
    np.savez(tmp_path / "muse.npz", **{key: value.numpy() for key, value in state.items()})
    folder = folder_of(tmp_path / "muse", state)
    found = [read_checkpoint(path) for path in (folder, tmp_path / "muse.npz", file_of(tmp_path, state))]
    for other in found[1:]:
        assert all(torch.equal(found[0].tensors[key], value) for key, value in other.tensors.items())
    assert import_weights(folder).stem == import_weights(tmp_path / "muse.npz", replace=True).stem == "muse"
    assert read_checkpoint(folder).sha256 == found[0].sha256
    (folder / "Variable_1").write_bytes(np.ones(A, "<f4").tobytes())
    assert read_checkpoint(folder).sha256 != found[0].sha256


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"is a folder without manifest\.json"):
        read_checkpoint(tmp_path / "empty")
    folder = folder_of(tmp_path / "muse", of_lengstrom())
    (folder / "Variable_1").write_bytes(b"abc")
    with pytest.raises(WeightsError, match=rf"has 3 bytes; {4 * A} are needed for Variable_1"):
        read_checkpoint(folder)
    (folder / "Variable_1").unlink()
    with pytest.raises(WeightsError, match=r"cannot read .*Variable_1"):
        read_checkpoint(folder)
    (folder / "manifest.json").write_text('{"Variable": {"filename": "../secret", "shape": [1]}}')
    with pytest.raises(WeightsError, match="is not a file of its folder"):
        read_checkpoint(folder)
    (folder / "manifest.json").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(WeightsError, match="git lfs pull"):
        read_checkpoint(folder)
    np.savez(tmp_path / "objects.npz", Variable=np.array([{"a": 1}], dtype=object))
    with pytest.raises(WeightsError, match="plain arrays are needed"):
        read_checkpoint(tmp_path / "objects.npz")


def test_only_the_header_is_looked_at(tmp_path: Path) -> None:
    path = import_weights(file_of(tmp_path, of_examples()))
    card = card_of(path)
    assert card is not None
    assert (card.kind, card.name) == ("fast", "candy")
    assert card_of(tmp_path / "candy.pth") is None
    assert card_of(tmp_path / "none.safetensors") is None


def test_an_imported_network_computes_in_float32_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a processor with bfloat16, which would show in smooth areas."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda device="cpu": True)
    import_weights(file_of(tmp_path, of_examples()))
    assert nets.load_fast_network("candy").dtype == torch.float32
    assert nets.load_fast_network("candy", precision="bfloat16").dtype == torch.bfloat16
    assert nets.load_fast_network("compact-styles").dtype == torch.bfloat16
