"""A contact sheet of a film: frames of the source above their paintings, with their times."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impasto.analysis.sheet import Cells, contact_sheet

COLUMNS = 4
CELL_PX = 360

Sample = tuple[float, Tensor, Tensor]
"""A time in seconds, a frame of the source and its painting."""


def film_sheet(samples: Sequence[Sample]) -> Tensor:
    """The picture `(1, 3, h, w)` of the sheet, four frames side by side."""
    rows: list[Sequence[Tensor]] = []
    labels: list[Sequence[str]] = []
    for first in range(0, len(samples), COLUMNS):
        group = samples[first : first + COLUMNS]
        rows += [[content for _, content, _ in group], [painting for _, _, painting in group]]
        labels += [["" for _ in group], [_as_time(time_s) for time_s, _, _ in group]]
    cells: Cells = rows
    return contact_sheet(cells, cell_labels=labels, cell_px=CELL_PX)


def _as_time(time_s: float) -> str:
    """`75.5` is `1:15.50`."""
    minutes, seconds = divmod(time_s, 60)
    return f"{int(minutes)}:{seconds:05.2f}"
