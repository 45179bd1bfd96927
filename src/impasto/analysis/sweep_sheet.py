"""A sweep's pictures on one contact sheet, its axes as labels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

from impasto.analysis.axes import Axis
from impasto.analysis.sheet import contact_sheet
from impasto.analysis.sweep import Result
from impasto.image import files

T = TypeVar("T")


def sweep_sheet(
    results: Sequence[Result], axes: Sequence[Axis], *, cell_px: int = 256, columns: int = 6, caption: str = ""
) -> Tensor:
    """`(1, 3, H, W)`. One axis runs from left to right, `columns` in a row; of more, the last runs to the right.

    `results` are those of all cells, in their order. A cell that failed is a grey blank that says so.
    """
    pictures = [None if result.error else files.read(result.cell.picture).pixels for result in results]
    if len(axes) == 1:
        return _row(pictures, results, axes[0], cell_px=cell_px, columns=columns, caption=caption)
    wide = len(axes[-1].texts)
    down = itertools.product(*(range(len(axis.texts)) for axis in axes[:-1]))
    failed = [["failed" if result.error else "" for result in row] for row in _lines(results, wide)]
    return contact_sheet(
        _lines(pictures, wide),
        row_labels=["\n".join(labelled(a, i) for a, i in zip(axes[:-1], place, strict=True)) for place in down],
        column_labels=[labelled(axes[-1], i) for i in range(wide)],
        cell_labels=failed if any(map(any, failed)) else (),
        cell_px=cell_px,
        caption=caption,
    )


def _row(
    pictures: Sequence[Tensor | None],
    results: Sequence[Result],
    axis: Axis,
    *,
    cell_px: int,
    columns: int,
    caption: str,
) -> Tensor:
    count = math.ceil(len(pictures) / math.ceil(len(pictures) / columns))  # rows of about one length
    labels = [f"{labelled(axis, i)}{chr(10) + 'failed' if r.error else ''}" for i, r in enumerate(results)]
    return contact_sheet(_lines(pictures, count), cell_labels=_lines(labels, count), cell_px=cell_px, caption=caption)


def labelled(axis: Axis, index: int) -> str:
    """A value with its option's name; of a path only the last part."""
    text = axis.texts[index]
    return f"{axis.name} {text.replace(chr(92), '/').rstrip('/').rsplit('/', 1)[-1]}"


def _lines(items: Sequence[T], length: int) -> list[list[T]]:
    return [list(items[i : i + length]) for i in range(0, len(items), length)]
