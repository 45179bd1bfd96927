"""Weight files that lie about themselves: refused in one line, without memory for what they claim."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from johnsons import of_examples, of_lengstrom
from safetensors.torch import save_file
from torch import Tensor

from impasto.core.errors import ImpastoError, UnknownName, WeightsError, WeightsMismatch
from impasto.encoders.table import build_encoder
from impasto.nets import fast as nets
from impasto.weights import arrays
from impasto.weights.card import CARD_KEY, LISTED, Card, check_shapes, load, save
from impasto.weights.catalogue import imported_path, located
from impasto.weights.readers import read_checkpoint

from .checkpoints import features, gatys, pth
from .test_other_containers import onnx, version_1, version_2
from .test_torch7 import Network


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.pth")
    for path in (pipe, Path("/dev/zero")):
        for read in (read_checkpoint, located, load):
            with pytest.raises(WeightsError, match="a regular file is needed"):
                read(path)  # type: ignore[operator]
    (folder := tmp_path / "muse").mkdir()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(WeightsError):
        read_checkpoint(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_a_pipe_among_the_imported_is_passed_over(tmp_path: Path) -> None:
    from impasto.weights.catalogue import installed

    path = imported_path("mine")
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert "mine" not in [row.name for row in installed()]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is a picture"),
        (b"\x1f\x8b\x08" + bytes(100), "compressed with gzip"),
        (b"GGUF" + bytes(100), "is a GGUF file"),
    ],
)
def test_files_of_other_kinds_are_named(head: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(head)
    with pytest.raises(WeightsError, match=said):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("value", [torch.tensor([float("nan"), 1, 1, 1]), torch.ones(4, dtype=torch.int32)])
def test_own_files_with_values_that_are_no_weights(value: Tensor, tmp_path: Path) -> None:
    card = Card(kind="encoder", name="e", network={})
    save_file({"conv1_1.bias": value}, path := tmp_path / "e.safetensors", metadata={CARD_KEY: card.to_json()})
    for read in (read_checkpoint, load):
        with pytest.raises(WeightsError, match=r"conv1_1\.bias in e\.safetensors is not all finite floats"):
            read(path)


def test_floats_relabelled_as_integers(tmp_path: Path) -> None:
    save(path := tmp_path / "e.safetensors", {"a": torch.ones(4)}, card=Card(kind="encoder", name="e", network={}))
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"'))
    with pytest.raises(WeightsError, match=r"a in e\.safetensors is not all finite floats \(torch\.int32\)"):
        load(path)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_bomb_of_arrays_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "SMALL_BYTES", 1_000_000)
    monkeypatch.setattr(arrays.np, "load", lambda *args, **more: pytest.fail("it was unpacked"))
    np.savez_compressed(tmp_path / "bomb.npz", Variable=np.zeros(1 << 21, np.float32))
    assert (tmp_path / "bomb.npz").stat().st_size < 100_000
    with pytest.raises(WeightsError, match=r"bomb\.npz unpacks to .* a file of its size has at most"):
        read_checkpoint(tmp_path / "bomb.npz")


def test_a_header_that_lies_about_its_array(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("Variable.npy", header.getvalue())
    with pytest.raises(WeightsError, match="it is damaged"):
        read_checkpoint(tmp_path / "lie.npz")


def test_a_manifest_that_lies_about_its_file(tmp_path: Path) -> None:
    (tmp_path / "Variable").write_bytes(b"")
    (tmp_path / "manifest.json").write_text('{"Variable": {"filename": "Variable", "shape": [99999999, 99999999]}}')
    with pytest.raises(WeightsError, match="has 0 bytes"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(1 << 20, 1 << 20),
        torch.zeros(4).to_sparse(),
        torch.zeros(4, device="meta"),
    ],
    ids=["strides", "sparse", "meta"],
)
def test_tensors_larger_than_their_storage(tensor: Tensor, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"conv1_1\.bias in w\.pth is not a plain tensor|damaged"):
        read_checkpoint(pth(tmp_path, gatys() | {"conv1_1.bias": tensor}))


@pytest.mark.parametrize(
    "stages", [[[4096, 64]] * 5, [[2, 10**9]], [[10**12, 2]], [["a", 1]], "ab", [], [[-1, 2]], [[4, 1]] * 1000]
)
def test_a_card_of_a_huge_encoder_takes_no_memory(stages: object) -> None:
    before = peak_mb()
    network = {"architecture": "vgg", "stages": stages, "padding": "zeros", "pooling": "max"}
    with pytest.raises(WeightsError):
        build_encoder(Card(kind="encoder", name="huge", network=network), {"conv1_1.weight": torch.ones(1)})
    assert peak_mb() - before < 100


@pytest.mark.parametrize("architecture", [{}, ["vgg"], None, 1])
def test_an_architecture_that_is_no_name(architecture: object) -> None:
    with pytest.raises(UnknownName, match="unknown architecture"):
        build_encoder(Card(kind="encoder", name="odd", network={"architecture": architecture}), {})


def fast_card(numbers: dict[str, object]) -> Card:
    return Card(kind="fast", name="huge", network={"architecture": "residual", **numbers})


@pytest.mark.parametrize(
    "numbers",
    [{"widths": [4096] * 6, "blocks": 3}, {"widths": [4, 4], "blocks": 10**9}, {"widths": "abc", "blocks": 1}],
)
def test_a_card_of_a_huge_network_takes_no_memory(numbers: dict[str, object]) -> None:
    before = peak_mb()
    with pytest.raises(ImpastoError):
        nets.fast_network_from(nets.Loaded(card=fast_card(numbers), tensors={}, sha256=""))
    assert peak_mb() - before < 100


def test_another_architecture_is_told_shortly(tmp_path: Path) -> None:
    wanted = {f"layer{i}.weight": (4, 4) for i in range(500)}
    with pytest.raises(WeightsMismatch) as caught:
        check_shapes({f"other{i}": (1,) for i in range(500)}, wanted, where="mine.pth")
    message = str(caught.value)
    assert "mine.pth does not fit the network. It is of another architecture." in message
    assert f"and {500 - LISTED} more" in message
    assert len(message) < 800


def flipped(data: bytes, draw: random.Random) -> bytes:
    """A few bytes changed, a piece cut out or doubled."""
    changed = bytearray(data)
    start = draw.randrange(min(len(data), 4000))
    match draw.randrange(4):
        case 0:
            for _ in range(draw.randrange(1, 8)):
                changed[draw.randrange(min(len(data), 4000))] = draw.randrange(256)
        case 1:
            del changed[start : start + draw.randrange(1, 400)]
        case 2:
            changed[start:start] = changed[start : start + draw.randrange(1, 400)]
        case _:
            struct.pack_into("<I", changed, min(start, len(changed) - 4), draw.choice([0, 1 << 31, (1 << 32) - 1]))
    return bytes(changed)


def own_file(folder: Path) -> bytes:
    network = {"architecture": "residual", "widths": [2, 3], "blocks": 1, "output": "rgb"}
    net = nets.Residual(widths=(2, 3), blocks=1)
    save(folder / "own.safetensors", net.state_dict(), card=Card(kind="fast", name="own", network=network))
    return (folder / "own.safetensors").read_bytes()


def npz_file(folder: Path) -> bytes:
    np.savez(folder / "muse.npz", **{key: value.numpy() for key, value in of_lengstrom().items()})
    return (folder / "muse.npz").read_bytes()


def pth_file(folder: Path) -> bytes:
    return pth(folder, of_examples()).read_bytes()


def old_pth_file(folder: Path) -> bytes:
    torch.save(features(), folder / "old.pth", _use_new_zipfile_serialization=False)
    return (folder / "old.pth").read_bytes()


def tensorflow_1_file(folder: Path) -> bytes:
    return version_1(folder / "muse.ckpt", of_lengstrom()).read_bytes()


def tensorflow_2_file(folder: Path) -> bytes:
    """The index alone; its data lies where the damaged index looks for it."""
    data = version_2(folder / "damaged.index", of_lengstrom()).read_bytes()
    (folder / "damaged.data-00000-of-00001").rename(folder / "damaged.bin.data-00000-of-00001")
    return data


def onnx_file(folder: Path) -> bytes:
    return onnx(folder / "candy.onnx", of_examples()).read_bytes()


def torch7_file(folder: Path) -> bytes:
    return Network().file(folder / "candy.t7").read_bytes()


MAKERS = [own_file, npz_file, pth_file, old_pth_file, tensorflow_1_file, tensorflow_2_file, onnx_file, torch7_file]


@pytest.mark.parametrize("make", MAKERS)
def test_damaged_files_end_in_one_line(make: Callable[[Path], bytes], tmp_path: Path) -> None:
    """Every mutation is either read or refused by an error of ours, in printable characters."""
    data, draw, path = make(tmp_path), random.Random(4), tmp_path / "damaged.bin"
    messages = []
    for _ in range(150):
        path.write_bytes(flipped(data, draw))
        try:
            file = read_checkpoint(path)
            if file.card.kind == "fast":
                nets.fast_network_from(file)
        except ImpastoError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize(
    "change",
    [
        {"network": {"architecture": "residual", "widths": ["a", 3], "blocks": 1}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": "x"}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": -1}},
        {"network": {"architecture": ["residual"], "widths": [2, 3], "blocks": 1}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "padding": [1]}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "tanh": "ab"}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "tanh": [1]}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "eps": "x"}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "outer_px": 0}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "outer_px": 2.5}},
        {"network": {"architecture": "residual", "widths": [], "blocks": 1}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "output": 7}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "output": {"matrix": 1}}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "styles": "two"}},
        {"network": {"architecture": "residual", "widths": [2, 3], "blocks": 1, "unshuffle": None}},
        {"preprocess": "nobody's"},
        {"preprocess": {"matrix": [[0, 0, 0]] * 3, "offset": [0, 0, 10**400]}},
        {"styles": [{"name": ["a"]}]},
        {"styles": ["wave"]},
        {"layer_scale": {"a": "b"}},
    ],
)
def test_cards_with_wrong_values_end_in_one_line(change: dict[str, object], tmp_path: Path) -> None:
    own_file(tmp_path)
    fine = {"kind": "fast", "name": "own", "network": {"architecture": "residual", "widths": [2, 3], "blocks": 1}}
    tensors = load(tmp_path / "own.safetensors").tensors
    save_file(tensors, path := tmp_path / "bad.safetensors", metadata={CARD_KEY: json.dumps({**fine, **change})})
    with pytest.raises(ImpastoError) as caught:
        nets.fast_network_from(read_checkpoint(path))
    assert "\n" not in str(caught.value)
