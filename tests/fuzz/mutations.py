"""Seeded damage to bytes and to JSON values."""

from __future__ import annotations

import json
import struct
import zlib
from random import Random
from typing import Any

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, -(2**63), 2**64, 10**400, 0.0, -0.5, 0.5, 1e-320, 1e308,
    float("inf"), float("-inf"), float("nan"), "", "x", "auto", "\0", "\ud800", "é" * 300, "../..", "a#b", "1e5",
    [], [[]], [None], [1, 2], ["x", "x"], [1e308] * 3, {}, {"x": 1}, {"": None}, [2**40] * 5,
)  # fmt: skip
PNG_START = b"\x89PNG\r\n\x1a\n"


def damaged(data: bytes, random: Random) -> bytes:
    """`data` with one to four random changes, half of them near the start."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        _change(changed, random)
    return bytes(changed)


def _change(data: bytearray, random: Random) -> None:
    at = random.randrange(min(len(data), 512) if random.random() < 0.5 else len(data)) if data else 0
    kind = random.randrange(8)
    if kind == 0 and data:
        data[at] ^= 1 << random.randrange(8)
    elif kind == 1:
        data[at : at + 1] = random.randbytes(1)
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at:at] = random.randbytes(random.randrange(1, 17))
    elif kind == 4:
        del data[at : at + random.randrange(1, 33)]
    elif kind == 5:
        width, code = random.choice(((1, "B"), (2, "H"), (4, "I")))
        number = random.choice(NUMBERS) & (256**width - 1)
        data[at : at + width] = struct.pack(random.choice("<>") + code, number)
    elif kind == 6:
        start = random.randrange(len(data) + 1)
        data[at:at] = data[start : start + random.randrange(1, 65)]
    else:
        data[at : at + 8] = bytes(8) if random.random() < 0.5 else b"\xff" * 8


def damaged_png(data: bytes, random: Random) -> bytes:
    """A damaged chunk of a PNG with a correct checksum, so that its contents are read."""
    chunks, at = [], len(PNG_START)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    index = random.randrange(len(chunks))
    name, body = chunks[index]
    if name == b"IDAT" and random.random() < 0.5:
        chunks[index] = (name, zlib.compress(damaged(zlib.decompress(body), random)))
    else:
        chunks[index] = (name, damaged(body, random))
    if random.random() < 0.2:
        chunks.insert(random.randrange(len(chunks)), random.choice(chunks))
    return PNG_START + b"".join(
        len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big") for name, body in chunks
    )


def damaged_json(text: str, random: Random) -> str:
    """JSON with one to three values or keys replaced, removed, or added at any depth."""
    value = json.loads(text)
    for _ in range(random.choice((1, 1, 2, 3))):
        value = _damaged_value(value, random)
    return json.dumps(value)


def _damaged_value(value: Any, random: Random) -> Any:
    """`value` with one change; deeper parts are as likely as shallow ones."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return random.choice(HOSTILE)
    key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
    kind = random.random()
    if kind < 0.1:
        return {k: v for k, v in value.items() if k != key} if isinstance(value, dict) else value[:key]
    if kind < 0.2:
        return {**value, "no such key": 1} if isinstance(value, dict) else [*value, value[key]]
    whole = dict(value) if isinstance(value, dict) else list(value)
    whole[key] = _damaged_value(value[key], random)  # type: ignore[index]
    return whole
