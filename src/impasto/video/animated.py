"""GIF and animated WebP from finished segments, one frame in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from impasto.core.errors import VideoUnwritable
from impasto.core.paths import written_whole
from impasto.video.containers import reading, writing
from impasto.video.parts import Part

TICKS = {".gif": Fraction(1, 100), ".webp": Fraction(1, 1000)}
WEBP_QUALITY = 85
HIDDEN_LEVEL = 128


def animated(parts: Sequence[Part], path: Path, *, alpha: bool) -> None:
    """Write the frames of `parts`, with `alpha` if they have it, to a GIF or WebP file that loops forever.

    Each frame of a GIF has its own palette, with error diffusion. Raises `VideoUnwritable`.
    """
    try:
        with written_whole(path) as temporary:
            if path.suffix.lower() == ".gif":
                _write_gif(parts, temporary, alpha=alpha)
            else:
                _write_webp(parts, temporary, alpha=alpha)
    except (OSError, av.FFmpegError) as error:
        raise VideoUnwritable(f"{path} cannot be written: {error.strerror or error}.") from error


def _frames(parts: Sequence[Part], layout: str, tick: Fraction) -> Iterator[Any]:
    """The segments' frames in a pixel format, with strictly increasing times in `tick`s."""
    last = -1
    for part in parts:
        with reading(part.path) as piece:
            for frame in piece.decode(video=0):
                made = frame.reformat(format=layout)
                time_s = part.start_s + frame.pts * frame.time_base
                made.pts, made.time_base = max(round(time_s / tick), last + 1), tick
                last = made.pts
                yield made


def _write_webp(parts: Sequence[Part], path: Path, *, alpha: bool) -> None:
    layout = "bgra" if alpha else "yuv420p"  # libwebp 1.6 loses the alpha of lossy animations
    with writing(path, "webp", {"loop": "0"}) as file:
        options = {"quality": str(WEBP_QUALITY), "lossless": str(int(alpha))}
        stream = _stream(file, "libwebp_anim", layout, parts, TICKS[".webp"], options)
        for frame in _frames(parts, layout, TICKS[".webp"]):
            file.mux(stream.encode(_coloured_throughout(frame) if alpha else frame))
        file.mux(stream.encode(None))


def _coloured_throughout(frame: Any) -> Any:
    """The frame with a colour where it is transparent: libwebp drops the alpha of frames that are zero there."""
    levels = frame.to_ndarray()
    levels[levels[..., 3] == 0, :3] = HIDDEN_LEVEL
    made = av.VideoFrame.from_ndarray(levels, format=frame.format.name)
    made.pts, made.time_base = frame.pts, frame.time_base
    return made


def _write_gif(parts: Sequence[Part], path: Path, *, alpha: bool) -> None:
    with writing(path, "gif", {"loop": "0"}) as file:
        stream = _stream(file, "gif", "pal8", parts, TICKS[".gif"])
        graph: av.filter.Graph | None = None
        for frame in _frames(parts, "bgra", TICKS[".gif"]):
            graph = graph or _palettes(frame, alpha=alpha)
            graph.push(frame)
            _mux(graph, file, stream)
        if graph is not None:
            graph.push(None)
            _mux(graph, file, stream)
        file.mux(stream.encode(None))


def _mux(graph: Any, file: Any, stream: Any) -> None:
    while True:
        try:
            frame = graph.pull()
        except (BlockingIOError, av.EOFError):
            return
        file.mux(stream.encode(frame))


def _palettes(frame: Any, *, alpha: bool) -> av.filter.Graph:
    """A filter graph that computes a palette for each frame."""
    graph: Any = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
    )
    split, sink = graph.add("split"), graph.add("buffersink")
    palette = graph.add("palettegen", f"stats_mode=single:reserve_transparent={int(alpha)}")
    use = graph.add("paletteuse", "new=1:dither=sierra2_4a")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    made: av.filter.Graph = graph
    return made


def _stream(
    file: Any, encoder: str, layout: str, parts: Sequence[Part], tick: Fraction, options: dict[str, str] | None = None
) -> Any:
    with reading(parts[0].path) as piece:
        size = piece.streams.video[0].codec_context
        stream = file.add_stream(encoder, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, layout
    stream.time_base = stream.codec_context.time_base = tick
    return stream
