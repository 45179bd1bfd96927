"""Pictures painted in trained styles, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from impasto.analysis.sheet import contact_sheet

ASPECT = 1.5  # ratio of columns to rows


def style_sheet(content: Tensor, paintings: Mapping[str, Tensor], *, cell_px: int = 320, caption: str = "") -> Tensor:
    """One picture `(1, 3, H, W)`: the content, then its paintings in order, each above the name of its style.

    Pictures are `(1, 3, h, w)` in `[0, 1]`, resized to a long side of `cell_px`. Raises `ImageError` without paintings.
    """
    cells = [("", content), *paintings.items()] if paintings else []
    across = max(1, math.ceil(math.sqrt(ASPECT * len(cells))))
    lines = [cells[i : i + across] for i in range(0, len(cells), across)]
    return contact_sheet(
        [[picture for _, picture in line] for line in lines],
        cell_labels=[[name for name, _ in line] for line in lines],
        cell_px=cell_px,
        caption=caption,
    )


def style_table(rows: Sequence[tuple[Tensor, Mapping[str, Tensor]]], *, cell_px: int = 320) -> Tensor:
    """One picture `(1, 3, H, W)`: a row for each content with its paintings, the names of the styles above.

    Every content is painted in the same styles. Raises `ImageError` without rows.
    """
    names = list(rows[0][1]) if rows else []
    return contact_sheet(
        [[content, *paintings.values()] for content, paintings in rows], column_labels=["", *names], cell_px=cell_px
    )
