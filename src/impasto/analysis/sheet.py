"""Contact sheets: pictures in rows and columns, with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from impasto.analysis.lettering import Font, font_of, line_px, width_px, wrapped
from impasto.core.errors import ImageError, OptionError
from impasto.image.pixels import from_bytes, to_bytes
from impasto.image.resize import fit, resized

Cells = Sequence[Sequence[Tensor | None]]
Texts = Sequence[str]

PAPER, INK, SOFT, EMPTY = "#fbfaf7", "#22211f", "#77736c", "#eeece6"
ROW_LABEL_ROOM = 0.75  # width of the row labels, in parts of a cell, at most
LINES = 3  # of a label, at most


@dataclass(frozen=True)
class _Look:
    """Sizes in pixels that follow from that of a cell."""

    cell: int

    @property
    def gutter(self) -> int:
        return max(6, round(self.cell * 0.045))

    @property
    def margin(self) -> int:
        return max(14, round(self.cell * 0.09))

    @property
    def font(self) -> Font:
        return font_of(max(11, min(24, round(self.cell * 0.062))))

    @property
    def caption_font(self) -> Font:
        return font_of(max(14, min(32, round(self.cell * 0.082))))


@dataclass(frozen=True)
class _Words:
    """Every text, broken into lines."""

    caption: list[str]
    columns: list[list[str]]
    rows: list[list[str]]
    cells: list[list[tuple[list[str], list[str]]]]  # a heading, and softer lines


def contact_sheet(
    rows: Cells,
    *,
    row_labels: Texts = (),
    column_labels: Texts = (),
    cell_labels: Sequence[Texts] = (),
    cell_px: int = 256,
    caption: str = "",
    enlarge: bool = True,
) -> Tensor:
    """One picture `(1, 3, H, W)` that shows all, on a soft white.

    `rows` are pictures `(1, 3, h, w)` or grey `(1, 1, h, w)` in `[0, 1]`, of any sizes and aspects, each brought to a
    long side of `cell_px` (smaller ones stay small without `enlarge`). None leaves a blank; where it has a label, a
    grey one with the label inside. Rows may have different lengths. Labels may have line ends; under a picture, what
    follows the first is printed softer. What is too long is shortened. Raises `OptionError` for numbers of labels that
    do not fit, `ImageError` for no picture.
    """
    _check(rows, row_labels, column_labels, cell_labels)
    look = _Look(cell_px)
    images = [[None if cell is None else _image(cell, cell_px, enlarge=enlarge) for cell in row] for row in rows]
    columns = max(len(row) for row in images)
    least = min(cell_px, max((max(i.size) for row in images for i in row if i), default=cell_px))
    widths = [_widest([row[c] for row in images if c < len(row)], least) for c in range(columns)]
    heights = [max((i.height for i in row if i), default=least // 2) for row in images]
    words = _words(look, widths, row_labels, column_labels, cell_labels, caption)
    return _drawn(look, images, widths, heights, words)


def _widest(images: Sequence[Image.Image | None], least: int) -> int:
    return max((image.width for image in images if image), default=least)


def _check(rows: Cells, row_labels: Texts, column_labels: Texts, cell_labels: Sequence[Texts]) -> None:
    if not rows or not any(len(row) for row in rows):
        raise ImageError("a contact sheet of no pictures is asked for; at least one row with one picture is needed.")
    columns = max(len(row) for row in rows)
    for name, labels, count in (("row", row_labels, len(rows)), ("column", column_labels, columns)):
        if labels and len(labels) != count:
            raise OptionError(f"{len(labels)} {name} labels are given for {count} {name}s; one each is needed.")
    if cell_labels and [len(texts) for texts in cell_labels] != [len(row) for row in rows]:
        raise OptionError("the cell labels do not lie as the pictures do; one for each picture is needed.")
    for cell in (cell for row in rows for cell in row if cell is not None):
        if cell.ndim != 4 or cell.shape[0] != 1 or cell.shape[1] not in (1, 3) or 0 in cell.shape:
            raise ImageError(f"a picture has shape {tuple(cell.shape)}; (1, 3, h, w) is needed.")


def _image(cell: Tensor, cell_px: int, *, enlarge: bool) -> Image.Image:
    pixels = cell.detach().float().cpu().expand(-1, 3, -1, -1)
    size = fit((pixels.shape[-2], pixels.shape[-1]), long_side_px=cell_px, enlarge=enlarge)
    return Image.fromarray(to_bytes(resized(pixels, size))[0])


def _words(
    look: _Look,
    widths: Sequence[int],
    row_labels: Texts,
    column_labels: Texts,
    cell_labels: Sequence[Texts],
    caption: str,
) -> _Words:
    font = look.font
    room = max(ROW_LABEL_ROOM * look.cell, 6.0 * font.size)
    rows = [wrapped(text, font, room, lines=LINES) for text in row_labels]
    whole = sum(widths) + look.gutter * (len(widths) - 1) + _row_gutter(look, rows)
    return _Words(
        wrapped(caption, look.caption_font, whole, lines=2),
        [wrapped(text, font, w, lines=2) for text, w in zip(column_labels, widths, strict=False)],
        rows,
        [[_heading(text, font, widths[c]) for c, text in enumerate(row)] for row in cell_labels],
    )


def _heading(text: str, font: Font, room_px: int) -> tuple[list[str], list[str]]:
    """The first line, and the others, of the label under a picture."""
    first, _, others = text.partition("\n")
    return wrapped(first, font, room_px, lines=2), wrapped(others, font, room_px, lines=LINES - 1)


def _row_gutter(look: _Look, rows: Sequence[Sequence[str]]) -> int:
    """Width of the row labels with the space to their right."""
    widest = max((width_px(line, look.font) for lines in rows for line in lines), default=0.0)
    return round(widest) + 2 * look.gutter if widest else 0


def _block_px(blocks: Sequence[Sequence[str]], font: Font, gap: int) -> int:
    """Height of the tallest of `blocks` of lines with a gap; 0 where there are no lines."""
    most = max((len(lines) for lines in blocks), default=0)
    return most * line_px(font) + gap if most else 0


def _under_px(look: _Look, words: _Words, row: int, images: Sequence[Image.Image | None]) -> int:
    """Height of the labels under a row; those of blanks stand in them."""
    labels = zip(words.cells[row], images, strict=True) if words.cells else ()
    blocks = [first + others for (first, others), image in labels if image is not None]
    return _block_px(blocks, look.font, look.gutter // 2)


def _drawn(
    look: _Look,
    images: list[list[Image.Image | None]],
    widths: list[int],
    heights: list[int],
    words: _Words,
) -> Tensor:
    left = look.margin + _row_gutter(look, words.rows)
    head = _block_px([words.caption], look.caption_font, look.gutter)
    titles = _block_px(words.columns, look.font, look.gutter // 2)
    under = [_under_px(look, words, r, images[r]) for r in range(len(heights))]
    width = left + sum(widths) + look.gutter * (len(widths) - 1) + look.margin
    height = look.margin + head + titles + sum(heights) + sum(under) + look.gutter * (len(heights) - 1) + look.margin
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _lines(draw, words.caption, (look.margin, look.margin), look.caption_font)
    y = look.margin + head
    for c, lines in enumerate(words.columns):
        x = left + sum(widths[:c]) + look.gutter * c
        drop = titles - look.gutter // 2 - len(lines) * line_px(look.font)  # short labels stand on the pictures
        _lines(draw, lines, (x + widths[c] / 2, y + drop), look.font, centre=True)
    y += titles
    for r, row in enumerate(images):
        if words.rows:
            tall = len(words.rows[r]) * line_px(look.font)
            _lines(draw, words.rows[r], (look.margin, y + (heights[r] - tall) / 2), look.font)
        for c, image in enumerate(row):
            x = left + sum(widths[:c]) + look.gutter * c
            label = words.cells[r][c] if words.cells else ([], [])
            _cell(sheet, image, box=(x, y, widths[c], heights[r]), label=label, look=look)
        y += heights[r] + under[r] + look.gutter
    return from_bytes(np.asarray(sheet))


def _cell(
    sheet: Image.Image,
    image: Image.Image | None,
    *,
    box: tuple[int, int, int, int],
    label: tuple[list[str], list[str]],
    look: _Look,
) -> None:
    x, y, w, h = box
    draw = ImageDraw.Draw(sheet)
    first, others = label
    top = y + h + look.gutter // 2
    if image is not None:
        sheet.paste(image, (x + (w - image.width) // 2, y + (h - image.height) // 2))
    elif first:
        draw.rectangle((x, y, x + w - 1, y + h - 1), fill=EMPTY)
        top = y + (h - (len(first) + len(others)) * line_px(look.font)) // 2
    _lines(draw, first, (x + w / 2, top), look.font, centre=True)
    _lines(draw, others, (x + w / 2, top + len(first) * line_px(look.font)), look.font, centre=True, fill=SOFT)


def _lines(
    draw: ImageDraw.ImageDraw,
    lines: Sequence[str],
    at: tuple[float, float],
    font: Font,
    *,
    centre: bool = False,
    fill: str = INK,
) -> None:
    for i, line in enumerate(lines):
        draw.text((at[0], at[1] + i * line_px(font)), line, fill=fill, font=font, anchor="ma" if centre else "la")
