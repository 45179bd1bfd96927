"""A live view from a job and its options."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from impasto.config.job import Job
from impasto.config.live import LiveOptions
from impasto.core.errors import OptionError
from impasto.encoders.table import Progress
from impasto.image.resize import SizeHW
from impasto.live.capture import is_camera, shown_size, source_named
from impasto.live.controls import Controls
from impasto.live.page import Page
from impasto.live.painter import open_painter
from impasto.live.screens import Screen, open_screen
from impasto.live.view import View
from impasto.live.virtual_camera import VirtualCamera
from impasto.video.codecs import codec_for


def open_view(
    job: Job, options: LiveOptions, *, on_note: Callable[[str], None], progress: Progress | None = None
) -> View:
    """The view of `job`, whose content is a camera or a film, with the outputs that the options name.

    `on_note` is called with lines for the user. Raises `VideoError`, `OptionError`, `MissingExtra`, and what
    `open_session` raises, before anything is captured.
    """
    if options.record is not None:
        codec_for(options.record)
    source = source_named(job.content, long_side_px=options.size)
    size_hw = shown_size(source.size_hw, options.size)
    painter = open_painter(job, size_hw, paint_px=options.paint_size, steady=options.steady, progress=progress)
    screen, page, camera = _outputs(job.content, options, size_hw=size_hw, on_note=on_note)
    names = [Path(style.source).name.rpartition("#")[2] for style in job.styles]
    recording = options.record is not None
    return View(
        source,
        painter,
        size_hw,
        Controls(len(names), strength=job.paint.strength, mirror=options.mirror, recording=recording),
        names=names,
        folder=options.folder,
        screen=screen,
        page=page,
        camera=camera,
        record=options.record,
        on_note=on_note,
    )


def _outputs(
    source: str, options: LiveOptions, *, size_hw: SizeHW, on_note: Callable[[str], None]
) -> tuple[Screen | None, Page | None, VirtualCamera | None]:
    """The window, the page and the virtual camera; if one of them fails, the others are closed."""
    with ExitStack() as opened:
        screen, page, camera = open_screen(options.screen), None, None
        if screen is not None:
            opened.callback(screen.close)
        elif is_camera(source) and not (options.serve or options.record or options.virtual_camera):
            raise OptionError("the painted camera picture has no output. Add `serve`, `record` or `virtual_camera`.")
        if options.serve:
            page = Page(options.port)
            opened.callback(page.close)
            on_note(f"{page.address} serves the picture, for example as a browser source in OBS.")
        if options.virtual_camera:
            camera = VirtualCamera(size_hw)
            on_note(f"{camera.device} is the virtual camera.")
        opened.pop_all()
        return screen, page, camera
