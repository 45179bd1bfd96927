"""The sheet of every style for one picture, in the worker process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from impasto.core.errors import ImpastoError
from impasto.web.pictures import PREVIEW_PX, as_jpeg

if TYPE_CHECKING:
    from impasto.web.worker import TaskChannel


class SheetStopped(ImpastoError):
    """The server requested a stop before the sheet was finished."""


def paint_sheet(content: str, output: str, *, size: int, channel: TaskChannel) -> dict[str, Any]:
    """Paint `content` in every trained style of this machine, and write the sheet to `output` (PNG)."""
    from impasto.api import sheet_of_styles

    started = time.monotonic()

    def on_style(done: int, total: int, /, *name: str) -> None:
        channel.tell(done, total)
        if channel.is_stopped():
            raise SheetStopped("the sheet was cancelled.")

    painting = sheet_of_styles(content=content, size=size, progress=on_style)
    painting.save(output)
    return {
        "stopped": False,
        "size": [painting.pixels.shape[-1], painting.pixels.shape[-2]],
        "method": "fast",
        "seconds": round(time.monotonic() - started, 3),
        "preview": as_jpeg(painting.pixels, 2 * PREVIEW_PX),
    }
