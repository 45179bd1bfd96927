"""Text inside picture files: notes, such as the recipe that made a picture, and the EXIF entries that are kept.

PNG holds each note in an iTXt chunk of its own. The other formats hold all notes as one JSON object in plain ASCII:
JPEG in as many comment segments as it takes, GIF in its comment, TIFF in ImageDescription, WebP and AVIF in EXIF
UserComment. Text that other programs left there comes back under "comment" or "description".

Of a photograph's EXIF, date, camera and copyright are kept (`EXIF_TAGS`); positions, serial numbers and previews are
not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from PIL import ExifTags, Image, PngImagePlugin

from impasto.core.errors import OptionError, UnknownName

_EXIF_ASCII = b"ASCII\0\0\0"
_JPEG_COMMENT = b"\xff\xfe"
_SEGMENT_BYTES = 65_000  # a JPEG segment holds 65533
_LONGEST_ENTRY = 1000  # letters

EXIF_TAGS: dict[str, int] = {
    name: ExifTags.Base[name].value
    for name in ("Make", "Model", "DateTime", "Artist", "Copyright", "DateTimeOriginal", "OffsetTimeOriginal")
}
"""The kept EXIF entries and their tags."""

_IN_EXIF_BLOCK = ("DateTimeOriginal", "OffsetTimeOriginal")  # the others are in the main block


def checked_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """`notes` with printable ASCII keys of 1 to 79 letters (else `OptionError`); lone surrogates become escapes."""
    for key in notes:
        if not (0 < len(key) < 80 and key.isascii() and key.isprintable() and key == key.strip()):
            raise OptionError(f"the note's name {key!r} is not 1 to 79 printable ASCII letters; rename it.")
    return {key: as_bytes(value).decode() for key, value in notes.items()}


def checked_exif(exif: Mapping[str, str]) -> dict[str, str]:
    """`exif` where all names are in `EXIF_TAGS`, else `OptionError`."""
    for name in exif:
        if name not in EXIF_TAGS:
            raise UnknownName.of("EXIF entry", name, known=EXIF_TAGS)
    return cleaned_exif(exif)


def as_bytes(text: str) -> bytes:
    """UTF-8; lone surrogates become escapes."""
    return text.encode("utf-8", "backslashreplace")


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


def exif_block(exif: Mapping[str, str], *, notes: Mapping[str, str] | None = None) -> bytes:
    """EXIF bytes with entries of `EXIF_TAGS`, and with notes as UserComment."""
    block = Image.Exif()
    inner = block.get_ifd(ExifTags.IFD.Exif)
    for name, text in exif.items():
        if name in _IN_EXIF_BLOCK:  # dates: ASCII
            inner[EXIF_TAGS[name]] = text
        else:
            block[EXIF_TAGS[name]] = as_bytes(text)
    if notes:
        inner[ExifTags.Base.UserComment] = _EXIF_ASCII + as_text(notes).encode("ascii")
    return block.tobytes()


def exif_of(image: Image.Image) -> dict[str, str]:
    """The kept EXIF entries of an opened picture; empty where the block is damaged. Decodes no pixels."""
    try:
        block = image.getexif()
        entries = {**block, **block.get_ifd(ExifTags.IFD.Exif)}
    except Exception:  # Pillow raises nearly anything
        return {}
    return cleaned_exif({name: entries.get(tag) for name, tag in EXIF_TAGS.items()})


def cleaned_exif(entries: Mapping[str, object]) -> dict[str, str]:
    """The entries that are text, without NULs and surrounding spaces, of reasonable length.

    Pillow takes the bytes of a text as Latin-1; UTF-8 is restored where it is valid.
    """
    texts = {name: _utf8(value).strip("\0 ") for name, value in entries.items() if isinstance(value, str)}
    return {name: text[:_LONGEST_ENTRY] for name, text in texts.items() if text}


def _utf8(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


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
