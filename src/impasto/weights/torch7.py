"""Files of Torch 7 (`.t7`): binary serialisation of Lua objects (`torch7/doc/serialization.md`, `torch7/File.lua`).

An object begins with its kind, an int32. Tables, Torch objects and functions have a number, under which later
references find them. Integers are little-endian; sizes, strides and offsets have 8 bytes, numbers are doubles.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import WeightsError
from impasto.weights.signatures import whole_file

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = range(6)
_FUNCTIONS = (6, 7, 8)  # Lua bytecode, which is skipped and never run
_DEEPEST = 100
_MOST_COPIES = 4  # of each byte of a file, by tensors that share a storage
_TYPES = {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Float": "<f4", "Double": "<f8"}


class _Damaged(Exception):
    """The bytes are not an object."""


@dataclass(eq=False)
class Torch7Object:
    """An object of a class of Torch's other than tensors, as a module: the class's name, and its fields."""

    kind: str
    fields: dict[Any, Any] = field(default_factory=dict)


def in_file(path: Path) -> Any:
    """The object in a file: dicts for tables, tensors, `Torch7Object`, numbers, texts. Raises `WeightsError`."""
    data = whole_file(path)
    if data[:2] in (b"3\n", b"4\n"):
        raise WeightsError(f"{path.name} is a Torch 7 file in ASCII; save it in binary: torch.save(name, object)")
    try:
        return _Reader(data).object()
    except (_Damaged, struct.error, UnicodeDecodeError, TypeError, ValueError) as error:
        raise WeightsError(f"{path.name} is a damaged Torch 7 file ({error}); download it again.") from error


class _Reader:
    """Reads one object after another from bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._depth = data, 0, 0
        self._known: dict[int, Any] = {}
        self._room = _MOST_COPIES * len(data)

    def object(self) -> Any:
        """The next object, or the one that is referred to."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Damaged("objects are nested too deep")
        kind = self._int()
        simple: dict[int, Callable[[], Any]] = {
            _NIL: lambda: None,
            _NUMBER: lambda: self._unpacked("<d"),
            _STRING: self._text,
            _BOOLEAN: lambda: self._int() == 1,
        }
        if kind not in simple and kind not in (_TABLE, _OBJECT, *_FUNCTIONS):
            raise _Damaged(f"unknown kind {kind} of object")
        value = simple[kind]() if kind in simple else self._numbered(kind)
        self._depth -= 1
        return value

    def _numbered(self, kind: int) -> Any:
        number = self._int()
        if number in self._known:
            return self._known[number]
        if kind == _TABLE:
            return self._table(self._known.setdefault(number, {}))
        if kind == _OBJECT:
            return self._torch_object(number)
        self._taken(self._int())
        self._known[number] = None
        self.object()  # the function's upvalues
        return None

    def _table(self, table: dict[Any, Any]) -> dict[Any, Any]:
        for _ in range(self._int()):
            key = self.object()
            value = self.object()
            if isinstance(key, str | float | bool):  # objects as keys are left out
                table[key] = value
        return table

    def _torch_object(self, number: int) -> Any:
        version = self._text()
        name = self._text() if version.startswith("V ") else version
        is_tensor = name.endswith("Tensor")
        element = name.removeprefix("torch.").removesuffix("Tensor" if is_tensor else "Storage")
        if name.startswith("torch."):
            if element not in _TYPES:
                raise _Damaged(f"{name} is not read")
            self._known[number] = found = self._tensor() if is_tensor else self._storage(_TYPES[element])
            return found
        self._known[number] = made = Torch7Object(name)
        fields = self.object()
        made.fields = fields if isinstance(fields, dict) else {}
        return made

    def _storage(self, dtype: str) -> np.ndarray[Any, Any]:
        count = self._unpacked("<q")
        return np.frombuffer(self._taken(count * np.dtype(dtype).itemsize), dtype=dtype)

    def _tensor(self) -> Tensor:
        """The tensor as a copy: its storage may be shared with others."""
        ndim = self._int()
        if not 0 <= ndim <= 8:
            raise _Damaged(f"a tensor has {ndim} dimensions")
        sizes, strides = ([self._unpacked("<q") for _ in range(ndim)] for _ in range(2))
        offset, storage = self._unpacked("<q") - 1, self.object()
        if not isinstance(storage, np.ndarray | None):
            raise _Damaged("a tensor has no storage")
        if storage is None or ndim == 0 or min(sizes) == 0:
            return torch.empty(0)
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if min([offset, *sizes, *strides]) < 0 or last >= len(storage) or math.prod(sizes) > len(storage):
            raise _Damaged(f"a tensor of {sizes} is larger than its storage")
        self._room -= (last + 1 - offset) * storage.itemsize
        if self._room < 0:
            raise _Damaged("its tensors are many times as large as the file")
        own = storage[offset : last + 1]
        return torch.from_numpy(own.astype(own.dtype.newbyteorder("="))).as_strided(sizes, strides).clone()

    def _int(self) -> int:
        return int(self._unpacked("<i"))

    def _text(self) -> str:
        return bytes(self._taken(self._int())).decode("utf-8", "replace")

    def _unpacked(self, layout: str) -> Any:
        return struct.unpack(layout, self._taken(struct.calcsize(layout)))[0]

    def _taken(self, count: int) -> bytes:
        if not 0 <= count <= len(self._data) - self._at:
            raise _Damaged("it ends early")
        self._at += count
        return self._data[self._at - count : self._at]
