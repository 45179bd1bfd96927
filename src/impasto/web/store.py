"""Pictures that clients send: streamed to files under names of our own, with bounds on size and number."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import ImpastoError

CHUNK_TIMEOUT_S = 20.0
MAGIC: dict[str, tuple[bytes, ...]] = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpg": (b"\xff\xd8\xff",),
    "gif": (b"GIF87a", b"GIF89a"),
    "webp": (b"RIFF",),
    "bmp": (b"BM",),
    "tif": (b"II*\x00", b"MM\x00*"),
    "avif": (b"\x00\x00\x00\x1cftypavif", b"\x00\x00\x00\x20ftypavif", b"\x00\x00\x00\x18ftypavif"),
}
"""First bytes of the formats that are taken; the ending of a stored file follows from them, never from the client."""

MAGIC_BYTES = 12


class UploadRefused(ImpastoError):
    """An upload that breaks a limit. `status` is the HTTP status that says so."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class StoredPicture:
    """A picture that was sent: its id, file, size in pixels and a JPEG preview."""

    id: str
    path: Path
    size: tuple[int, int]
    preview: bytes


class PictureStore:
    """Pictures in a folder by id; beyond `most` of them the oldest ones go."""

    def __init__(self, folder: Path, *, longest_bytes: int, most: int = 200) -> None:
        self._folder, self._longest_bytes, self._most = folder, longest_bytes, most
        self._pictures: OrderedDict[str, StoredPicture] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    async def receive(self, chunks: AsyncIterator[bytes]) -> Path:
        """Write an upload to a file of a new name, counting while it comes.

        Raises `UploadRefused`: 413 for too many bytes, 408 for a pause of `CHUNK_TIMEOUT_S`, 415 for another format.
        """
        path = self._folder / secrets.token_urlsafe(12)
        try:
            with path.open("wb") as file:
                async for chunk in _timed(chunks):
                    if file.tell() + len(chunk) > self._longest_bytes:
                        raise UploadRefused(f"the upload is longer than {self._longest_bytes:,} bytes.", 413)
                    file.write(chunk)
            return path.rename(path.with_suffix(f".{_format(path)}"))
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def add(self, path: Path, size: tuple[int, int], *, preview: bytes) -> StoredPicture:
        """Keep a received file that turned out to be a picture."""
        picture = StoredPicture(path.stem, path, size, preview)
        self._pictures[picture.id] = picture
        while len(self._pictures) > self._most:
            self._pictures.popitem(last=False)[1].path.unlink(missing_ok=True)
        return picture

    def __getitem__(self, id: str) -> StoredPicture:
        """The picture of an id; raises `KeyError`."""
        return self._pictures[id]


async def _timed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    iterator = aiter(chunks)
    while True:
        try:
            yield await asyncio.wait_for(anext(iterator), CHUNK_TIMEOUT_S)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UploadRefused(f"the upload paused for {CHUNK_TIMEOUT_S:g} s.", 408) from None


def _format(path: Path) -> str:
    """The ending for a file by its first bytes."""
    with path.open("rb") as file:
        start = file.read(MAGIC_BYTES)
    for ending, magics in MAGIC.items():
        if start.startswith(magics) and (ending != "webp" or start[8:12] == b"WEBP"):
            return ending
    raise UploadRefused(f"the upload is not a picture in a known format ({', '.join(MAGIC)}).", 415)
