"""A film painted into a file: segments while it is painted, joined at the end or when it stops."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError, VideoUnreadable, VideoUnwritable
from impasto.core.paths import written_whole
from impasto.image.resize import SizeHW
from impasto.video.animated import TICKS, animated
from impasto.video.assembly import COPIED, Companions, assembled
from impasto.video.codecs import codec_for
from impasto.video.folder import Folder
from impasto.video.frames import Selection
from impasto.video.motion import Tracker
from impasto.video.painting import Before, Following, Paint, Painted, Several, painted_film, with_durations
from impasto.video.parts import Layout, Parts
from impasto.video.source import Film
from impasto.video.steady import Steadier

OnFrame = Callable[[Painted, int, int], None]
"""Called with each output frame, the number of finished frames and the approximate total."""


@dataclass(frozen=True)
class Recording:
    """The source and the output of a film, with its format.

    `path` is a file with an extension of `codecs.CONTAINERS`, or without extension a folder of frames. `copied` are the
    kinds of the source's streams that are copied; `comment` is the text in the container's metadata, or for GIF, WebP
    and folders in a file next to them.
    """

    film: Film
    path: Path
    size_hw: SizeHW
    selection: Selection = field(default_factory=Selection)
    codec: str | None = None
    crf: int | None = None
    copied: tuple[str, ...] = COPIED
    comment: str = ""

    @property
    def rate(self) -> Fraction:
        """Frames per second of the output, on average."""
        return self.selection.rate or self.film.rate / self.selection.every

    @property
    def frames(self) -> int:
        """The approximate number of frames."""
        return self.selection.count(self.film.frames, self.film.duration_s)

    @property
    def is_folder(self) -> bool:
        """Whether the output is a folder of frames."""
        return self.path.suffix == "" or self.path.is_dir()

    @property
    def output_hw(self) -> SizeHW:
        """`size_hw` as the codec can store it."""
        return self.size_hw if self.is_folder else codec_for(self.path, self.codec).size_for(self.size_hw)

    @property
    def parts_folder(self) -> Path:
        """The folder of the segments until the film is complete."""
        return self.path.with_name(f".{self.path.name}.parts")

    def check(self) -> None:
        """Raise before painting what writing would raise: `OptionError`, `VideoUnwritable` and others."""
        if self.is_folder:
            return
        codec_for(self.path, self.codec).options_with(self.crf)
        if self.path.is_dir():
            raise VideoUnwritable(f"{self.path} is a folder; name a file in it.")
        if (companions := self._companions()) is not None:
            companions.check(self.path)

    def record(
        self,
        paint: Paint | Several | Following,
        *,
        job: Mapping[str, Any],
        tracker: Tracker | None = None,
        steadier: Steadier | None = None,
        restart: bool = False,
        on_frame: OnFrame | None = None,
        on_note: Callable[[str], None] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Paint the film; returns whether it is complete.

        `job` is all that determines the frames: a stopped job that is equal continues, unless `restart`. When
        `stopping` becomes true, and after an error, the frames so far are joined into a playable file and the segments
        are kept. Raises what reading, painting and writing raise.
        """
        parts = self._parts(job)
        if restart:
            parts.discard()
        items = self._items(parts, paint, tracker=tracker, steadier=steadier, on_note=on_note)
        try:
            whole = self._add(parts, items, on_frame=on_frame, stopping=stopping)
        except BaseException as error:
            self._keep(parts, error)
            raise
        parts.finish()
        if parts.frames == 0:
            raise VideoUnreadable(f"{self.film.path} has no frames between `start` and `end`.")
        self._put_together(parts)
        if whole:
            parts.remove()
            shutil.rmtree(self.parts_folder, ignore_errors=True)  # of jobs with other options, too
        return whole

    def _items(
        self,
        parts: Parts | Folder,
        paint: Paint | Several | Following,
        *,
        tracker: Tracker | None,
        steadier: Steadier | None,
        on_note: Callable[[str], None] | None,
    ) -> Iterator[Painted]:
        """The frames that are still to be painted."""
        state = parts.open()
        if on_note is not None:
            self._tell_of_stopped_jobs(parts, on_note)
        return painted_film(
            self._stored(on_note, skipped=parts.frames),
            paint,
            size_hw=self.output_hw,
            tracker=tracker,
            steadier=steadier,
            before=Before.of(state) if state else None,
            first=parts.frames,
        )

    def _tell_of_stopped_jobs(self, parts: Parts | Folder, on_note: Callable[[str], None]) -> None:
        if parts.frames:
            on_note(f"{self.path} was stopped after {parts.frames} frames and is continued; `restart` paints it anew.")
        others = self.parts_folder.glob("*/parts.json") if isinstance(parts, Parts) else ()
        if any(record.parent != parts.folder for record in others):
            on_note(
                f"{self.path} was stopped with other options, too; those frames are kept until this film is complete."
            )

    def _add(
        self, parts: Parts | Folder, items: Iterator[Painted], *, on_frame: OnFrame | None, stopping: Callable[[], bool]
    ) -> bool:
        with closing(items):  # type: ignore[type-var]
            for item, duration_s in with_durations(items, 1 / self.rate):
                parts.add(item.frame, duration_s=duration_s, state=item.before.tensors())
                if on_frame is not None:
                    on_frame(item, parts.frames, max(self.frames, parts.frames))
                if stopping():
                    return False
        return True

    def _keep(self, parts: Parts | Folder, error: BaseException) -> None:
        """After `error`: the frames before it as a playable file, if possible."""
        try:
            if isinstance(error, VideoUnwritable):
                parts.abandon()
            parts.finish()
            if parts.frames:
                self._put_together(parts)
        except ImpastoError:
            parts.abandon()  # the disk is full: the finished pieces stay

    def _stored(self, on_note: Callable[[str], None] | None, *, skipped: int) -> Any:
        for index, frame in enumerate(self.selection.frames(self.film.stored(on_note=on_note))):
            if index >= skipped:
                yield frame

    def _parts(self, job: Mapping[str, Any]) -> Parts | Folder:
        decisive = {**job, "size": self.output_hw, "selection": repr(self.selection), "film": str(self.film.path)}
        stat = self.film.path.stat()
        decisive |= {"bytes": stat.st_size, "changed": stat.st_mtime_ns, "codec": self.codec, "crf": self.crf}
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()
        if self.is_folder:
            return Folder(self.path, digest)
        codec = codec_for(self.path, self.codec)
        base = 1 / self.selection.rate if self.selection.rate else self.film.time_base
        layout = Layout(codec, self.output_hw, self.rate, base, crf=self.crf, alpha=self.film.alpha)
        return Parts(self.parts_folder / digest[:16], layout)

    def _put_together(self, parts: Parts | Folder) -> None:
        if isinstance(parts, Parts) and self.path.suffix.lower() not in TICKS:
            assembled(parts.done, self.path, rate=self.rate, comment=self.comment, companions=self._companions())
            return
        if isinstance(parts, Parts):
            animated(parts.done, self.path, alpha=self.film.alpha)
        if self.comment:
            with written_whole(self.path.with_name(f"{self.path.name}.json")) as temporary:
                temporary.write_text(self.comment + "\n", encoding="utf-8")

    def _companions(self) -> Companions | None:
        if self.film.kind != "file" or self.path.suffix.lower() in TICKS or not self.copied:
            return None
        return Companions(
            self.film.path,
            begin_s=self.film.begin_s,
            start_s=Fraction(self.selection.start_s).limit_denominator(1_000_000),
            kinds=self.copied,
        )
