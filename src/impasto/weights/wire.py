"""The part of the wire format of protocol buffers that weight files use.

protobuf.dev/programming-guides/encoding: a message is a sequence of tagged values; varints, 8 and 4 bytes, and
counted bytes, which are strings, packed numbers or messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

Value = int | memoryview

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_LONGEST_VARINT = 10
_MOST_VALUES = 1 << 18  # those of weights are packed, and count as one


class NotAMessage(ValueError):
    """The bytes are not a message of protocol buffers."""


@dataclass(frozen=True)
class Message:
    """The values of a message by field number, in their order. Integers are unsigned."""

    fields: dict[int, list[Value]] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Message:
        """The message in `data`, which is not copied. Raises `NotAMessage`."""
        fields: dict[int, list[Value]] = {}
        for count, (number, value) in enumerate(_values(memoryview(data))):
            if count == _MOST_VALUES:
                raise NotAMessage(f"it has more than {_MOST_VALUES} values")
            fields.setdefault(number, []).append(value)
        return cls(fields)

    def integer(self, number: int, default: int = 0) -> int:
        """The last integer of a field, as a signed number of 64 bits."""
        value = self.fields.get(number, [default])[-1]
        if not isinstance(value, int):
            raise NotAMessage(f"field {number} is not an integer")
        return value - (1 << 64) if value >= 1 << 63 else value

    def chunks(self, number: int) -> list[memoryview]:
        """The bytes of each occurrence of a field."""
        values = self.fields.get(number, [])
        if any(isinstance(value, int) for value in values):
            raise NotAMessage(f"field {number} is an integer")
        return [value for value in values if isinstance(value, memoryview)]

    def messages(self, number: int) -> list[Message]:
        """Each occurrence of a field that is a message."""
        return [Message.parse(chunk) for chunk in self.chunks(number)]

    def text(self, number: int) -> str:
        """The last string of a field, empty without one."""
        chunks = self.chunks(number)
        try:
            return bytes(chunks[-1]).decode() if chunks else ""
        except UnicodeDecodeError as error:
            raise NotAMessage(f"field {number} is not text") from error

    def integers(self, number: int) -> list[int]:
        """The integers of a repeated field, packed or not."""
        numbers: list[int] = []
        for value in self.fields.get(number, []):
            if isinstance(value, int):
                numbers.append(value)
                continue
            at = 0
            while at < len(value) and len(numbers) < _MOST_VALUES:
                one, at = varint(value, at)
                numbers.append(one)
        return numbers


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The variable-length integer at a place, and the place after it."""
    number = 0
    for index in range(_LONGEST_VARINT):
        if at + index >= len(data):
            break
        byte = data[at + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, at + index + 1
    raise NotAMessage("a number does not end")


def _values(data: memoryview) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise NotAMessage("a field has the number 0")
        if kind == _VARINT:
            value, at = varint(data, at)
            yield number, value
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
            yield number, struct.unpack_from("<Q" if size == 8 else "<I", _counted(data, at, size=size))[0]
            at += size
        elif kind == _BYTES:
            size, at = varint(data, at)
            yield number, _counted(data, at, size=size)
            at += size
        else:
            raise NotAMessage(f"field {number} has the wire type {kind}")


def _counted(data: memoryview, at: int, *, size: int) -> memoryview:
    if at + size > len(data):
        raise NotAMessage(f"{size} bytes are announced and {len(data) - at} are left")
    return data[at : at + size]
