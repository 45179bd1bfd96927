"""Small films made for the tests, and films read back without the code under test."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data, transform
from torch import Tensor

Levels = NDArray[np.uint8]


def panned(count: int, *, size_hw: tuple[int, int] = (96, 128), step_px: int = 2) -> list[Levels]:
    """A camera that moves over a photograph by whole pixels."""
    wide = transform.resize(data.astronaut(), (size_hw[0] + 40, size_hw[1] + 40 + step_px * count), anti_aliasing=True)
    levels = (wide * 255).round().astype(np.uint8)
    return [levels[20 : 20 + size_hw[0], i * step_px : i * step_px + size_hw[1]] for i in range(count)]


def plain(colour: tuple[int, int, int], count: int, *, size_hw: tuple[int, int] = (48, 64)) -> list[Levels]:
    return [np.full((*size_hw, 3), colour, np.uint8) for _ in range(count)]


def tensor(levels: Levels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(levels)).permute(2, 0, 1)[None].float() / 255


def film(
    path: Path,
    frames: Sequence[Levels],
    *,
    rate: Fraction = Fraction(25),
    times: Sequence[Fraction] | None = None,
    codec: str = "libx264",
    layout: str = "yuv420p",
    rotation: int = 0,
    aspect: Fraction | None = None,
    matrix: int | None = 1,
    colour_range: int = 1,
    sound_s: float = 0.0,
    chapters: Sequence[tuple[float, float, str]] = (),
    format: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a film with FFmpeg: its times, tags and streams as they are asked for."""
    height, width = frames[0].shape[:2]
    base = Fraction(1, 90_000)
    with av.open(str(path), "w", format=format) as file:
        video: Any = file.add_stream(codec, rate=rate, options=options or ({"crf": "4"} if codec == "libx264" else {}))
        video.width, video.height, video.pix_fmt = width, height, layout
        video.codec_context.time_base = base
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        if matrix is not None:
            video.codec_context.colorspace, video.codec_context.color_range = matrix, colour_range
        if rotation:
            video.set_display_rotation(rotation)
        sound: Any = file.add_stream("aac", rate=48_000) if sound_s else None
        if chapters:
            base_ms = Fraction(1, 1000)
            entries = [(int(a * 1000), int(b * 1000), {"title": title}) for a, b, title in chapters]
            file.set_chapters(
                [
                    {"id": i, "start": start, "end": end, "time_base": base_ms, "metadata": title}
                    for i, (start, end, title) in enumerate(entries)
                ]
            )
        for index, levels in enumerate(frames):
            kind = "rgba" if levels.shape[2] == 4 else "rgb24"
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(levels), format=kind)
            if "yuv" in layout:
                made = made.reformat(format=layout, dst_colorspace=matrix or 5, dst_color_range=colour_range)
            else:
                made = made.reformat(format=layout)
            time_s = index / rate if times is None else times[index]
            made.pts, made.time_base = round(time_s / base), base
            file.mux(video.encode(made))
        file.mux(video.encode(None))
        if sound is not None:
            write_sound(file, sound, sound_s)
    return path


def write_sound(file: Any, stream: Any, length_s: float) -> None:
    wave = np.sin(2 * np.pi * 440 * np.arange(int(48_000 * length_s)) / 48_000).astype(np.float32)
    for start in range(0, len(wave), 1024):
        samples = wave[None, start : start + 1024]
        made = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
        made.sample_rate, made.pts, made.time_base = 48_000, start, Fraction(1, 48_000)
        file.mux(stream.encode(made))
    file.mux(stream.encode(None))


def seen(path: Path) -> tuple[list[Levels], list[Fraction]]:
    """The frames of a film and their times in seconds."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
        return [f.to_ndarray(format="rgb24") for f in frames], [f.pts * Fraction(f.time_base) for f in frames]


def packets(path: Path, kind: str) -> list[tuple[bytes, Fraction]]:
    """The bytes and times of the packets of the first stream of a kind."""
    with av.open(str(path)) as file:
        stream = next(stream for stream in file.streams if stream.type == kind)
        return [(bytes(p), p.pts * stream.time_base) for p in file.demux(stream) if p.pts is not None]
