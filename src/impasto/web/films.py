"""Films in the worker process: inspecting uploads, and painting."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.web.pictures import PREVIEW_PX, as_jpeg

if TYPE_CHECKING:
    from impasto.video.painting import Painted
    from impasto.web.worker import TaskChannel

FRAMES_AT = (1 / 6, 1 / 2, 5 / 6)
"""Positions of the preview frames, as fractions of the film's length."""


def inspect_film(path: str, *, most_pixels: int, most_s: float, folder: str) -> dict[str, Any]:
    """Size and length of a film, and three of its frames, written to `folder` as PNG. Raises for one over a limit."""
    from impasto.api import Painting
    from impasto.core.errors import VideoUnreadable
    from impasto.video.source import opened

    film = opened(path)
    height, width = film.size_hw
    if width * height > most_pixels:
        allowed = f"{most_pixels / 1e6:g} megapixels"
        raise VideoUnreadable(f"the film has frames of {width}×{height} px; {allowed} are allowed.")
    if film.duration_s > most_s:
        raise VideoUnreadable(f"the film has {film.duration_s:.0f} s; {most_s:g} s are allowed. Cut it first.")
    frames = []
    for index, stored in enumerate(film.shown_at([part * film.duration_s for part in FRAMES_AT])):
        frame = stored.open()
        Painting(frame.pixels).save(file := Path(folder, f"{Path(path).stem}-{index}.png"))
        frames.append({"path": str(file), "preview": as_jpeg(frame.pixels, PREVIEW_PX)})
    return {"size": [width, height], "duration_s": round(film.duration_s, 3), "fps": float(film.rate), "frames": frames}


def film(job: dict[str, Any], output: str, *, options: dict[str, Any], channel: TaskChannel) -> dict[str, Any]:
    """Paint a film until finished or stopped by the server; the painted part is a complete file in both cases."""
    from impasto.api import Job
    from impasto.config.video import VideoOptions
    from impasto.core.options import from_dict
    from impasto.video.film_session import open_film

    started, shown = time.monotonic(), list[bytes]()
    session = open_film(
        from_dict(Job, job, where="job"), output, options=from_dict(VideoOptions, options, where="video")
    )

    def on_frame(item: Painted, *done_of: int) -> None:
        channel.tell(*done_of, preview=partial(as_jpeg, item.frame.pixels, PREVIEW_PX))
        if not shown:
            shown.append(as_jpeg(item.frame.pixels, PREVIEW_PX))

    whole = session.record(on_frame=on_frame, stopping=channel.is_stopped)
    height, width = session.recording.output_hw
    return {
        "stopped": not whole,
        "size": [width, height],
        "method": session.session.job.paint.method,
        "seconds": round(time.monotonic() - started, 3),
        "preview": shown[0],
    }
