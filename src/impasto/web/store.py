"""What clients send: streamed to files under names of our own, with bounds on size and number."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError

CHUNK_TIMEOUT_S = 20.0

Magic = tuple[tuple[int, bytes], ...]
"""Bytes that a file of a format has at these places, each of them."""

PICTURES: Mapping[str, tuple[Magic, ...]] = {
    "png": (((0, b"\x89PNG\r\n\x1a\n"),),),
    "jpg": (((0, b"\xff\xd8\xff"),),),
    "gif": (((0, b"GIF87a"),), ((0, b"GIF89a"),)),
    "webp": (((0, b"RIFF"), (8, b"WEBP")),),
    "bmp": (((0, b"BM"),),),
    "tif": (((0, b"II*\x00"),), ((0, b"MM\x00*"),)),
    "avif": (((0, b"\x00\x00\x00"), (4, b"ftypavif")),),
}
FILMS: Mapping[str, tuple[Magic, ...]] = {
    "mp4": (((0, b"\x00\x00\x00"), (4, b"ftyp")),),
    "mkv": (((0, b"\x1a\x45\xdf\xa3"),),),
    "gif": (((0, b"GIF89a"),),),
    "webp": (((0, b"RIFF"), (8, b"WEBPVP8X")),),
}
"""First bytes of the formats that are taken; the ending of a stored file follows from them, never from the client."""

MAGIC_BYTES = 16


class UploadRefused(ImpastoError):
    """An upload that breaks a limit. `status` is the HTTP status that says so."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Received:
    """A file that has come whole: its size in bytes and sha256."""

    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Stored:
    """A picture or film that was sent: its id, file, size in pixels and JPEG preview, which is a file, too.

    `more` are additional fields of the reply.
    """

    id: str
    file: Received
    size: tuple[int, int]
    preview: Path
    more: Mapping[str, Any]

    @property
    def path(self) -> Path:
        """The file as it was sent."""
        return self.file.path

    def row(self) -> dict[str, Any]:
        """The reply to the client."""
        return {"id": self.id, "width": self.size[0], "height": self.size[1], **self.more}


class Store:
    """Files in a folder by id; beyond `most` of them, or `most_bytes` together, the oldest ones go."""

    def __init__(
        self,
        folder: Path,
        *,
        formats: Mapping[str, tuple[Magic, ...]],
        longest_bytes: int,
        most: int = 200,
        most_bytes: int = 4_000_000_000,
    ) -> None:
        self._folder, self._formats, self._longest_bytes = folder, formats, longest_bytes
        self._most, self._most_bytes = most, max(most_bytes, longest_bytes)
        self._stored: OrderedDict[str, Stored] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    async def receive(self, chunks: AsyncIterator[bytes]) -> Received:
        """Write an upload to a file of a new name, counting while it comes.

        Raises `UploadRefused`: 413 for too many bytes, 408 for a pause of `CHUNK_TIMEOUT_S`, 415 for another format.
        """
        path, digest, ending = self._folder / secrets.token_urlsafe(12), hashlib.sha256(), ""
        try:
            with path.open("wb") as file:
                start = b""
                async for chunk in _timed(chunks):
                    if file.tell() + len(chunk) > self._longest_bytes:
                        raise UploadRefused(f"the upload is longer than {self._longest_bytes:,} bytes.", 413)
                    file.write(chunk)
                    digest.update(chunk)
                    start += chunk[: MAGIC_BYTES - len(start)]
                    if not ending and len(start) == MAGIC_BYTES:
                        ending = self._ending(start)  # the rest of another format is not waited for
                size_bytes = file.tell()
            final = path.rename(path.with_suffix(f".{ending or self._ending(start)}"))
            return Received(final, size_bytes, digest.hexdigest())
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def add(self, file: Received, size: tuple[int, int], *, preview: bytes, **more: Any) -> Stored:
        """Keep a received file that turned out to be what it should be."""
        beside = file.path.with_name(f"{file.path.stem}-preview.jpg")
        beside.write_bytes(preview)
        stored = Stored(file.path.stem, file, size, beside, more)
        self._stored[stored.id] = stored
        while len(self._stored) > self._most or self._size_bytes > self._most_bytes:
            _, oldest = self._stored.popitem(last=False)
            oldest.path.unlink(missing_ok=True)
            oldest.preview.unlink(missing_ok=True)
        return stored

    @property
    def _size_bytes(self) -> int:
        return sum(stored.file.size_bytes for stored in self._stored.values())

    def __getitem__(self, id: str) -> Stored:
        """The file of an id; raises `KeyError`."""
        return self._stored[id]

    def with_digest(self, sha256: str) -> Stored | None:
        """The newest file of this content; None where there is none."""
        return next((s for s in reversed(self._stored.values()) if s.file.sha256 == sha256), None)

    def _ending(self, start: bytes) -> str:
        """The ending for a file by its first bytes."""
        for ending, magics in self._formats.items():
            if any(all(start[at:].startswith(part) for at, part in magic) for magic in magics):
                return ending
        raise UploadRefused(f"the upload is not in a known format ({', '.join(self._formats)}).", 415)


async def _timed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    iterator = aiter(chunks)
    while True:
        try:
            yield await asyncio.wait_for(anext(iterator), CHUNK_TIMEOUT_S)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UploadRefused(f"the upload paused for {CHUNK_TIMEOUT_S:g} s.", 408) from None
