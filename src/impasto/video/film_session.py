"""A job whose content is a film: opened once, then painted frame by frame."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config.job import Job, StyleSource
from impasto.config.pictures import SizeOptions
from impasto.config.video import VideoOptions
from impasto.core.errors import OptionError, StateError, VideoUnreadable
from impasto.core.memory import available_bytes
from impasto.core.options import from_dict
from impasto.encoders.table import Progress
from impasto.image.files import Picture
from impasto.image.pixels import over_white
from impasto.image.resize import SizeHW
from impasto.methods.one_pass import room_bytes
from impasto.session.device import on_gpu, painting_device, with_threads
from impasto.session.inputs import output_size
from impasto.session.job_cache import JobCache
from impasto.session.opened import Session, open_session
from impasto.session.plan import Plan
from impasto.session.recipe import Recipe, job_again, recipe_for
from impasto.video.codecs import CONTAINERS
from impasto.video.containers import reading
from impasto.video.frame_plan import frame_plan
from impasto.video.frames import Frame, Selection
from impasto.video.keyframes import Timeline
from impasto.video.look import Looks, MaskFilm, moving_masks
from impasto.video.motion import Tracker
from impasto.video.painting import Following, Paint, PaintFrom, Several, Start, sized
from impasto.video.recording import OnFrame, Recording
from impasto.video.source import FOLDER_RATE, Film, is_moving, opened
from impasto.video.steady import Steadier

VIDEO_KEY = "video"  # of the film's options in its recipe
FRAME_BYTES = 1000  # memory of painting, for each pixel


@dataclass(frozen=True, eq=False)
class FilmSession:
    """A film that is ready to be painted by `record`. `recipe` is None for a film from a folder.

    `masks` are the job's styles with their masks if one of these is a film; `session` then has none. With several
    `gpus`, `sessions` has one for each, and all of them paint frames at the same time; None is the job's device. On the
    processor several sessions, which are the same one, divide its threads: they do not wait for each other as the
    threads that paint one frame do.
    """

    session: Session
    recording: Recording
    options: VideoOptions
    recipe: Recipe | None
    masks: tuple[StyleSource, ...] = ()
    gpus: tuple[int | None, ...] = (None,)
    sessions: tuple[Session, ...] = ()

    def record(
        self,
        *,
        restart: bool = False,
        on_frame: OnFrame | None = None,
        on_note: Callable[[str], None] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Paint the film; returns whether it is complete. See `Recording.record`."""
        steady = self.options.steady
        with with_threads(self._threads()):
            return self.recording.record(
                self.painter(),
                job=self._decisive(),
                tracker=Tracker.named(self.options.flow) if steady else None,
                steadier=Steadier.of(steady, shares=self.options.share_statistics) if steady else None,
                restart=restart,
                on_frame=on_frame,
                on_note=on_note,
                stopping=stopping,
            )

    def _threads(self) -> int | None:
        """Torch's threads in each stage and each painter; None for all of them."""
        same = len(self.sessions) > 1 and set(self.gpus) == {None}
        return max(1, torch.get_num_threads() // len(self.sessions)) if same else None

    def alone(self) -> FilmSession:
        """This film with one painter, which paints one frame at a time."""
        return dataclasses.replace(self, gpus=self.gpus[:1], sessions=self.sessions[:1])

    def painter(self) -> Paint | Several | Following:
        """The painter of the frames, in chronological order; the styles are encoded here, once for each session."""
        paint_from = self._paint_from(self.session, gpu=self.gpus[0])
        if self.session.plan.method.gradual and self.options.steady:
            return Following(paint_from)
        others = [self._paint_from(*place) for place in zip(self.sessions[1:], self.gpus[1:], strict=True)]
        paints = [_by_itself(paint) for paint in (paint_from, *others)]
        return Several(tuple(paints)) if others else paints[0]

    def _paint_from(self, session: Session, gpu: int | None) -> PaintFrom:
        start_s = Fraction(self.options.start)
        looks = Looks(session, self.timeline, sources=self.masks, masks=self._moving_masks())

        def paint_from(frame: Frame, start: Start | None) -> Tensor:
            options = self.options
            with on_gpu(gpu):
                content, look = self._content(frame), looks.at(frame.time_s + start_s)
                if look is None:
                    return content
                if start is None:
                    return look.painted(content)
                steps, temporal_weight = options.next_steps, options.temporal_weight
                return look.painted_from(start, content, steps=steps, temporal_weight=temporal_weight)

        return paint_from

    @property
    def timeline(self) -> Timeline:
        """Strength and weights over time. Raises `OptionError` for key frames that do not fit the styles."""
        job = self.session.job
        return Timeline(self.options.keyframes, job.paint.strength, tuple(style.weight for style in job.styles))

    def _moving_masks(self) -> list[MaskFilm | Tensor | None]:
        made = self.recording
        return moving_masks(self.masks, made.output_hw, rate=made.film.rate, feather=self.session.job.paint.feather)

    def sampled(self, count: int) -> Iterator[tuple[Frame, Tensor]]:
        """`count` evenly spaced frames, each with its painting `(1, 3, h, w)`, which is not steadied."""
        made, paint = self.recording, self.alone().painter()
        assert not isinstance(paint, Several)
        first_s, last_s = made.selection.span_s(made.film.duration_s)
        times = [first_s + (last_s - first_s) * (index + 0.5) / count for index in range(count)]
        for index, stored in enumerate(made.film.shown_at(times)):
            frame = sized(stored, made.output_hw)
            seen = dataclasses.replace(frame, time_s=frame.time_s - Fraction(made.selection.start_s))
            yield frame, paint.paint(seen, None) if isinstance(paint, Following) else paint(seen, index)

    def _content(self, frame: Frame) -> Tensor:
        if frame.alpha is not None and self.session.job.paint.alpha == "drop":
            return over_white(frame.pixels, frame.alpha)
        return frame.pixels

    def _decisive(self) -> Mapping[str, Any]:
        return {
            "job": self.session.job.to_dict(),
            "weights": dict(self.session.loaded.weights),
            "steady": self.options.steady,
            "flow": self.options.flow,
            "share_statistics": self.options.share_statistics,
            "next_steps": self.options.next_steps,
            "temporal_weight": self.options.temporal_weight,
            "keyframes": [keyframe.to_dict() for keyframe in self.options.keyframes],
            "masks": [source.to_dict() for source in self.masks],
        }


def _by_itself(paint: PaintFrom) -> Paint:
    """The painter of frames without a start."""
    return lambda frame, index: paint(frame, None)


def open_film(
    job: Job,
    output: str | Path,
    *,
    options: VideoOptions | None = None,
    force: bool = False,
    gpus: Sequence[int | None] = (None,),
    progress: Progress | None = None,
) -> FilmSession:
    """Open the film that `job.content` names, a file or a folder of frames, with its styles and weights.

    `output` is a file with an extension of `codecs.CONTAINERS`, or a folder of frames. `force`: paint frames even if
    they are not estimated to fit into memory. `gpus`: the numbers of the GPUs that paint frames at the same time; None
    is the device of the job. Raises `VideoError`, `OptionError` and what `open_session` raises, before anything is
    painted.
    """
    options, output = options or VideoOptions(), Path(output)
    recording = _recording(job, output, options=options)
    film, (height, width) = recording.film, recording.output_hw
    first = Picture(_first_frame(film, recording.selection).pixels)
    plan = frame_plan(dataclasses.replace(job, size=SizeOptions(exact=(width, height))), content=first)
    masks = plan.job.styles if any(is_moving(s.mask_file) for s in job.styles if s.mask_file is not None) else ()
    _check_devices(plan, options, gpus=gpus)
    seen = plan.unmasked if masks else plan
    open_with = partial(open_session, seen, output=output, force=force, progress=progress)
    sessions = _sessions(open_with, gpus)
    if len(sessions) == 1:
        sessions *= _painters(sessions[0], options, size_hw=(height, width))
        gpus = [*gpus] * len(sessions)
    named = dataclasses.replace(plan, content=None, job=dataclasses.replace(plan.job, size=job.size))
    folders = film.kind == "folder" or any(s.mask_file is not None and s.mask_file.is_dir() for s in masks)
    recipe = None if folders else recipe_for(named, sessions[0].loaded, folder=output.parent)
    comment = "" if recipe is None else json.dumps({**recipe.to_dict(), VIDEO_KEY: options.to_dict()})
    film = dataclasses.replace(film, alpha=film.alpha and job.paint.alpha == "keep")
    recording = dataclasses.replace(recording, comment=comment, film=film)
    opened_film = FilmSession(sessions[0], recording, options, recipe, masks, tuple(gpus), tuple(sessions))
    opened_film.painter()  # raises what key frames and masks would raise at the first frame
    return opened_film


def _sessions(open_with: Callable[..., Session], gpus: Sequence[int | None]) -> list[Session]:
    """A session on each device."""
    sessions = []
    for gpu in gpus:
        with on_gpu(gpu):
            sessions.append(open_with(cache=JobCache(codes=True)))
    return sessions


def _painters(session: Session, options: VideoOptions, *, size_hw: SizeHW) -> int:
    """How many frames are painted at the same time: one for each thread of the processor, as far as memory allows."""
    gradual, shares = session.plan.method.gradual, options.share_statistics and options.steady
    if gradual or shares or painting_device(session.job.paint.device).type != "cpu":
        return 1
    each, free = min(room_bytes(session.job), FRAME_BYTES * math.prod(size_hw)), available_bytes()
    return min(torch.get_num_threads(), max(1, torch.get_num_threads() if free is None else free // max(1, each)))


def _check_edges(job: Job) -> None:
    if job.size.tileable != "no":
        raise OptionError(
            f"`tileable={job.size.tileable}` is for pictures: the motion in a film is not followed across its edges. "
            "Leave `tileable` out."
        )


def _check_devices(plan: Plan, options: VideoOptions, *, gpus: Sequence[int | None]) -> None:
    if len(gpus) > 1 and options.share_statistics and options.steady:
        raise OptionError(
            "`devices` paints frames at the same time, and with `share_statistics` each needs the statistics of the "
            "previous one. Use one device, or leave `share_statistics` out."
        )
    if len(gpus) > 1 and plan.method.gradual and options.steady:
        raise OptionError(
            f"`devices` paints frames at the same time, and with `method={plan.method.name}` each begins with the one "
            "before. Use one device, or `steady=0`."
        )


def _recording(job: Job, output: Path, *, options: VideoOptions) -> Recording:
    """Source, output and format, checked."""
    _check_edges(job)
    if not output.suffix and not output.is_dir() and output.exists():
        raise OptionError(f"{output} is a file without an extension; name one with an extension such as .mp4.")
    rate = None if options.fps is None else Fraction(options.fps).limit_denominator(100_000)
    film = opened(job.content, folder_rate=rate or FOLDER_RATE)
    recording = Recording(
        film,
        output,
        output_size(film.size_hw, job.size),
        selection=_selection(options, None if film.kind == "folder" else rate),
        codec=options.codec,
        crf=options.crf,
        copied=tuple(kind for kind in ("audio", "subtitle") if getattr(options, kind)),
    )
    if not recording.is_folder:
        recording.check()
    return recording


def _selection(options: VideoOptions, rate: Fraction | None) -> Selection:
    return Selection(start_s=options.start, end_s=options.end, every=options.every, rate=rate)


def _first_frame(film: Film, selection: Selection) -> Frame:
    for stored in selection.frames(film.stored()):
        return stored.open()
    raise VideoUnreadable(f"{film.path} has no frames between `start` and `end`.")


def film_again(path: str | Path) -> tuple[Job, VideoOptions]:
    """The job and options in the metadata of a film, or in the JSON file next to it.

    Raises `StateError` if there is no recipe, or an input has changed.
    """
    path = Path(path)
    recipe = Recipe.from_json(_recipe_text(path), str(path))
    return job_again(recipe, folder=path.parent), film_options(path)


def film_options(path: str | Path) -> VideoOptions:
    """The film's own options in its recipe. Raises `StateError` if there is none."""
    path = Path(path)
    try:
        options = json.loads(_recipe_text(path))[VIDEO_KEY]
        return from_dict(VideoOptions, options, where="recipe")
    except (KeyError, TypeError, ValueError, OptionError) as error:
        raise StateError(f"the recipe in {path} is not a film's; it may be from a newer version of impasto.") from error


def _recipe_text(path: Path) -> str:
    text = _comment(path) if path.is_file() and path.suffix.lower() in CONTAINERS else ""
    beside = path.with_name(f"{path.name}.json")
    if not text and beside.is_file():
        text = beside.read_text(encoding="utf-8")
    if not text:
        raise StateError(f"{path} carries no recipe: it was not made by impasto, or its metadata was removed.")
    return text


def _comment(path: Path) -> str:
    if path.suffix.lower() == ".webp":
        return ""  # FFmpeg cannot read it; its recipe is in a file next to it
    with reading(path) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    text: str = tags.get("comment", "")
    return text
