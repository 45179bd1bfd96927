"""Text in pictures: fonts, and line breaking."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

from PIL import ImageFont

Font = Any  # Pillow's FreeTypeFont, or its bitmap font where Pillow was built without FreeType

ELLIPSIS = "…"
_PLAIN = {
    "\u2010": "-",
    "\u2011": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u2212": "-",
    "×": "x",
    "→": ">",
    "Δ": "d",
    "ß": "ss",
}
_NO_CHARACTER = "\uffff"


@cache
def font_of(size_px: int) -> Font:
    """Pillow's built-in font at a size in pixels."""
    return ImageFont.load_default(size_px)


def line_px(font: Font) -> int:
    """Distance between the tops of two lines."""
    return round(1.3 * float(font.size))


def clean(text: str, font: Font) -> str:
    """`text` in characters of the font: without accents, with plain dashes, and `?` for anything else.

    The built-in font has little more than ASCII; file names may hold anything, unpaired surrogates included.
    """
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c == "\n" else _drawable(c, font) for c in whole)


@cache
def _drawable(char: str, font: Font) -> str:
    if not char.isprintable():
        return " "
    if _has(char, font):
        return char
    plain = "".join(c for c in unicodedata.normalize("NFKD", _PLAIN.get(char, char)) if not unicodedata.combining(c))
    return "".join(c if _has(c, font) else "?" for c in plain)


def _has(char: str, font: Font) -> bool:
    try:
        return char == " " or bytes(font.getmask(char)) != _box(font)
    except UnicodeEncodeError:  # the bitmap font knows Latin 1 only
        return False


@cache
def _box(font: Font) -> bytes:
    """The font's glyph for a missing character."""
    return bytes(font.getmask(_NO_CHARACTER))


def width_px(text: str, font: Font) -> float:
    """Width of one line."""
    return float(font.getlength(text))


def shortened_middle(text: str, font: Font, *, room_px: float) -> str:
    """One line no wider than `room_px`. Long texts lose their middle, since names differ at the ends."""
    if width_px(text, font) <= room_px:
        return text
    for kept in range(len(text) - 1, 0, -1):
        head = (kept + 1) // 2
        short = text[:head].rstrip() + ELLIPSIS + text[len(text) - (kept - head) :].lstrip()
        if width_px(short, font) <= room_px:
            return short
    return ELLIPSIS


def broken_lines(text: str, font: Font, *, room_px: float, lines: int) -> list[str]:
    """At most `lines` lines no wider than `room_px`, broken at spaces and line ends; the last is shortened."""
    done: list[str] = []
    for paragraph in clean(text, font).splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and width_px(longer, font) > room_px:
                done.append(line)
                longer = word
            line = longer
        done.append(line)
    kept = done[: lines - 1] + ([" ".join(done[lines - 1 :])] if len(done) >= lines else [])
    return [shortened_middle(line, font, room_px=room_px) for line in kept]
