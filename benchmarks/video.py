"""Time per frame of each stage and of the whole pipeline, memory by length, and the animated sample of the docs.

`python benchmarks/video.py` paints a 720p film in the trained style `wave` and prints the CPU and wall time per frame
of each stage alone, their sum, and those of the pipeline, in which they run in parallel. `--memory` compares the peak
memory of films of different lengths; `--strength 0` does so without the network, which is quick. `--live 256` prints
the CPU time of each stage of live painting with a long side of 256 px, and the frame rate and latency of a film of 30
frames a second: the network runs in one thread and the other stages in others, so that with two free cores the rate is
at most the inverse of the greater sum. `--sample FILE` makes the picture in docs/pictures: a camera moves over a
photograph, with the source on the left and the painting on the right.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from impasto.config.job import Job, PaintOptions, StyleSource
from impasto.config.live import LiveLookOptions, LiveOptions
from impasto.config.video import FilmSizeOptions, VideoOptions
from impasto.core.memory import keep_freed_memory
from impasto.flow.warping import warped
from impasto.image.pixels import from_bytes
from impasto.image.resize import SizeHW, resized
from impasto.image.samples import sample
from impasto.image.swatches import FOLDER
from impasto.live.controls import Controls
from impasto.live.opening import open_view
from impasto.session.device import with_threads
from impasto.video.animated import animated
from impasto.video.assembly import assembled
from impasto.video.codecs import CODECS
from impasto.video.film_session import open_film
from impasto.video.frames import Frame
from impasto.video.motion import Tracker
from impasto.video.painting import Following, Several
from impasto.video.parts import Layout, Parts
from impasto.video.source import opened
from impasto.video.steady import Steadier

RATE = Fraction(25)
STYLE = "wave"
LIVE_STYLE = FOLDER / "woodblock.webp"
LIVE_RATE = Fraction(30)
SKIPPED = 5  # first frames, which are slower

Value = TypeVar("Value")


def camera(count: int, size_hw: SizeHW, *, name: str = "chelsea") -> Iterator[Tensor]:
    """Frames of a slow pan and zoom over a photograph, there and back, so that the film can loop."""
    picture = sample(name).pixels
    height, width = size_hw
    scale = 1.25 * max(height / picture.shape[-2], width / picture.shape[-1])
    wide = resized(picture, (round(picture.shape[-2] * scale), round(picture.shape[-1] * scale)))
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    for index in range(count):
        angle = torch.tensor(2 * torch.pi * index / count)
        zoom = 1 - 0.05 * (1 - torch.cos(angle))
        left = (wide.shape[-1] - width) / 2 * (1 + 0.8 * torch.sin(angle))
        top = (wide.shape[-2] - height) / 2 * (1 + 0.5 * torch.cos(angle))
        aims = [(x - width / 2) * zoom + width / 2 + left, (y - height / 2) * zoom + height / 2 + top]
        flow = torch.stack([aims[0] - x, aims[1] - y])
        yield warped(wide, flow[None])


def film(path: Path, count: int, size_hw: SizeHW, *, loops: int = 1, rate: Fraction = RATE) -> Path:
    """Write the camera's film of `count` frames, repeated `loops` times."""
    parts = Parts(path.with_name(f"{path.stem}-parts"), Layout(CODECS["h264"], size_hw, rate, 1 / rate))
    parts.open()
    for index, pixels in enumerate(camera(count, size_hw)):
        parts.add(Frame(pixels.clamp(0, 1), index / rate), duration_s=1 / rate, state={})
    parts.finish()
    length_s = parts.done[-1].end_s
    repeated = [
        dataclasses.replace(part, start_s=part.start_s + loop * length_s, end_s=part.end_s + loop * length_s)
        for loop in range(loops)
        for part in parts.done
    ]
    assembled(repeated, path, rate=rate)
    parts.remove()
    return path


class Stages:
    """CPU seconds of this thread by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def timed(self, name: str, run: Callable[..., Value], *inputs: Any, **options: Any) -> Value:
        """The result of a call, whose time is added to the stage."""
        begun = time.thread_time()
        result = run(*inputs, **options)
        self.seconds.setdefault(name, []).append(time.thread_time() - begun)
        return result

    def mean_ms(self, name: str) -> float:
        """The mean of all but the first frames."""
        counted = self.seconds[name][SKIPPED:]
        return 1000 * sum(counted) / len(counted)


class Clock:
    """Seconds of CPU time of all threads and of wall time since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def per_frame(self, count: int) -> tuple[float, float]:
        """CPU and wall time of each of `count` frames."""
        return (time.process_time() - self._cpu) / count, (time.perf_counter() - self._wall) / count


def painted(source: Path, output: Path, *, style: str = STYLE, strength: float = 1.0) -> Clock:
    """Paint a film; the clock was started after the weights were loaded."""
    paint = PaintOptions(strength=strength)
    job = Job(content=str(source), styles=(StyleSource(source=style),), size=FilmSizeOptions(), paint=paint)
    session = open_film(job, output, options=VideoOptions())
    clock = Clock()
    session.record()
    return clock


def stages(folder: Path, count: int, size_hw: SizeHW) -> None:
    """Print seconds per frame: each stage alone, their sum, and the pipeline."""
    source = film(folder / "in.mp4", count, size_hw)
    job = Job(content=str(source), styles=(StyleSource(source=STYLE),), size=FilmSizeOptions())
    paint = open_film(job, folder / "out.mp4").alone().painter()
    assert not isinstance(paint, Several | Following), "frames are painted by themselves"
    seconds: dict[str, tuple[float, float]] = {}
    clock = Clock()
    frames = [stored.open() for stored in opened(source).stored()]
    seconds["decode"] = clock.per_frame(count)
    tracker, clock = Tracker.named(), Clock()
    small = [tracker.reduced(frame.pixels) for frame in frames]
    motions = [tracker.between(now, then, size_hw=size_hw) for then, now in pairwise(small)]
    seconds["motion"] = clock.per_frame(count)
    paint(frames[0], 0)
    clock = Clock()
    paintings = [paint(frame, index) for index, frame in enumerate(frames)]
    seconds["network"] = clock.per_frame(count)
    clock, steadier, last = Clock(), Steadier(), paintings[0]
    for painting, motion in zip(paintings[1:], motions, strict=True):
        last = steadier(painting, last, motion)
    seconds["steadying"] = clock.per_frame(count)
    clock = Clock()
    film_of = Parts(folder / "e", Layout(CODECS["h264"], size_hw, RATE, 1 / RATE))
    film_of.open()
    for index, painting in enumerate(paintings):
        film_of.add(Frame(painting, index / RATE), duration_s=1 / RATE, state={})
    film_of.finish()
    seconds["encode"] = clock.per_frame(count)
    seconds["sum"] = (sum(cpu for cpu, _ in seconds.values()), sum(wall for _, wall in seconds.values()))
    seconds["pipeline"] = painted(source, folder / "whole.mp4").per_frame(count)
    print(f"{size_hw[1]}×{size_hw[0]}, {count} frames, {torch.get_num_threads()} threads; seconds per frame")
    print(f"{'':>10} {'CPU':>7} {'wall':>7}")
    for name, (cpu, wall) in seconds.items():
        print(f"{name:>10} {cpu:7.3f} {wall:7.3f}")
    shares = [alone / whole for alone, whole in zip(seconds["network"], seconds["pipeline"], strict=True)]
    print(
        f"the pipeline has {shares[1]:.0%} of the network's own frame rate; {shares[0]:.0%} of its CPU time is painting"
    )


def memory(folder: Path, counts: list[int], size_hw: SizeHW, *, strength: float) -> None:
    """Print the peak memory of painting films of several lengths, each in its own process.

    The films repeat the shortest one, as often as fits into their length.
    """
    for loops in [count // min(counts) for count in counts]:
        count = loops * min(counts)
        source = film(folder / f"{count}.mp4", min(counts), size_hw, loops=loops)
        words = [sys.executable, __file__, "--strength", str(strength)]
        words += ["--paint", str(source), str(folder / f"{count}-out.mp4")]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        print(f"{count} frames of {size_hw[1]}×{size_hw[0]}: {int(done.stdout.split()[-1]) / 1024:.0f} MiB")


def animated_sample(output: Path, folder: Path) -> None:
    """The docs' picture: source and painting side by side."""
    source = film(folder / "in.mp4", 32, (192, 256))
    painted(source, folder / "out.mkv", style="starry-night")
    parts = Parts(folder / "p", Layout(CODECS["ffv1"], (192, 512), RATE, 1 / RATE))
    parts.open()
    pairs = zip(opened(source).stored(), opened(folder / "out.mkv").stored(), strict=True)
    for one, other in pairs:
        both = torch.cat([one.open().pixels, other.open().pixels], dim=-1)
        parts.add(Frame(both, 2 * one.time_s), duration_s=2 / RATE, state={})
    parts.finish()
    animated(parts.done, output, alpha=False)


def live_stages(job: Job, options: LiveOptions, *, count: int) -> Stages:
    """Every stage of `count` frames, one after the other."""
    painter, timed, controls = open_view(job, options, on_note=print).painter, Stages(), Controls(1)
    steadier, last = Steadier.of(options.steady), None
    statistics: Mapping[str, Tensor] = {}
    assert painter.tracker is not None
    for stored in islice(opened(job.content).stored(), count):
        assert stored.levels is not None
        frame = timed.timed("open", stored.levels)
        small = timed.timed("reduce", painter.reduced, frame)
        content = from_bytes(small)
        output, statistics = timed.timed("network", painter.painted, content, controls, shared=statistics)
        if last is not None:
            motion = timed.timed("motion", painter.tracker, content, last[0])
            output = timed.timed("steady", steadier, output, last[1], motion)
        last = content, output
        timed.timed("upsample", painter.enlarged, output, small, frame=frame)
    return timed


def live(job: Job, options: LiveOptions, *, count: int) -> None:
    """Print the stages of live painting, each by itself on one thread, and the frame rate and latency of all."""
    with with_threads(1):
        timed = live_stages(job, options, count=count)
    found = {stage: timed.mean_ms(stage) for stage in timed.seconds}
    thread = found["open"] + found["reduce"] + found["network"]
    print(f"{options.paint_size} px:", *(f"{stage} {ms:.1f}" for stage, ms in found.items()), "CPU ms per frame")
    print(f"  thread of the network {thread:.1f} ms, other threads {sum(found.values()) - thread:.1f} ms")
    shown = open_view(job, options, on_note=print).run()
    print(
        f"  {torch.get_num_threads()} threads: {shown.fps:.1f} frames/s, latency {shown.latency_ms_median:.0f} ms, "
        f"99th percentile {shown.latency_ms_p99:.0f} ms, {shown.dropped} of {shown.frames + shown.dropped} dropped"
    )


def main() -> None:
    """Run what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--memory", type=int, nargs="*", help="lengths in frames to compare")
    parser.add_argument("--strength", type=float, default=1.0, help="of the style while memory is measured")
    parser.add_argument("--sample", type=Path, help="write the animated picture of the docs")
    parser.add_argument("--live", type=int, nargs="+", help="paint live, with these long sides in pixels")
    parser.add_argument("--style", default=str(LIVE_STYLE), help="of --live")
    parser.add_argument("--paint", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    keep_freed_memory()
    size_hw = (given.height, given.height * 16 // 9 // 2 * 2)
    if given.paint:
        painted(*given.paint, strength=given.strength)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    with tempfile.TemporaryDirectory() as name:
        if given.sample:
            animated_sample(given.sample, Path(name))
        elif given.live is not None:
            source = film(Path(name) / "in.mp4", 30, size_hw, loops=6, rate=LIVE_RATE)
            job = Job(content=str(source), styles=(StyleSource(source=given.style),), **vars(LiveLookOptions()))
            for px in given.live:
                live(job, LiveOptions(screen="none", paint_size=px), count=given.frames)
        elif given.memory is not None:
            memory(Path(name), given.memory or [250, 1500], size_hw, strength=given.strength)
        else:
            stages(Path(name), given.frames, size_hw)


if __name__ == "__main__":
    main()
