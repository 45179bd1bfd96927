"""Options of live painting."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from impasto.config.arbitrary import FrameNetworkOptions
from impasto.config.fast import FastOptions
from impasto.config.job import PaintOptions
from impasto.config.pictures import ColourOptions
from impasto.config.video import Steady
from impasto.core.options import Choice, Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class LiveOptions(Options, title="View"):
    """How frames are painted live, and where they are shown."""

    size: Annotated[int, Doc("Long side of the picture in pixels; 0 keeps the source's size."), Range(0, 16_384)] = 1280
    paint_size: Annotated[
        int,
        Doc("Long side at which frames are painted; the result is upsampled along the edges of the source."),
        Range(64, 4096),
    ] = 320
    steady: Steady = 0.95
    mirror: Annotated[bool, Doc("Start with the picture mirrored.")] = False
    screen: Annotated[
        str,
        Doc("Window toolkit; auto: the first one available; none: no window."),
        Choice(("auto", "opencv", "tk", "none")),
    ] = "auto"
    serve: Annotated[bool, Doc("Serve the picture on a local web page, for example as a browser source in OBS.")] = (
        False
    )
    port: Annotated[int, Doc("Port of that page; 0 takes a free one."), Range(0, 65535)] = 8472
    virtual_camera: Annotated[bool, Doc("Send the picture to a virtual camera, for video calls.")] = False
    record: Annotated[Path | None, Doc("Record into this film from the start.")] = None
    folder: Annotated[Path, Doc("Folder for snapshots and recordings.")] = Path(".")


@dataclass(frozen=True, kw_only=True)
class LiveLookOptions(Options):
    """All that decides how a live frame looks, apart from the source and the styles."""

    paint: PaintOptions = field(default_factory=PaintOptions)
    colour: ColourOptions = field(default_factory=ColourOptions)
    arbitrary: FrameNetworkOptions = field(default_factory=FrameNetworkOptions)
    fast: FastOptions = field(default_factory=FastOptions)
