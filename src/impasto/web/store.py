"""Uploads: streamed to files under generated names, with limits on size and number."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError
from impasto.image.formats import HEIC_BRANDS

CHUNK_TIMEOUT_S = 20.0
SLOWEST_BYTES_S = 1000.0
"""Lowest average speed of an upload, after the first `CHUNK_TIMEOUT_S`."""

Magic = tuple[tuple[int, bytes], ...]
"""Offsets and the bytes that a file of a format has there, all of them."""

PICTURES: Mapping[str, tuple[Magic, ...]] = {
    "png": (((0, b"\x89PNG\r\n\x1a\n"),),),
    "jpg": (((0, b"\xff\xd8\xff"),),),
    "gif": (((0, b"GIF87a"),), ((0, b"GIF89a"),)),
    "webp": (((0, b"RIFF"), (8, b"WEBP")),),
    "bmp": (((0, b"BM"),),),
    "tif": (((0, b"II*\x00"),), ((0, b"MM\x00*"),)),
    "avif": (((0, b"\x00\x00\x00"), (4, b"ftypavif")),),
    "heic": tuple(((0, b"\x00\x00\x00"), (4, b"ftyp" + brand)) for brand in HEIC_BRANDS),
}
FILMS: Mapping[str, tuple[Magic, ...]] = {
    "mp4": (((0, b"\x00\x00\x00"), (4, b"ftyp")),),
    "mkv": (((0, b"\x1a\x45\xdf\xa3"),),),
    "gif": (((0, b"GIF89a"),),),
    "webp": (((0, b"RIFF"), (8, b"WEBPVP8X")),),
}
STYLES: Mapping[str, tuple[Magic, ...]] = {"safetensors": (((8, b'{"'),),)}
"""First bytes of the accepted formats. They determine the suffix of a stored file; the client's name is ignored."""

MAGIC_BYTES = 16


class UploadRefused(ImpastoError):
    """An upload that breaks a limit, with the HTTP status of the response."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Received:
    """A completely received file, its size in bytes and its sha256."""

    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class StoredFile:
    """An uploaded picture, film or saved style: its id, its file, and the JPEG file of its preview, if it has one.

    `more` are the other fields of the reply.
    """

    id: str
    file: Received
    preview: Path
    more: Mapping[str, Any]

    @property
    def path(self) -> Path:
        """The uploaded file."""
        return self.file.path

    def row(self) -> dict[str, Any]:
        """The reply to the client."""
        return {"id": self.id, **self.more}


class FileStore:
    """Files in a folder by id. With more than `most` files or `most_bytes`, the oldest ones are deleted.

    At most `most_arriving` uploads are received and checked at the same time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        formats: Mapping[str, tuple[Magic, ...]],
        longest_bytes: int,
        most: int = 200,
        most_bytes: int = 4_000_000_000,
        most_arriving: int = 32,
    ) -> None:
        self._folder, self._formats, self._longest_bytes = folder, formats, longest_bytes
        self._most, self._most_bytes = most, max(most_bytes, longest_bytes)
        self._most_arriving, self._arriving = most_arriving, 0
        self._stored: OrderedDict[str, StoredFile] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def arriving(self) -> Iterator[None]:
        """The time from the first byte of an upload until it is kept or removed. Raises `UploadRefused` (429)."""
        if self._arriving >= self._most_arriving:
            raise UploadRefused(f"{self._arriving} uploads are in progress. Try again later.", 429)
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    async def receive(self, chunks: AsyncIterator[bytes]) -> Received:
        """Write an upload to a new file, counting bytes as they arrive.

        Raises `UploadRefused`: 413 for too many bytes, 408 for a pause of `CHUNK_TIMEOUT_S` or a speed below
        `SLOWEST_BYTES_S`, 415 for another format.
        """
        path, digest, ending = self._folder / secrets.token_urlsafe(12), hashlib.sha256(), ""
        try:
            with path.open("wb") as file:
                start = b""
                async for chunk in timed(chunks):
                    if file.tell() + len(chunk) > self._longest_bytes:
                        raise UploadRefused(f"the upload is longer than {self._longest_bytes:,} bytes.", 413)
                    file.write(chunk)
                    digest.update(chunk)
                    start += chunk[: MAGIC_BYTES - len(start)]
                    if not ending and len(start) == MAGIC_BYTES:
                        ending = self._ending(start)  # fail before the rest arrives
                size_bytes = file.tell()
            final = path.rename(path.with_suffix(f".{ending or self._ending(start)}"))
            return Received(final, size_bytes, digest.hexdigest())
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def add(self, file: Received, *, preview: bytes = b"", **more: Any) -> StoredFile:
        """Keep a received file that was checked."""
        beside = file.path.with_name(f"{file.path.stem}-preview.jpg")
        beside.write_bytes(preview)
        stored = StoredFile(file.path.stem, file, beside, more)
        self._stored[stored.id] = stored
        while len(self._stored) > self._most or self._size_bytes > self._most_bytes:
            _, oldest = self._stored.popitem(last=False)
            oldest.path.unlink(missing_ok=True)
            oldest.preview.unlink(missing_ok=True)
        return stored

    @property
    def _size_bytes(self) -> int:
        return sum(stored.file.size_bytes for stored in self._stored.values())

    def __getitem__(self, id: str) -> StoredFile:
        """The file of an id; raises `KeyError`."""
        return self._stored[id]

    def with_digest(self, sha256: str) -> StoredFile | None:
        """The newest file with this digest; None if there is none."""
        return next((s for s in reversed(self._stored.values()) if s.file.sha256 == sha256), None)

    def _ending(self, start: bytes) -> str:
        """The suffix of a file by its first bytes."""
        for ending, magics in self._formats.items():
            if any(all(start[at:].startswith(part) for at, part in magic) for magic in magics):
                return ending
        known = ", ".join(self._formats)
        raise UploadRefused(f"the upload is not in a known format ({known}). Convert it to one of them.", 415)


async def timed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks of a body. Raises `UploadRefused` (408) for a pause, or for a low speed."""
    iterator, began, received = aiter(chunks), time.monotonic(), 0
    while True:
        try:
            chunk = await asyncio.wait_for(anext(iterator), CHUNK_TIMEOUT_S)
            received += len(chunk)
            if received < SLOWEST_BYTES_S * (time.monotonic() - began - CHUNK_TIMEOUT_S):
                raise UploadRefused(f"the upload is slower than {SLOWEST_BYTES_S:,g} bytes a second.", 408)
            yield chunk
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UploadRefused(f"the upload paused for {CHUNK_TIMEOUT_S:g} s.", 408) from None
