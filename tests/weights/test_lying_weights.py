"""Readers one by one: files whose parts contradict each other end in one line, without the memory that they claim."""

from __future__ import annotations

import json
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from johnsons import of_lengstrom
from safetensors.torch import save_file

from impasto.core.errors import ImpastoError, WeightsError
from impasto.weights.card import CARD_KEY, Card, load
from impasto.weights.readers import read_checkpoint

from .checkpoints import features, pth
from .test_other_containers import counted, integer, number, table, version_2

Write = Callable[[Path], Path]


def written(data: bytes) -> Write:
    def write(folder: Path) -> Path:
        (folder / "w.bin").write_bytes(data)
        return folder / "w.bin"

    return write


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# safetensors: 8 bytes of length, a header in JSON, the data


def safetensors(header: object, data: bytes = bytes(16), *, claimed: int | None = None) -> Write:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    start = (len(text) if claimed is None else claimed).to_bytes(8, "little")

    def write(folder: Path) -> Path:
        (folder / "w.safetensors").write_bytes(start + text + data)
        return folder / "w.safetensors"

    return write


def row(dtype: object = "F32", shape: object = (4,), offsets: object = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


CARDED = {CARD_KEY: Card(kind="encoder", name="e", network={}).to_json()}
SAFETENSORS = {
    "a header longer than the file": safetensors({"a": row()}, claimed=1 << 40),
    "a header without end": safetensors({"a": row()}, claimed=(1 << 64) - 1),
    "no header": safetensors(b"", b""),
    "a header that is a list": safetensors([1]),
    "a header that is not JSON": safetensors(b"{" + bytes(20)),
    "a header nested deeply": safetensors(b'{"a":' * 5000),
    "data beyond the end": safetensors({"a": row(offsets=[0, 1 << 50], shape=[1 << 48])}),
    "data from the end to the start": safetensors({"a": row(offsets=[16, 0])}),
    "negative offsets": safetensors({"a": row(offsets=[-16, 0])}),
    "another shape than data": safetensors({"a": row(shape=[1 << 40, 1 << 40])}),
    "a negative shape": safetensors({"a": row(shape=[-4])}),
    "overlapping tensors": safetensors({"a": row(), "b": row()}),
    "unused data": safetensors({"a": row(offsets=[0, 4], shape=[1])}),
    "an unknown type": safetensors({"a": row(dtype="F31")}),
    "a type that is a number": safetensors({"a": row(dtype=7)}),
    "metadata of numbers": safetensors({"__metadata__": {CARD_KEY: 7}, "a": row()}),
    "floats of 8 bits": safetensors({"__metadata__": CARDED, "a": row(dtype="F8_E4M3", shape=[16])}),
    "floats of 4 bits": safetensors({"__metadata__": CARDED, "a": row(dtype="F4", shape=[32])}),
    "exponents alone": safetensors({"__metadata__": CARDED, "a": row(dtype="F8_E8M0", shape=[16])}),
    "booleans": safetensors({"__metadata__": CARDED, "a": row(dtype="BOOL", shape=[16])}, b"\1" * 16),
    "integers": safetensors({"__metadata__": CARDED, "a": row(dtype="U16", shape=[8])}),
    "complex numbers": safetensors({"__metadata__": CARDED, "a": row(dtype="C64", shape=[2])}),
    "a card that is not JSON": safetensors({"__metadata__": {CARD_KEY: "{"}, "a": row()}),
    "a card nested deeply": safetensors({"__metadata__": {CARD_KEY: "[" * 90_000}, "a": row()}),
}


# PyTorch: a zip of pickle and storages, or, before, one stream of pickles


def deflated(folder: Path) -> Path:
    """A checkpoint whose storage is compressed, which torch.save never does: 160 MB of zeros in a small file."""
    torch.save({"conv1_1.weight": torch.zeros(40_000_000)}, folder / "plain.pth")
    with (
        zipfile.ZipFile(folder / "plain.pth") as plain,
        zipfile.ZipFile(folder / "w.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb,
    ):
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry.filename))
    (folder / "plain.pth").unlink()
    return folder / "w.pth"


def old_with_a_huge_storage(folder: Path) -> Path:
    """The number of values of a storage changed in the pickle of the old format."""
    torch.save({"a": torch.ones(0x1234)}, folder / "w.pth", _use_new_zipfile_serialization=False)
    data = (folder / "w.pth").read_bytes()
    small, huge = b"M" + struct.pack("<H", 0x1234), b"\x8a\x06" + (1 << 45).to_bytes(6, "little")
    assert data.count(small) > 1
    (folder / "w.pth").write_bytes(data.replace(small, huge))
    return folder / "w.pth"


def of_values(state: object) -> Write:
    return lambda folder: pth(folder, state)


PYTORCH: dict[str, Write] = {
    "a compressed storage": deflated,
    "a huge storage in the old format": old_with_a_huge_storage,
    "numbers for tensors": of_values({"conv1_1.weight": 7, "conv1_1.bias": "text"}),
    "lists for tensors": of_values({"conv1_1.weight": [torch.ones(4)]}),
    "another dict for tensors": of_values({"conv1_1": {"weight": torch.ones(4)}}),
    "tensors of no size": of_values({"features.0.weight": torch.ones(()), "features.0.bias": torch.ones(0)}),
    "tensors of 8 bits": of_values({k: v.to(torch.float8_e4m3fn) for k, v in features().items()}),
    "complex tensors": of_values({k: v.to(torch.complex64) for k, v in features().items()}),
    "a number as pickle": written(b"\x80\x02K\x07."),
    "a pickle without end": written(b"\x80\x02" + b"(" * 100_000),
    "a deep pickle": written(b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."),
}


# NumPy


def npz(**arrays: Any) -> Write:
    def write(folder: Path) -> Path:
        np.savez(folder / "w.npz", **arrays)
        return folder / "w.npz"

    return write


def npz_of(name: str, data: bytes) -> Write:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "w.npz", "w") as archive:
            archive.writestr(name, data)
        return folder / "w.npz"

    return write


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode()


NUMPY = {
    "objects": npz(Variable=np.array([{}], dtype=object)),
    "texts": npz(Variable=np.array(["a", "b"])),
    "complex arrays": npz(Variable=np.ones(3, np.complex64)),
    "records": npz(Variable=np.zeros(3, [("a", "f4")])),
    "no header": npz_of("Variable.npy", b""),
    "a version of tomorrow": npz_of("Variable.npy", b"\x93NUMPY\x09\0" + bytes(80)),
    "a header of code": npz_of("Variable.npy", npy("__import__('os').abort()")),
    "a header without shape": npz_of("Variable.npy", npy("{'descr': '<f4', 'fortran_order': False}")),
    "a negative shape": npz_of("Variable.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}")),
    "a shape of 10¹⁸": npz_of("Variable.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10**18,)}")),
    "a huge type": npz_of("Variable.npy", npy("{'descr': '|S2147483647', 'fortran_order': False, 'shape': (9,)}")),
}


# deeplearn.js


def folder_of(manifest: object, *, size_bytes: int = 16) -> Write:
    def write(folder: Path) -> Path:
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        (folder / "manifest.json").write_text(text)
        (folder / "one").write_bytes(bytes(size_bytes))
        return folder

    return write


def variable(**changes: object) -> dict[str, object]:
    return {"Variable": {"filename": "one", "shape": [4], **changes}}


DEEPLEARN = {
    "no JSON": folder_of("{"),
    "JSON nested deeply": folder_of("[" * 100_000),
    "a list": folder_of([1]),
    "a number": folder_of("7"),
    "no file name": folder_of({"Variable": {"shape": [4]}}),
    "a file of the parent folder": folder_of(variable(filename="../one")),
    "an absolute file": folder_of(variable(filename="/etc/passwd")),
    "the folder itself": folder_of(variable(filename=".")),
    "a missing file": folder_of(variable(filename="two")),
    "a name that cannot be": folder_of(variable(filename="a\0b")),
    "a long name": folder_of(variable(filename="a" * 300)),
    "a shape that is text": folder_of(variable(shape="four")),
    "a shape of texts": folder_of(variable(shape=["four"])),
    "a negative shape": folder_of(variable(shape=[-2, -2])),
    "an infinite shape": folder_of('{"Variable": {"filename": "one", "shape": [Infinity]}}'),
    "a deep shape": folder_of(variable(shape=[1] * 100 + [4])),
    "one file for many variables": folder_of({f"V{i}": {"filename": "one", "shape": [4]} for i in range(9)}),
}


# TensorFlow: an SSTable of protocol buffers


def index_with(entry: bytes) -> Write:
    def write(folder: Path) -> Path:
        (folder / "w.ckpt.data-00000-of-00001").write_bytes(bytes(64))
        entries = {b"": integer(1, 1) + counted(3, integer(1, 1)), b"Variable": entry}
        (folder / "w.ckpt.index").write_bytes(table(entries))
        return folder / "w.ckpt.index"

    return write


def shaped(*sides: int) -> bytes:
    return counted(2, b"".join(counted(2, integer(1, side & (1 << 64) - 1)) for side in sides))


def overlapping(folder: Path) -> Path:
    """Every variable is the whole data file."""
    (folder / "w.ckpt.data-00000-of-00001").write_bytes(bytes(4000))
    entry = integer(1, 1) + shaped(1000) + integer(5, 4000)
    entries = {b"": integer(1, 1) + counted(3, integer(1, 1))} | {b"V%03d" % i: entry for i in range(99)}
    (folder / "w.ckpt.index").write_bytes(table(entries))
    return folder / "w.ckpt.index"


def repeated_block(folder: Path) -> Path:
    """An index whose entries all name the first block."""
    path = version_2(folder / "w.ckpt.index", of_lengstrom())
    data = path.read_bytes()
    from .test_other_containers import block

    index = block([(b"%06d" % i, number(0) + number(20)) for i in range(20_000)])
    handles = number(len(data)) + number(len(index) - 5)
    path.write_bytes(data + index + (2 * handles).ljust(40, b"\0") + data[-8:])
    return path


TENSORFLOW: dict[str, Write] = {
    "a footer of zeros": written(bytes(100) + bytes.fromhex("57fb808b247547db")),
    "a footer of ones": written(b"\xff" * 100 + bytes.fromhex("57fb808b247547db")),
    "a value that is no message": index_with(b"\x00\x01"),
    "data beyond the end": index_with(integer(1, 1) + shaped(1 << 20) + integer(4, 1 << 40) + integer(5, 4 << 20)),
    "a negative place": index_with(integer(1, 1) + shaped(4) + integer(4, (1 << 64) - 16) + integer(5, 16)),
    "a negative size": index_with(integer(1, 1) + shaped(4) + integer(5, (1 << 64) - 16)),
    "another shape than data": index_with(integer(1, 1) + shaped(1 << 31, 1 << 31) + integer(5, 16)),
    "a negative shape": index_with(integer(1, 1) + shaped(-2, -2) + integer(5, 16)),
    "a deep shape": index_with(integer(1, 1) + shaped(*[1] * 100, 4) + integer(5, 16)),
    "another data file": index_with(integer(1, 1) + integer(3, 1 << 40) + shaped(4) + integer(5, 16)),
    "overlapping variables": overlapping,
    "a block that repeats": repeated_block,
}


# ONNX: one protocol buffer


def model(*tensors: bytes, more: bytes = b"") -> Write:
    graph = b"".join(counted(5, tensor) for tensor in tensors)
    return written(integer(1, 4) + counted(7, graph) + more)


def tensor(sides: bytes, values: bytes, *, name: bytes = b"a") -> bytes:
    return sides + integer(2, 1) + counted(8, name) + counted(9, values)


ONNX = {
    "no initialisers": model(),
    "two graphs": model(tensor(integer(1, 4), bytes(16)), more=counted(7, b"")),
    "another shape than data": model(tensor(integer(1, 1 << 40), bytes(16))),
    "a huge shape of nothing": model(tensor(integer(1, 0) + integer(1, 1 << 62), b"")),
    "a deep shape": model(tensor(integer(1, 1) * 100 + integer(1, 4), bytes(16))),
    "a shape without end": model(tensor(counted(1, b"\xff" * 50), bytes(16))),
    "a name that is not UTF-8": model(tensor(integer(1, 4), bytes(16), name=b"\xff\xfe")),
    "a name that is a number": model(integer(1, 4) + integer(2, 1) + integer(8, 7) + counted(9, bytes(16))),
    "values elsewhere": model(integer(1, 4) + integer(2, 1) + counted(8, b"a") + integer(14, 1)),
    "a million fields": written(integer(1, 4) + integer(2, 1) * 1_000_000),
}


# Torch 7


def torch7(*parts: object) -> Write:
    """Ints as int32, texts counted, anything else as it is."""
    data = b""
    for part in parts:
        match part:
            case int():
                data += struct.pack("<i", part)
            case str():
                data += struct.pack("<i", len(part)) + part.encode()
            case bytes():
                data += part
    return written(data)


def longs(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


def float_tensor(sizes: bytes, strides: bytes, *, offset: int = 1, count: int = 4, data: bytes = bytes(16)) -> Write:
    ndim = len(sizes) // 8
    start = (4, 1, "V 1", "torch.FloatTensor", ndim, sizes, strides, longs(offset))
    return torch7(*start, 4, 2, "V 1", "torch.FloatStorage", longs(count), data)


def copies(folder: Path) -> Path:
    """A table of 4,000 tensors, which all are the one storage of 4 MB."""
    whole, text = longs(1 << 20, 1, 1), struct.pack("<i", 3) + b"V 1"
    parts = [struct.pack("<iii", 3, 1, 4000)]
    for index in range(4000):
        parts += [struct.pack("<idii", 1, index, 4, 10 + index), text, struct.pack("<i", 17), b"torch.FloatTensor"]
        parts += [struct.pack("<i", 1), whole, struct.pack("<ii", 4, 2)]
        if index == 0:
            parts += [text, struct.pack("<i", 18), b"torch.FloatStorage", longs(1 << 20), bytes(4 << 20)]
    (folder / "w.t7").write_bytes(b"".join(parts))
    return folder / "w.t7"


TORCH7: dict[str, Write] = {
    "a storage longer than the file": float_tensor(longs(4), longs(1), count=1 << 60),
    "a negative storage": float_tensor(longs(4), longs(1), count=-4),
    "a tensor larger than its storage": float_tensor(longs(1 << 40), longs(1)),
    "strides beyond the storage": float_tensor(longs(2), longs(1 << 40)),
    "negative strides": float_tensor(longs(4), longs(-1)),
    "a large tensor of one number": float_tensor(longs(1 << 20, 1 << 20), longs(0, 0)),
    "an offset before the storage": float_tensor(longs(4), longs(1), offset=-9),
    "a million dimensions": torch7(4, 1, "V 1", "torch.FloatTensor", 1_000_000, bytes(100)),
    "a tensor without a storage": torch7(4, 1, "V 1", "torch.FloatTensor", 1, longs(4, 1, 1), 2, "text"),
    "a tensor for a storage": torch7(4, 1, "V 1", "torch.FloatTensor", 1, longs(4, 1, 1), 4, 1),
    "a table of a billion": torch7(3, 1, 1_000_000_000),
    "a table without end": torch7(3, 1, -1),
    "tables in tables": torch7(*[part for i in range(1, 9000) for part in (3, i, 1, 1, bytes(8))]),
    "a text longer than the file": torch7(3, 1, 1, 2, 1 << 30, b"abc"),
    "an unknown class of tensors": torch7(4, 1, "V 1", "torch.HalfTensor"),
    "copies without end": copies,
}

ALL = {
    f"{kind}: {name}": write
    for kind, cases in {
        "safetensors": SAFETENSORS,
        "PyTorch": PYTORCH,
        "NumPy": NUMPY,
        "deeplearn.js": DEEPLEARN,
        "TensorFlow": TENSORFLOW,
        "ONNX": ONNX,
        "Torch 7": TORCH7,
    }.items()
    for name, write in cases.items()
}


@pytest.mark.parametrize("name", ALL)
def test_one_line_and_little_memory(name: str, tmp_path: Path) -> None:
    path = ALL[name](tmp_path)
    before = peak_mb()
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(path)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 2000
    assert said.rstrip().endswith((".", ")"))
    assert peak_mb() - before < 150


def test_a_card_nested_deeply_is_refused_by_all_who_read_cards(tmp_path: Path) -> None:
    from impasto.weights.card import card_of

    path = SAFETENSORS["a card nested deeply"](tmp_path)
    assert card_of(path) is None
    with pytest.raises(ImpastoError):
        load(path)


def test_integers_are_no_weights_but_half_floats_are(tmp_path: Path) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        save_file({"a": torch.ones(4, dtype=dtype)}, tmp_path / "w.safetensors", metadata=CARDED)
        assert load(tmp_path / "w.safetensors").tensors["a"].dtype == dtype
