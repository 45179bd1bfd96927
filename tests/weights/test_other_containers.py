"""Files of TensorFlow and ONNX, written here by their documented layouts, with the weights of other containers."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from johnsons import State, of_examples, of_lengstrom

from impasto.core.errors import WeightsError
from impasto.weights.johnson import LAYOUTS
from impasto.weights.readers import import_weights, read_checkpoint
from impasto.weights.wire import Message, NotAMessage

from .checkpoints import pth, same


def number(value: int) -> bytes:
    """A varint."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def integer(field: int, value: int) -> bytes:
    return number(field << 3) + number(value)


def counted(field: int, data: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(data)) + data


def floats(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().astype("<f4").tobytes()


def shape_of(tensor: torch.Tensor) -> bytes:
    """A `TensorShapeProto`."""
    return b"".join(counted(2, integer(1, side)) for side in tensor.shape)


def block(entries: list[tuple[bytes, bytes]], *, restart_every: int = 2) -> bytes:
    """Entries with shared beginnings, restart points, and the trailer: no compression, a checksum."""
    data, restarts, before = b"", [], b""
    for index, (key, value) in enumerate(entries):
        if index % restart_every == 0:
            restarts.append(len(data))
            before = b""
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key))
        )
        data += number(shared) + number(len(key) - shared) + number(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    return data + b"".join(struct.pack("<I", at) for at in restarts) + struct.pack("<I", len(restarts)) + bytes(5)


def table(entries: dict[bytes, bytes], *, per_block: int = 7) -> bytes:
    """An SSTable with several data blocks."""
    rows, data, index = sorted(entries.items()), b"", []
    for start in range(0, len(rows), per_block):
        piece = block(rows[start : start + per_block])
        index.append((rows[min(start + per_block, len(rows)) - 1][0], number(len(data)) + number(len(piece) - 5)))
        data += piece
    handles = b""
    for piece in (block([]), block(index, restart_every=1)):
        handles += number(len(data)) + number(len(piece) - 5)
        data += piece
    return data + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def with_slots(state: State) -> State:
    """What a training saves: the optimiser's variables too."""
    slots = {f"{key}/Adam": torch.zeros_like(value) for key, value in state.items()}
    return {**state, **slots, "beta1_power": torch.tensor(0.9)}


def version_1(path: Path, state: State) -> Path:
    metas = [counted(1, key.encode()) + counted(2, shape_of(t)) + integer(3, 1) for key, t in state.items()]
    entries = {b"": counted(1, b"".join(counted(1, meta) for meta in metas))}
    for key, tensor in state.items():
        proto = integer(1, 1) + counted(5, floats(tensor))
        saved = counted(1, key.encode()) + counted(2, b"") + counted(3, proto)
        entries[b"\0" + key.encode()] = counted(2, saved)
    path.write_bytes(table(entries))
    return path


def version_2(path: Path, state: State) -> Path:
    entries, data = {b"": integer(1, 1) + counted(3, integer(1, 1))}, b""
    for key, tensor in state.items():
        place = integer(4, len(data)) + integer(5, 4 * tensor.numel()) + number(6 << 3 | 5) + bytes(4)
        entries[key.encode()] = integer(1, 1) + counted(2, shape_of(tensor)) + place
        data += floats(tensor)
    path.with_name(f"{path.stem}.data-00000-of-00001").write_bytes(data)
    path.write_bytes(table(entries))
    return path


def onnx(path: Path, state: State, *, raw: bool = True) -> Path:
    graph = b""
    for key, tensor in state.items():
        sides = b"".join(integer(1, side) for side in tensor.shape)
        values = counted(9, floats(tensor)) if raw else counted(4, floats(tensor))
        graph += counted(5, sides + integer(2, 1) + counted(8, key.encode()) + values)
    graph += counted(5, integer(1, 2) + integer(2, 7) + counted(8, b"shape") + counted(9, bytes(16)))  # int64: left out
    path.write_bytes(integer(1, 4) + counted(2, b"pytorch") + counted(7, graph) + counted(8, integer(2, 9)))
    return path


@pytest.mark.parametrize("write", [version_1, version_2])
def test_checkpoints_of_tensorflow_are_the_same_network(write: object, tmp_path: Path) -> None:
    wanted = read_checkpoint(pth(tmp_path, of_lengstrom()))
    path = write(tmp_path / "muse.ckpt.index", with_slots(of_lengstrom()))  # type: ignore[operator]
    file = read_checkpoint(path)
    assert same(file.tensors, wanted.tensors)
    assert file.card.network == wanted.card.network
    assert import_weights(path).stem == "muse"


def test_the_data_file_stands_for_its_checkpoint(tmp_path: Path) -> None:
    index = version_2(tmp_path / "muse.ckpt.index", of_lengstrom())
    data = tmp_path / "muse.ckpt.data-00000-of-00001"
    one, other = read_checkpoint(index), read_checkpoint(data)
    assert same(one.tensors, other.tensors)
    assert one.sha256 == other.sha256
    changed = bytearray(data.read_bytes())
    changed[0] ^= 1
    data.write_bytes(bytes(changed))
    assert read_checkpoint(index).sha256 != one.sha256
    data.unlink()
    with pytest.raises(WeightsError, match=r"cannot read .*data-00000-of-00001"):
        read_checkpoint(index)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("numbered", [True, False])
def test_onnx_models_of_fast_networks(raw: bool, numbered: bool, tmp_path: Path) -> None:
    """By name, and as old exporters number them in the order of the state dict."""
    state = of_examples()
    ordered = tuple(next(layout for layout in LAYOUTS if layout.name == "pytorch-examples").keys.values())
    assert set(ordered) == set(state)
    assert ordered[:4] == ("conv1.conv2d.weight", "conv1.conv2d.bias", "in1.weight", "in1.bias")
    names = {key: str(place) for place, key in enumerate(ordered, 1)} if numbered else {key: key for key in state}
    path = onnx(tmp_path / "candy.onnx", {names[key]: state[key] for key in ordered}, raw=raw)
    file, wanted = read_checkpoint(path), read_checkpoint(pth(tmp_path, state))
    assert same(file.tensors, wanted.tensors)
    assert "read as pytorch-examples" in file.card.source


@pytest.mark.parametrize("write", [version_1, version_2, onnx])
def test_cut_files_are_damaged_or_not_recognised(write: object, tmp_path: Path) -> None:
    state = of_examples() if write is onnx else of_lengstrom()
    path = write(tmp_path / "w.index", state)  # type: ignore[operator]
    data = path.read_bytes()
    for cut in (data[: len(data) // 2], data[: len(data) // 2] + data[-48:], data[:200] + data[260:]):
        path.write_bytes(cut)
        with pytest.raises(WeightsError) as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (struct.pack("<ii", 3, 1), "is a Torch 7 file without a network"),
        (struct.pack("<ii", 4, 1), "is a Torch 7 file without a network"),
        (b"4\n1\n3\nV 1\n", "is a Torch 7 file in ASCII; save it in binary"),
    ],
)
def test_torch7_is_named(head: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "w.t7").write_bytes(head + bytes(100))
    with pytest.raises(WeightsError, match=said):
        read_checkpoint(tmp_path / "w.t7")


def test_messages_that_are_none() -> None:
    for data in (b"\x00\x01", b"\x08", b"\x0a\x05abc", b"\x0b", b"\x08" + b"\xff" * 11):
        with pytest.raises(NotAMessage):
            Message.parse(data)
    message = Message.parse(integer(1, (1 << 64) - 5) + counted(2, b"text") + counted(3, number(300) + number(7)))
    assert (message.integer(1), message.text(2), message.integers(3)) == (-5, "text", [300, 7])
