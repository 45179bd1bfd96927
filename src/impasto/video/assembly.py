"""Joins finished segments and the source's other streams into the output."""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from impasto.core.errors import VideoUnwritable
from impasto.core.paths import written_whole
from impasto.video.codecs import container_for
from impasto.video.containers import reading, writing
from impasto.video.parts import Part

COPIED = ("audio", "subtitle")
Timed = tuple[Fraction, Any]  # a packet and when it is decoded, in seconds


@dataclass(frozen=True)
class Companions:
    """What is copied from the source file: streams of these `kinds` from `start_s`, chapters, `metadata`.

    `begin_s` is the time of the first video frame by the source's own clock; it is 0 in the output.
    """

    path: Path
    begin_s: Fraction = Fraction(0)
    start_s: Fraction = Fraction(0)
    kinds: Sequence[str] = COPIED
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def shift_s(self) -> Fraction:
        """The time that is subtracted from all times of the source."""
        return self.begin_s + self.start_s

    def check(self, output: Path) -> None:
        """Raise `VideoUnwritable` if the container of `output` cannot hold one of the streams."""
        with reading(self.path) as source:
            held = _held_by(container_for(output).format)
            for stream in self.streams(source):
                if (name := stream.codec_context.codec.canonical_name) not in held:
                    raise VideoUnwritable(
                        f"the source's {stream.type} is {name}, which {output.suffix} cannot hold. Write an .mkv file, "
                        f"or leave it out with `{stream.type}=False`."
                    )

    def streams(self, source: Any) -> list[Any]:
        """The streams of the open `source` that are copied."""
        return [stream for stream in source.streams if stream.type in self.kinds and stream.codec_context is not None]


def _held_by(container: str) -> set[str]:
    """The codecs that FFmpeg writes into a container."""
    with av.open(io.BytesIO(), "w", format=container) as file:
        codecs: set[str] = set(file.supported_codecs)
        return codecs


def assembled(
    parts: Sequence[Part], path: Path, *, rate: Fraction, comment: str = "", companions: Companions | None = None
) -> None:
    """Write the film of `parts` to `path`, which appears when it is complete; nothing is re-encoded.

    `rate` is the average number of frames per second; `companions` are copied as well; `comment` goes into the
    container's metadata. Raises `VideoUnwritable`.
    """
    container = container_for(path).format
    options = {"movflags": "faststart"} if container in ("mp4", "mov") else {}
    try:
        with written_whole(path) as temporary, ExitStack() as stack:
            output = stack.enter_context(writing(temporary, container, options))
            first = stack.enter_context(reading(parts[0].path))
            video = output.add_stream_from_template(first.streams.video[0], opaque=True)
            video.time_base = first.streams.video[0].time_base
            video.codec_context.framerate = rate
            streams = [_video_packets(parts, video)]
            if companions is not None:
                source = stack.enter_context(reading(companions.path))
                _describe(output, source, companions, parts[-1].end_s)
                streams += _copied(output, source, companions, parts[-1].end_s)
            if comment:
                output.metadata["comment"] = comment
            for _, packet in heapq.merge(*streams, key=lambda timed: timed[0]):
                output.mux_one(packet)
    except (OSError, av.FFmpegError) as error:
        raise VideoUnwritable(f"{path} cannot be written: {error.strerror or error}.") from error


def _video_packets(parts: Sequence[Part], video: Any) -> Iterator[Timed]:
    """The segments' packets in order, shifted to their start times; decoding times increase strictly."""
    last = None
    for part in parts:
        with reading(part.path) as piece:
            stream = piece.streams.video[0]
            base = stream.time_base
            begin = round(part.start_s / base)
            for packet in piece.demux(stream):
                if packet.pts is None:
                    continue  # the demuxer's empty last packet
                packet.pts += begin
                at = packet.pts if packet.dts is None else packet.dts + begin
                packet.dts = last = at if last is None else max(at, last + 1)
                packet.stream = video
                yield packet.dts * base, packet


def _copied(output: Any, source: Any, companions: Companions, end_s: Fraction) -> list[Iterator[Timed]]:
    """An iterator for each copied stream; each reads the file by itself, so that none waits for another."""
    packets = []
    for stream in companions.streams(source):
        target = output.add_stream_from_template(stream, opaque=True)
        target.metadata.update(stream.metadata)
        target.disposition = stream.disposition
        packets.append(_stream_packets(companions, stream.index, target, end_s))
    return packets


def _stream_packets(companions: Companions, index: int, target: Any, end_s: Fraction) -> Iterator[Timed]:
    with reading(companions.path) as source:
        stream = source.streams[index]
        base = stream.time_base
        shift = round(companions.shift_s / base)
        for packet in source.demux(stream):
            if packet.pts is None or packet.dts is None:
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.pts * base >= end_s:
                return
            if companions.start_s and packet.pts < 0:
                continue
            packet.stream = target
            yield packet.dts * base, packet


def _describe(output: Any, source: Any, companions: Companions, end_s: Fraction) -> None:
    """Copy title, artist and date, and the chapters that start before the end."""
    output.metadata.update({key: value for key, value in source.metadata.items() if key in ("title", "artist", "date")})
    output.metadata.update(companions.metadata)
    chapters = []
    for chapter in source.chapters():
        base = Fraction(chapter["time_base"])
        start_s = max(Fraction(0), chapter["start"] * base - companions.shift_s)
        stop_s = min(end_s, chapter["end"] * base - companions.shift_s)
        if stop_s > start_s:
            times = {"start": round(start_s / base), "end": round(stop_s / base)}
            chapters.append({**chapter, **times})
    if chapters:
        output.set_chapters(chapters)
