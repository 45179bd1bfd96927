"""Notes: text that travels inside a picture file, such as the recipe that made it.

PNG holds each note in an iTXt chunk of its own. The other formats hold all notes as one JSON object in plain ASCII:
JPEG in as many comment segments as it takes, GIF in its comment, TIFF in ImageDescription, WebP and AVIF in EXIF
UserComment. Text that other programs left there comes back under "comment" or "description".
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from PIL import ExifTags, Image, PngImagePlugin

from impasto.core.errors import OptionError

_EXIF_ASCII = b"ASCII\0\0\0"
_JPEG_COMMENT = b"\xff\xfe"
_SEGMENT_BYTES = 65_000  # a JPEG segment holds 65533


def checked(notes: Mapping[str, str]) -> dict[str, str]:
    """`notes` with printable ASCII keys of 1 to 79 letters (else `OptionError`); lone surrogates become escapes."""
    for key in notes:
        if not (0 < len(key) < 80 and key.isascii() and key.isprintable() and key == key.strip()):
            raise OptionError(f"the note's name {key!r} is not 1 to 79 printable ASCII letters; rename it.")
    return {key: value.encode("utf-8", "backslashreplace").decode() for key, value in notes.items()}


def as_text(notes: Mapping[str, str]) -> str:
    """All notes as one line of ASCII JSON; empty without notes."""
    return json.dumps(dict(notes)) if notes else ""


def from_text(text: str, key: str) -> dict[str, str]:
    """The notes in a text that `as_text` wrote; any other text comes back whole under `key`."""
    text = text.strip("\0")
    try:
        notes = json.loads(text)
    except (ValueError, RecursionError):
        notes = None
    if isinstance(notes, dict) and all(isinstance(value, str) for value in notes.values()):
        return notes
    return {key: text} if text.strip() else {}


def png_text(notes: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    """The chunks of a PNG: the sRGB tag and each note as iTXt."""
    info = PngImagePlugin.PngInfo()
    info.add(b"sRGB", b"\0")
    for key, value in notes.items():
        info.add_itxt(key, value)
    return info


def jpeg_comments(notes: Mapping[str, str]) -> bytes:
    """Comment segments of a JPEG, to be placed before its pixels."""
    text = as_text(notes).encode("ascii")
    pieces = [text[i : i + _SEGMENT_BYTES] for i in range(0, len(text), _SEGMENT_BYTES)]
    return b"".join(_JPEG_COMMENT + (len(piece) + 2).to_bytes(2, "big") + piece for piece in pieces)


def exif_comment(notes: Mapping[str, str]) -> bytes:
    """EXIF bytes with the notes as UserComment."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = _EXIF_ASCII + as_text(notes).encode("ascii")
    return exif.tobytes()


def notes_of(image: Image.Image) -> dict[str, str]:
    """The notes of an opened picture; decodes no pixels."""
    kind = getattr(image, "format", None)  # pillow-heif's pictures have none
    if kind == "PNG":
        return {str(key): str(value) for key, value in image.info.items() if isinstance(value, str)}
    if kind in ("JPEG", "MPO"):
        segments = getattr(image, "applist", [])
        return from_text(_text(b"".join(data for marker, data in segments if marker == "COM")), "comment")
    if kind == "GIF":
        return from_text(_text(image.info.get("comment", b"")), "comment")
    if kind in ("WEBP", "AVIF"):
        return from_text(_user_comment(image), "comment")
    return {}


def _user_comment(image: Image.Image) -> str:
    value = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
    if isinstance(value, str):
        return value
    if value.startswith(b"UNICODE\0"):
        return bytes(value[8:]).decode("utf-16", "replace")
    return _text(value.removeprefix(_EXIF_ASCII))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
