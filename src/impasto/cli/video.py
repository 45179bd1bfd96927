"""`impasto video`: repaint a film."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Group, Parameter, validators

from impasto.cli.flags import Force, list_flag, takes_options, with_flags
from impasto.cli.mixes import MixFlags
from impasto.config.console import ConsoleOptions
from impasto.config.job import Job
from impasto.config.video import FilmLookOptions, FrameOptions, VideoOptions

if TYPE_CHECKING:
    from impasto.cli.bars import Bar
    from impasto.video.film_session import FilmSession
    from impasto.video.painting import Painted

FILM = Group("Film", sort_key=0)

app = App(name="video")


@Parameter(name="*", group=FILM, negative=(), show_choices=False)
@dataclass(frozen=True, kw_only=True)
class FilmFlags:
    """Flags of the run, which do not change the frames."""

    restart: Annotated[
        bool, Parameter(show_default=False, help="Discard the frames of a stopped job, which otherwise continues.")
    ] = False
    force: Force = False
    keyframes: Annotated[
        Path | None,
        Parameter(help="TOML file of key frames, which change strength and style weights over time."),
    ] = None
    devices: Annotated[
        tuple[str, ...],
        list_flag(
            "devices",
            tuple[str, ...],
            help="NVIDIA GPUs by number, or all: frames are painted on all of them at once. Without: --device.",
            shows_default=False,
        ),
    ] = ()
    preview: Annotated[
        int | None,
        Parameter(
            validator=validators.Number(gte=1, lte=1000),
            show_default=False,
            help="Number of frames to paint first, as a contact sheet: OUTPUT-preview.png.",
        ),
    ] = None


@app.default
@takes_options
def video(
    content: Annotated[Path, Parameter(help="Film to repaint: a file, or a folder of frames.", group=FILM)],
    output: Annotated[
        Path,
        Parameter(
            help="File to write: .mp4, .mov, .mkv, .webm, .gif or .webp; without extension, a folder of frames.",
            group=FILM,
        ),
    ],
    /,
    *,
    mix: MixFlags,
    film: FilmFlags,
    look: FilmLookOptions,
    frames: FrameOptions,
    console: ConsoleOptions,
) -> int:
    """Repaint a film.

    Frames are painted like the pictures of stylize and steadied along the film's motion. Times, sound, subtitles and
    chapters are copied. Memory use does not depend on the film's length. Ctrl-C leaves a playable film; the same
    command continues it.
    """
    job = Job(content=str(content), styles=mix.sources(), **vars(look))
    options = _with_keyframes(frames, film.keyframes)
    if film.devices:
        job = dataclasses.replace(job, paint=dataclasses.replace(job.paint, device="cuda"))
    return painted(job, output, options=options, film=film, console=console)


def _gpus(devices: tuple[str, ...]) -> tuple[int | None, ...]:
    """The numbers of the GPUs to paint on; None is the device of the job."""
    if not devices:
        return (None,)
    import torch

    from impasto.session.device import gpu_numbers

    return tuple(gpu_numbers(devices, gpus=torch.cuda.device_count()))


def _with_keyframes(frames: FrameOptions, path: Path | None) -> VideoOptions:
    """The options of a film with the key frames in the file at `path`."""
    from impasto.video.keyframes import read_keyframes

    keyframes = () if path is None else read_keyframes(path)
    return VideoOptions(**{**vars(frames), "keyframes": keyframes})


def painted(
    job: Job,
    output: Path,
    *,
    options: VideoOptions,
    film: FilmFlags,
    console: ConsoleOptions,
) -> int:
    """Paint the film of `job` with a progress bar, after a contact sheet if asked for; returns the exit code."""
    from impasto.cli import outputs
    from impasto.cli.bars import working
    from impasto.cli.stopping import INTERRUPTED, on_interrupt
    from impasto.video.film_session import open_film

    outputs.check_no_input(output, [job.content, *(style.source for style in job.styles)])
    with working(console) as bar, on_interrupt(bar.note) as stop:
        session = open_film(job, output, options=options, force=film.force, gpus=_gpus(film.devices))
        if film.preview is not None:
            _write_preview(session, film.preview, bar=bar)
        watch = _Watch(bar)

        def note(text: str) -> None:
            bar.note(with_flags(text))

        def shown(item: Painted, done: int, total: int) -> None:
            stop.worth_keeping = True
            watch.show(item, done, total)

        whole = session.record(restart=film.restart, on_frame=shown, on_note=note, stopping=lambda: stop.asked)
        _report(session, watch, whole=whole, bar=bar, as_json=console.json)
    return 0 if whole else INTERRUPTED


def _write_preview(session: FilmSession, count: int, *, bar: Bar) -> None:
    """Write the contact sheet of a film next to its output."""
    from impasto.analysis.sheet import Sample, film_sheet
    from impasto.image import files

    path, samples = session.recording.path, list[Sample]()
    for frame, painting in session.sampled(count):
        samples.append((float(frame.time_s), frame.pixels, painting))
        bar.show(len(samples), count, f"preview: frame {len(samples)} of {count}")
    sheet = path.with_name(f"{path.stem}-preview.png")
    files.write(sheet, film_sheet(samples))
    bar.note(f"{sheet} shows {len(samples)} frames")


@dataclass
class _Watch:
    """Counts frames and cuts, and draws the progress bar."""

    bar: Bar
    began: float = field(default_factory=time.monotonic)
    painted: int = 0
    done: int = 0
    cuts: int = 0

    def show(self, item: Painted, done: int, total: int) -> None:
        from impasto.cli.bars import as_time

        self.painted, self.done = self.painted + 1, done
        self.cuts += item.cut and done > 1
        rate = self.rate
        left = as_time((total - done) / rate) if rate else ""
        self.bar.show(done, total, f"frame {done} of {total}, {rate:.1f} frames/s, {left} left")

    @property
    def rate(self) -> float:
        """Frames per second since the start."""
        return self.painted / max(time.monotonic() - self.began, 1e-6)


def _report(session: FilmSession, watch: _Watch, *, whole: bool, bar: Bar, as_json: bool) -> None:
    made = session.recording
    height, width = made.output_hw
    if as_json:
        row: dict[str, Any] = {
            "output": str(made.path),
            "content": session.session.job.content if session.recipe is None else str(made.film.path),
            "method": session.session.job.paint.method,
            "frames": watch.done,
            "painted": watch.painted,
            "size": [width, height],
            "frames_per_second": round(watch.rate, 3),
            "cuts": watch.cuts,
            "stopped": not whole,
        }
        print(json.dumps(row), flush=True)
    else:
        print(made.path, flush=True)
    if whole:
        bar.note(f"{width}×{height} px, {watch.done} frames, {watch.rate:.1f} frames/s")
    else:
        bar.note(f"stopped after {watch.done} frames; {made.path} is the film so far.")
        bar.note("The same command continues it.")
