"""Contact sheets: pictures in rows and columns, with labels; paintings in trained styles, and frames of films."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from impasto.analysis.lettering import Font, broken_lines, font_of, line_px, width_px
from impasto.core.errors import ImageError, OptionError
from impasto.image.pixels import from_bytes, to_bytes
from impasto.image.resize import fit, resized

Cells = Sequence[Sequence[Tensor | None]]
Texts = Sequence[str]
Lines = list[str]
T = TypeVar("T")

PAPER, INK, SOFT, EMPTY = "#fbfaf7", "#22211f", "#77736c", "#eeece6"
ROW_LABEL_ROOM = 0.75  # largest width of the row labels, as a fraction of a cell
LABEL_LINES = 3  # at most
ASPECT = 1.5  # ratio of columns to rows of a sheet of styles
FILM_COLUMNS, FILM_CELL_PX = 4, 360

Sample = tuple[float, Tensor, Tensor]
"""A time in seconds, a frame of the source and its painting."""


@dataclass(frozen=True)
class _Cell:
    """A picture, if there is one, with the heading and the softer lines of its label."""

    image: Image.Image | None
    heading: Lines
    details: Lines

    @property
    def lines(self) -> int:
        return len(self.heading) + len(self.details)


@dataclass(frozen=True)
class _Layout:
    """All sizes in pixels, and the texts broken into lines."""

    gutter: int
    margin: int
    font: Font
    caption_font: Font
    widths: list[int]
    heights: list[int]
    caption: Lines
    columns: list[Lines]
    rows: list[Lines]

    @property
    def left(self) -> int:
        widest = max((width_px(line, self.font) for lines in self.rows for line in lines), default=0.0)
        return self.margin + (round(widest) + 2 * self.gutter if widest else 0)

    def column_left(self, column: int) -> int:
        return self.left + sum(self.widths[:column]) + self.gutter * column

    def block_px(self, lines: int, *, gap: int, font: Font = None) -> int:
        """Height of a block of lines with a gap; 0 without lines."""
        return lines * line_px(font or self.font) + gap if lines else 0


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
    """One picture `(1, 3, H, W)` of all pictures, on an off-white ground.

    `rows` are pictures `(1, 3, h, w)` or grey `(1, 1, h, w)` in `[0, 1]`, of any size and aspect ratio, resized to a
    long side of `cell_px` (smaller ones only with `enlarge`). None leaves a blank; with a label, a grey one with the
    label inside. Rows may have different lengths. The first line of a cell's label is its heading, others are softer.
    Long texts are shortened. Raises `OptionError` for a wrong number of labels, `ImageError` without pictures.
    """
    _check(rows, cell_labels, row_labels=row_labels, column_labels=column_labels)
    images = [[None if cell is None else _image(cell, cell_px, enlarge=enlarge) for cell in row] for row in rows]
    layout = _layout(images, cell_px, row_labels=row_labels, column_labels=column_labels, caption=caption)
    cells = [
        [_cell(image, cell_labels[r][c] if cell_labels else "", layout=layout, column=c) for c, image in enumerate(row)]
        for r, row in enumerate(images)
    ]
    return _drawn(layout, cells)


def _check(rows: Cells, cell_labels: Sequence[Texts], *, row_labels: Texts, column_labels: Texts) -> None:
    if not rows or not any(len(row) for row in rows):
        raise ImageError("a contact sheet has no pictures; at least one row with one picture is needed.")
    columns = max(len(row) for row in rows)
    for name, labels, count in (("row", row_labels, len(rows)), ("column", column_labels, columns)):
        if labels and len(labels) != count:
            raise OptionError(f"{len(labels)} {name} labels for {count} {name}s; one for each is needed.")
    if cell_labels and [len(texts) for texts in cell_labels] != [len(row) for row in rows]:
        raise OptionError("the cell labels differ in number from the pictures; one for each is needed.")
    for cell in (cell for row in rows for cell in row if cell is not None):
        if cell.ndim != 4 or cell.shape[0] != 1 or cell.shape[1] not in (1, 3) or 0 in cell.shape:
            raise ImageError(f"a picture has shape {tuple(cell.shape)}; (1, 3, h, w) is needed.")


def _image(cell: Tensor, cell_px: int, *, enlarge: bool) -> Image.Image:
    pixels = cell.detach().float().cpu().expand(-1, 3, -1, -1)
    size = fit((pixels.shape[-2], pixels.shape[-1]), long_side_px=cell_px, enlarge=enlarge)
    return Image.fromarray(to_bytes(resized(pixels, size))[0])


def _layout(
    images: list[list[Image.Image | None]], cell_px: int, *, row_labels: Texts, column_labels: Texts, caption: str
) -> _Layout:
    blank = min(cell_px, max((max(image.size) for row in images for image in row if image), default=cell_px))
    columns = [[row[c] for row in images if c < len(row)] for c in range(max(map(len, images)))]
    widths = [max((image.width for image in column if image), default=blank) for column in columns]
    font = font_of(max(11, min(24, round(cell_px * 0.062))))
    caption_font = font_of(max(14, min(32, round(cell_px * 0.082))))
    room = max(ROW_LABEL_ROOM * cell_px, 6.0 * font.size)
    layout = _Layout(
        gutter=max(6, round(cell_px * 0.045)),
        margin=max(14, round(cell_px * 0.09)),
        font=font,
        caption_font=caption_font,
        widths=widths,
        heights=[max((image.height for image in row if image), default=blank // 2) for row in images],
        caption=[],
        columns=[broken_lines(text, font, room_px=w, lines=2) for text, w in zip(column_labels, widths, strict=False)],
        rows=[broken_lines(text, font, room_px=room, lines=LABEL_LINES) for text in row_labels],
    )
    width = layout.column_left(len(widths)) - layout.gutter - layout.margin
    layout.caption.extend(broken_lines(caption, caption_font, room_px=width, lines=2))
    return layout


def _cell(image: Image.Image | None, label: str, *, layout: _Layout, column: int) -> _Cell:
    heading, _, details = label.partition("\n")
    font, room = layout.font, layout.widths[column]
    return _Cell(
        image,
        broken_lines(heading, font, room_px=room, lines=2),
        broken_lines(details, font, room_px=room, lines=LABEL_LINES - 1),
    )


def _drawn(layout: _Layout, cells: list[list[_Cell]]) -> Tensor:
    gutter, margin = layout.gutter, layout.margin
    head = layout.block_px(len(layout.caption), gap=gutter, font=layout.caption_font)
    titles = layout.block_px(max(map(len, layout.columns), default=0), gap=gutter // 2)
    # labels of blanks stand inside them
    under = [layout.block_px(max((c.lines for c in row if c.image), default=0), gap=gutter // 2) for row in cells]
    height = 2 * margin + head + titles + sum(layout.heights) + sum(under) + gutter * (len(cells) - 1)
    sheet = Image.new("RGB", (layout.column_left(len(layout.widths)) - gutter + margin, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, layout.caption, at=(margin, margin), font=layout.caption_font)
    y = margin + head + titles
    for c, lines in enumerate(layout.columns):
        top = y - gutter // 2 - len(lines) * line_px(layout.font)
        _write(draw, lines, at=(layout.column_left(c) + layout.widths[c] / 2, top), font=layout.font, centre=True)
    for r, row in enumerate(cells):
        if layout.rows:
            block = len(layout.rows[r]) * line_px(layout.font)
            _write(draw, layout.rows[r], at=(margin, y + (layout.heights[r] - block) / 2), font=layout.font)
        for c, cell in enumerate(row):
            _draw_cell(sheet, cell, box=(layout.column_left(c), y, layout.widths[c], layout.heights[r]), layout=layout)
        y += layout.heights[r] + under[r] + gutter
    return from_bytes(np.asarray(sheet))


def _draw_cell(sheet: Image.Image, cell: _Cell, *, box: tuple[int, int, int, int], layout: _Layout) -> None:
    (x, y, w, h), font = box, layout.font
    draw, top = ImageDraw.Draw(sheet), y + h + layout.gutter // 2
    if cell.image is not None:
        sheet.paste(cell.image, (x + (w - cell.image.width) // 2, y + (h - cell.image.height) // 2))
    elif cell.heading:
        draw.rectangle((x, y, x + w - 1, y + h - 1), fill=EMPTY)
        top = y + (h - cell.lines * line_px(font)) // 2
    _write(draw, cell.heading, at=(x + w / 2, top), font=font, centre=True)
    top += len(cell.heading) * line_px(font)
    _write(draw, cell.details, at=(x + w / 2, top), font=font, centre=True, fill=SOFT)


def _write(
    draw: ImageDraw.ImageDraw,
    lines: Lines,
    *,
    at: tuple[float, float],
    font: Font,
    centre: bool = False,
    fill: str = INK,
) -> None:
    for i, line in enumerate(lines):
        draw.text((at[0], at[1] + i * line_px(font)), line, fill=fill, font=font, anchor="ma" if centre else "la")


def style_sheet(content: Tensor, paintings: Mapping[str, Tensor], *, cell_px: int = 320) -> Tensor:
    """One picture `(1, 3, H, W)`: the content, then its paintings in order, each above the name of its style.

    Pictures are `(1, 3, h, w)` in `[0, 1]`, resized to a long side of `cell_px`. Raises `ImageError` without paintings.
    """
    cells = [("", content), *paintings.items()] if paintings else []
    lines = rows_of(cells, max(1, math.ceil(math.sqrt(ASPECT * len(cells)))))
    pictures, labels = ([[cell[part] for cell in line] for line in lines] for part in (1, 0))
    return contact_sheet(pictures, cell_labels=labels, cell_px=cell_px)  # type: ignore[arg-type]


def style_table(rows: Sequence[tuple[Tensor, Mapping[str, Tensor]]], *, cell_px: int = 320) -> Tensor:
    """One picture `(1, 3, H, W)`: a row for each content with its paintings, the names of the styles above.

    Every content is painted in the same styles. Raises `ImageError` without rows.
    """
    names = list(rows[0][1]) if rows else []
    pictures = [[content, *paintings.values()] for content, paintings in rows]
    return contact_sheet(pictures, column_labels=["", *names], cell_px=cell_px)


def film_sheet(samples: Sequence[Sample]) -> Tensor:
    """Frames `(1, 3, h, w)` of a film above their paintings with their times, four side by side."""
    rows, labels = list[list[Tensor]](), list[list[str]]()
    for group in rows_of(samples, FILM_COLUMNS):
        rows += [[content for _, content, _ in group], [painting for _, _, painting in group]]
        labels += [["" for _ in group], [f"{int(s // 60)}:{s % 60:05.2f}" for s, _, _ in group]]
    return contact_sheet(rows, cell_labels=labels, cell_px=FILM_CELL_PX)


def rows_of(items: Sequence[T], length: int) -> list[list[T]]:
    """`items` in rows of `length`, the last one perhaps shorter."""
    return [list(items[start : start + length]) for start in range(0, len(items), length)]
