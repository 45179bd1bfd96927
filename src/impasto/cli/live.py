"""`impasto live`: paint a camera's picture live."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Group, Parameter

from impasto.cli.flags import takes_options
from impasto.cli.mixes import StyleFlags
from impasto.config.console import ConsoleOptions
from impasto.config.job import Job
from impasto.config.live import LiveLookOptions, LiveOptions

if TYPE_CHECKING:
    from impasto.live.figures import Report

LIVE = Group("Live", sort_key=0)

app = App(name="live")


@app.default
@takes_options
def live(
    source: Annotated[str, Parameter(help="Camera, by number (0) or device, or a film.", group=LIVE)] = "0",
    /,
    *,
    styles: StyleFlags,
    look: LiveLookOptions,
    view: LiveOptions,
    console: ConsoleOptions,
) -> int:
    """Paint a camera's picture live.

    Frames are painted small, steadied, and upsampled along the edges of the camera's picture; frames that arrive
    during painting are dropped. One style is shown at a time. Keys: n and p next and previous style, [ and ] blend
    with the next one, - and + strength, m mirror, f freeze, v split view, s snapshot, r record, i figures, q quit.
    A film plays once.
    """
    from impasto.cli.bars import fetch_progress, working
    from impasto.cli.stopping import on_interrupt
    from impasto.live.opening import open_view

    job = Job(content=source, styles=styles.sources(), **vars(look))
    with working(console) as bar, on_interrupt(lambda note: None) as stop:
        opened = open_view(job, view, on_note=bar.note, progress=fetch_progress(bar, "weights"))
        stop.worth_keeping = True
        report = opened.run(lambda: stop.asked)
    _tell(report, source, size_hw=opened.size_hw, as_json=console.json)
    return 0


def _tell(report: Report, source: str, *, size_hw: tuple[int, int], as_json: bool) -> None:
    height, width = size_hw
    if as_json:
        print(json.dumps({"source": source, "size": [width, height], **dataclasses.asdict(report)}), flush=True)
    else:
        print(
            f"{width}×{height} px, {report.frames} frames, {report.dropped} dropped, {report.fps:.1f} frames/s, "
            f"latency {report.latency_ms_median:.0f} ms, 99th percentile {report.latency_ms_p99:.0f} ms"
        )
