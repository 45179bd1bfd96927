"""Weight files recognised by their first and last bytes, never by their name."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from impasto.core.errors import WeightsError

MOST_BYTES = 4_000_000_000
"""More than any supported network has."""

HDF5 = b"\x89HDF\r\n\x1a\n"
"""HDF5 File Format Specification 3.0, section II.A."""

TABLE_END = bytes.fromhex("57fb808b247547db")
"""The last 8 bytes of an SSTable (LevelDB, table format; `tensorflow/core/lib/io/format.h`)."""

_OTHERS = {
    HDF5: "an HDF5 file (Keras .h5), which is not read; save the weights as .npz or with torch.save",
    b"PAR1": "a Parquet file, which holds no weights",
    b"\x89PNG": "a picture, not weights",
    b"\xff\xd8\xff": "a picture, not weights",
    b"GGUF": "a GGUF file of a language model, which is not read",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"Rar!": "a RAR archive; unpack it first",
}
"""What files with these first bytes are."""


def check_regular(path: Path) -> None:
    """Raise `WeightsError` unless `path` is a regular file: pipes and devices may never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error
    if not stat.S_ISREG(mode):
        raise WeightsError(f"{path} is a pipe or device; a regular file is needed. Copy it into a file first.")


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[IO[bytes]]:
    """The file, to be read; errors of the system become `WeightsError`."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}.") from error


def file_head(path: Path) -> bytes:
    """The first 512 bytes of a regular file. Raises `WeightsError` if they show that it holds no weights."""
    check_regular(path)
    with open_file(path) as file:
        head = file.read(512)
    if not head:
        raise WeightsError(f"{path.name} is empty; download it again.")
    if head.lstrip()[:1] == b"<":
        raise WeightsError(f"{path.name} is a web page, not weights (a server's error page?); download it again.")
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path.name} is a Git LFS pointer, not the weights; fetch them with git lfs pull.")
    for start, kind in _OTHERS.items():
        if head.startswith(start):
            raise WeightsError(f"{path.name} is {kind}.")
    return head


def whole_file(path: Path) -> bytes:
    """The bytes of a regular file that may be a weight file. Raises `WeightsError`."""
    check_regular(path)
    if (size_bytes := path.stat().st_size) > MOST_BYTES:
        raise WeightsError(
            f"{path.name} has {size_bytes / 1e9:.1f} GB; networks have at most {MOST_BYTES / 1e9:.0f} GB."
        )
    with open_file(path) as file:
        return file.read()


def is_table(path: Path) -> bool:
    """Whether a file is an SSTable: the index of a TensorFlow checkpoint, or a whole one of version 1."""
    with path.open("rb") as file:
        if file.seek(0, 2) < 48:
            return False
        file.seek(-len(TABLE_END), 2)
        return file.read() == TABLE_END


def is_torch7(head: bytes) -> bool:
    """Whether a file is a serialised table or object of Torch 7, binary or ASCII (`torch7/doc/serialization.md`)."""
    kinds, first = (3, 4), (1).to_bytes(4, "little")  # a table or a torch object with the index 1
    binary = any(head.startswith(kind.to_bytes(4, "little") + first) for kind in kinds)
    return binary or any(head.startswith(f"{kind}\n1\n".encode()) for kind in kinds)
