"""Checkpoints of TensorFlow 1: version 1 (one file), and version 2 (`.index` with `.data-…` files next to it).

Both are an SSTable (LevelDB, `doc/table_format.md`) with messages of protocol buffers as values
(`tensorflow/core/util/saved_tensor_slice.proto`, `tensorflow/core/protobuf/tensor_bundle.proto`).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import WeightsError
from impasto.weights.arrays import OPTIMISER_STATE
from impasto.weights.signatures import check_regular, open_file, whole_file
from impasto.weights.wire import Message, NotAMessage, varint

_FOOTER, _TRAILER = 48, 5
_FLOAT = 1  # DT_FLOAT of types.proto

DATA_FILE = re.compile(r"\.data-\d{5}-of-\d{5}$")


def in_checkpoint(path: Path) -> dict[str, Tensor]:
    """The float variables of a checkpoint by name, without the optimiser's; `path` is the `.index` or the only file.

    Raises `WeightsError` for a damaged or compressed table, and for missing data files.
    """
    try:
        entries = dict(_entries(whole_file(path)))
        header = Message.parse(entries.pop(b"", b""))
        if not isinstance(header.fields.get(1, [1])[-1], int):  # in version 2 the number of files, else the metadata
            return _version_1(header.messages(1)[0], entries, path=path)
        return _version_2(header.integer(1, 1), entries, path=path)
    except (NotAMessage, struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path.name} is a damaged TensorFlow checkpoint ({error}); download it again.") from error


def index_of(path: Path) -> Path:
    """The index of the checkpoint that a `.data-…` file belongs to; any other path unchanged."""
    return path.with_name(DATA_FILE.sub(".index", path.name))


def _entries(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a table, in order."""
    view = memoryview(data)
    footer = view[-_FOOTER:]
    at = varint(footer, varint(footer, 0)[1])[1]  # past the handle of the metaindex
    last = -1
    for _, handle in _block(view, footer[at:]):
        if (offset := varint(handle, 0)[0]) <= last:
            raise NotAMessage("its blocks are out of order")
        last = offset
        yield from _block(view, handle)


def _block(data: memoryview, handle: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of the block of a handle; each key repeats the beginning of the one before it."""
    offset, at = varint(handle, 0)
    size, _ = varint(handle, at)
    if offset + size + _TRAILER > len(data):
        raise NotAMessage("a block is missing")
    if data[offset + size] != 0:
        raise NotAMessage("its blocks are compressed, which TensorFlow does not do")
    block = data[offset : offset + size]
    restarts = struct.unpack_from("<I", block, size - 4)[0]
    end, at, key = size - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = varint(block, at)
        added, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + added + length > end:
            raise NotAMessage("an entry is longer than its block")
        key = key[:shared] + bytes(block[at : at + added])
        yield key, block[at + added : at + added + length]
        at += added + length


def _shape(message: Message) -> tuple[int, ...]:
    """The sides of a `TensorShapeProto`."""
    return tuple(side.integer(1) for side in message.messages(2))


def _version_1(meta: Message, entries: dict[bytes, memoryview], *, path: Path) -> dict[str, Tensor]:
    shapes = {row.text(1): _shape(row.messages(2)[0]) for row in meta.messages(1) if row.integer(3) == _FLOAT}
    tensors: dict[str, Tensor] = {}
    for value in entries.values():
        for saved in Message.parse(value).messages(2):
            name = saved.text(1)
            if name not in shapes or OPTIMISER_STATE.search(name):
                continue
            values = b"".join(bytes(chunk) for chunk in saved.messages(3)[0].chunks(5))
            tensors[name] = _tensor(values, shapes[name], name=name, path=path)
    return tensors


def _version_2(files: int, entries: dict[bytes, memoryview], *, path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    read_bytes = dict[Path, int]()
    for key, value in entries.items():
        entry, name = Message.parse(value), key.decode()
        if entry.integer(1) != _FLOAT or OPTIMISER_STATE.search(name):
            continue
        shape = _shape((entry.messages(2) or [Message()])[0])
        data = path.with_name(f"{path.name.removesuffix('.index')}.data-{entry.integer(3):05d}-of-{files:05d}")
        values = _piece(data, offset=entry.integer(4), size_bytes=entry.integer(5))
        read_bytes[data] = read_bytes.get(data, 0) + len(values)
        if read_bytes[data] > data.stat().st_size:
            raise NotAMessage("its variables overlap")
        tensors[name] = _tensor(values, shape, name=name, path=path)
    return tensors


def _piece(path: Path, *, offset: int, size_bytes: int) -> bytes:
    check_regular(path)
    with open_file(path) as file:
        if offset < 0 or not 0 <= size_bytes <= path.stat().st_size - offset:
            raise WeightsError(f"{path.name} ends before byte {offset + size_bytes}; download it again.")
        file.seek(offset)
        return file.read(size_bytes)


def _tensor(values: bytes, shape: tuple[int, ...], *, name: str, path: Path) -> Tensor:
    if min(shape, default=0) < 0 or len(values) != 4 * math.prod(shape):
        raise WeightsError(f"{name} in {path.name} has {len(values)} bytes, and the shape {shape}; it is damaged.")
    return torch.from_numpy(np.frombuffer(values, dtype="<f4").reshape(shape).astype(np.float32))
