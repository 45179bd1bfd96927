"""A film written in segments, so that a stopped job resumes after the last one."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import safetensors.torch
import torch
from torch import Tensor

from impasto.core.errors import VideoUnwritable
from impasto.core.paths import written_whole
from impasto.image.resize import SizeHW
from impasto.video.codecs import Codec, quiet_encoder
from impasto.video.containers import writing
from impasto.video.frames import Frame
from impasto.video.planes import BT709, LIMITED, to_frame

PART_FRAMES = 250  # x264's default length of a group of pictures


@dataclass(frozen=True)
class Part:
    """A segment on disk: its file, the index of its first frame, and its start and end time in seconds."""

    path: Path
    first: int
    frames: int
    start_s: Fraction
    end_s: Fraction


@dataclass(frozen=True)
class Layout:
    """How segments are encoded. `time_base` is the unit of times, `rate` the number of frames per second."""

    codec: Codec
    size_hw: SizeHW
    rate: Fraction
    time_base: Fraction
    crf: int | None = None
    alpha: bool = False


@dataclass
class Parts:
    """The segments of an output, in a folder of its job next to it.

    `add` writes a frame; after `part_frames` frames a segment is closed and the tensors that the next frame needs
    (`state`) are saved. After an error or an interruption `finish` closes the current segment.
    """

    folder: Path
    layout: Layout
    part_frames: int = PART_FRAMES
    done: list[Part] = field(default_factory=list)
    _writer: _Writer | None = None

    @property
    def frames(self) -> int:
        """The number of frames, including those of the current segment."""
        return sum(part.frames for part in self.done) + (self._writer.frames if self._writer is not None else 0)

    def open(self) -> Mapping[str, Tensor]:
        """Find the existing segments; the state after their last frame, empty if there are none."""
        known = _read(self.folder / "parts.json")
        if known is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            with _write_errors(self.folder):
                self.folder.mkdir(parents=True)
            self._record()
            return {}
        self.done = [
            Part(self.folder / name, first, frames, Fraction(start), Fraction(end))
            for name, first, frames, start, end in known
        ]
        if not self.done:
            return {}
        return safetensors.torch.load_file(self._state_file())

    def add(self, frame: Frame, *, duration_s: Fraction, state: Mapping[str, Tensor]) -> None:
        """Encode a frame; `state` is what the next frame needs. Raises `VideoUnwritable`."""
        with _write_errors(self.folder):
            if self._writer is None:
                self._writer = _Writer(self.folder / f"{len(self.done):05d}.part", self.layout)
            self._writer.add(frame, duration_s=duration_s)
            self._writer.state = state
            if self._writer.frames >= self.part_frames:
                self.finish()

    def finish(self) -> None:
        """Close the current segment, so that it is playable."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with _write_errors(self.folder):
            writer.close()
            before = self._state_file()
            self.done.append(Part(writer.path, self.frames, writer.frames, writer.start_s, writer.end_s))
            with written_whole(self._state_file()) as temporary:
                safetensors.torch.save_file(
                    {k: v.clone(memory_format=torch.contiguous_format) for k, v in writer.state.items()}, temporary
                )
            self._record()
            before.unlink(missing_ok=True)

    def _state_file(self) -> Path:
        return self.folder / f"state-{len(self.done):05d}.safetensors"

    def abandon(self) -> None:
        """Delete the current segment, after an error of the encoder or the disk."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError, av.FFmpegError):
                writer.file.close()
            writer.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the segments of a stopped job."""
        self.remove()

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _record(self) -> None:
        parts = [[p.path.name, p.first, p.frames, str(p.start_s), str(p.end_s)] for p in self.done]
        with written_whole(self.folder / "parts.json") as temporary:
            temporary.write_text(json.dumps({"parts": parts}), encoding="utf-8")


def _read(record: Path) -> list[Any] | None:
    """The segments in a record; None if it is missing or damaged, or if a segment is missing."""
    try:
        known: list[Any] = json.loads(record.read_text(encoding="utf-8"))["parts"]
        complete = all((record.parent / part[0]).exists() for part in known)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if complete else None


class _Writer:
    """The segment that is being written."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout = path, layout
        self.frames, self.start_s, self.end_s = 0, Fraction(0), Fraction(0)
        self.state: Mapping[str, Tensor] = {}
        self.file = writing(path, layout.codec.part_format(alpha=layout.alpha))
        codec, (height, width) = layout.codec, layout.size_hw
        self._stream: Any = self.file.add_stream(
            codec.encoder, rate=layout.rate.limit_denominator(100_000), options=codec.options_with(layout.crf)
        )
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = codec.layout_for(alpha=layout.alpha)
        self._stream.time_base = self._stream.codec_context.time_base = layout.time_base
        self._stream.codec_context.thread_count = 2
        if not av.VideoFormat(self._stream.pix_fmt).is_rgb:
            context = self._stream.codec_context
            context.colorspace, context.color_range = BT709, LIMITED
            context.color_primaries = context.color_trc = BT709
        if codec.tag:
            self._stream.codec_context.codec_tag = codec.tag

    def add(self, frame: Frame, *, duration_s: Fraction) -> None:
        if self.frames == 0:
            self.start_s = frame.time_s
        made = to_frame(frame.pixels, frame.alpha, layout=self._stream.pix_fmt)
        made.time_base = self.layout.time_base
        made.pts = round((frame.time_s - self.start_s) / self.layout.time_base)
        made.duration = max(1, round(duration_s / self.layout.time_base))
        with quiet_encoder() if self.frames == 0 else contextlib.nullcontext():  # the first one opens the encoder
            packets = self._stream.encode(made)
        self.file.mux(packets)
        self.frames, self.end_s = self.frames + 1, frame.time_s + duration_s

    def close(self) -> None:
        packets = self._stream.encode(None)
        if self.frames < 3:  # x265 computes decoding times from its third frame on; two frames are never reordered
            for packet in packets:
                packet.dts = packet.pts
        self.file.mux(packets)
        self.file.close()


@contextlib.contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        raise VideoUnwritable(f"the film cannot be written to {folder.parent}: {error.strerror or error}.") from error
