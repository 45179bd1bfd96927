from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from clips import Levels, film, packets, panned, plain, seen, tensor

from impasto.core.errors import ImpastoError, OptionError, UnknownName, VideoUnwritable
from impasto.video.assembly import Companions, assembled
from impasto.video.codecs import CODECS, codec_for
from impasto.video.frames import Frame
from impasto.video.parts import Layout, Parts

RATE = Fraction(25)


def parts_in(folder: Path, codec: str = "h264", *, alpha: bool = False, **options: Any) -> Parts:
    made = CODECS[codec]
    size_hw = options.pop("size_hw", (48, 64))
    base = options.pop("time_base", Fraction(1, 90_000))
    layout = Layout(made, size_hw, RATE, base, alpha=alpha, crf=options.pop("crf", None))
    return Parts(folder, layout, **options)


def write(parts: Parts, frames: Sequence[Levels], times: Sequence[Fraction] | None = None, *, first: int = 0) -> None:
    times = times or [i / RATE for i in range(first, first + len(frames))]
    ends = [*times[1:], times[-1] + 1 / RATE]
    for levels, start, end in zip(frames, times, ends, strict=True):
        planes = tensor(levels)
        frame = Frame(planes[:, :3], start, planes[:, 3:] if planes.shape[1] == 4 else None)
        parts.add(frame, duration_s=end - start, state={"output": frame.pixels})


def whole(path: Path, frames: Sequence[Levels], codec: str = "h264", **options: Any) -> Path:
    parts = parts_in(path.with_name(f"{path.stem}-parts"), codec, **options)
    parts.open()
    write(parts, frames)
    parts.finish()
    assembled(parts.done, path, rate=RATE)
    return path


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("h264", ".mp4"), ("h265", ".mp4"), ("vp9", ".webm"), ("av1", ".mp4"), ("prores", ".mov"), ("ffv1", ".mkv")],
)
def test_a_known_colour_comes_back_from_every_codec(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frames, times = seen(whole(path, plain((200, 30, 90), 6, size_hw=(64, 64)), codec, size_hw=(64, 64)))
    assert len(frames) == 6
    assert max(abs(t - i / RATE) for i, t in enumerate(times)) < Fraction(1, 1000)
    assert np.abs(decoded_colour(path).astype(int) - (200, 30, 90)).max() <= 3  # by the tags, as players do


@pytest.mark.parametrize("count", [1, 2])
def test_a_segment_may_have_fewer_frames_than_the_encoder_looks_ahead(tmp_path: Path, count: int) -> None:
    for i, codec in enumerate(["h265", "h264", "vp9", "av1"] * 2):
        path = tmp_path / f"{i}.mp4"
        frames, times = seen(whole(path, plain((200, 30, 90), count, size_hw=(64, 64)), codec, size_hw=(64, 64)))
        assert len(frames) == count, codec
        assert max(abs(t - i / RATE) for i, t in enumerate(times)) < Fraction(1, 1000), codec


@pytest.mark.skipif(sys.platform != "linux", reason="scheduling policies of Linux")
def test_no_encoder_leaves_real_time_threads_behind(tmp_path: Path) -> None:
    """As root, SVT-AV1 starts real-time threads, which starve every other process."""
    for codec in ("h265", "h264", "vp9", "av1"):
        parts = parts_in(tmp_path / codec, codec, size_hw=(64, 64))
        parts.open()
        write(parts, plain((0, 0, 0), 1, size_hw=(64, 64)))
        policies = {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}
        parts.finish()
        assert policies == {os.SCHED_OTHER}, codec


def decoded_colour(path: Path) -> Levels:
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        if frame.format.is_rgb:
            return frame.to_ndarray(format="rgb24")[32, 32]
        assert int(frame.colorspace) == 1
        assert int(frame.color_range) == 1
        return frame.reformat(format="rgb24", src_colorspace=1, src_color_range=1).to_ndarray()[32, 32]


def test_pieces_join_without_a_seam(tmp_path: Path) -> None:
    """Frames and times of a film in 4 pieces equal those of a film in one, though h264 reorders its frames."""
    frames = panned(35, size_hw=(48, 64))
    times = [Fraction(t, 1000) for t in np.cumsum([0, *([40, 33, 50, 90, 20] * 7)])[:35].tolist()]
    found = {}
    for name, length in (("one", 100), ("four", 10)):
        parts = parts_in(tmp_path / name, part_frames=length, crf=4)
        parts.open()
        write(parts, frames, times)
        parts.finish()
        assembled(parts.done, tmp_path / f"{name}.mp4", rate=RATE)
        found[name] = seen(tmp_path / f"{name}.mp4")
    assert len(parts.done) == 4
    assert found["four"][1] == found["one"][1]
    assert max(abs(a - b) for a, b in zip(found["one"][1], times, strict=True)) <= Fraction(1, 90_000)
    assert len(found["four"][0]) == 35
    for a, b in zip(found["four"][0], frames, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 6


def test_a_job_goes_on_after_its_last_piece(tmp_path: Path) -> None:
    frames = panned(25, size_hw=(48, 64))
    stopped = parts_in(tmp_path / "p", part_frames=10)
    assert stopped.open() == {}
    write(stopped, frames[:17])
    stopped.finish()
    again = parts_in(tmp_path / "p", part_frames=10)
    state = again.open()
    assert again.frames == 17
    assert torch.equal(state["output"], tensor(frames[16]))
    write(again, frames[17:], first=17)
    again.finish()
    assembled(again.done, tmp_path / "a.mp4", rate=RATE)
    found, times = seen(tmp_path / "a.mp4")
    assert times == [i / RATE for i in range(25)]
    for a, b in zip(found, frames, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 8


def test_a_killed_job_loses_no_finished_piece(tmp_path: Path) -> None:
    frames = panned(25, size_hw=(48, 64))
    killed = parts_in(tmp_path / "p", part_frames=10)
    killed.open()
    write(killed, frames[:17])  # and nothing is closed
    again = parts_in(tmp_path / "p", part_frames=10)
    assert torch.equal(again.open()["output"], tensor(frames[9]))
    assert again.frames == 10


def test_a_piece_that_is_gone_begins_anew(tmp_path: Path) -> None:
    one = parts_in(tmp_path / "p", part_frames=5)
    one.open()
    write(one, plain((1, 2, 3), 5))
    one.done[0].path.unlink()
    assert parts_in(tmp_path / "p").open() == {}


@pytest.mark.parametrize(("codec", "suffix"), [("prores", ".mov"), ("ffv1", ".mkv"), ("vp9", ".webm")])
def test_alpha_is_kept_where_the_container_has_it(tmp_path: Path, codec: str, suffix: str) -> None:
    levels = np.full((64, 64, 4), (200, 30, 90, 255), np.uint8)
    levels[:32, :, 3] = 0
    whole(tmp_path / f"a{suffix}", [levels] * 3, codec, alpha=True, size_hw=(64, 64))
    with av.open(str(tmp_path / f"a{suffix}")) as file:
        if codec == "vp9":  # FFmpeg's own decoder leaves alpha out
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            frame = next(f for packet in file.demux(video=0) for f in decoder.decode(packet))
        else:
            frame = next(file.decode(video=0))
        alpha = frame.to_ndarray(format="rgba")[..., 3]
    assert alpha[:28].max() <= 3
    assert alpha[36:].min() >= 252


# What is copied


def test_sound_and_chapters_are_copied_as_they_are(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", plain((9, 9, 9), 50), sound_s=2.0, chapters=[(0, 1, "one"), (1, 2, "two")])
    parts = parts_in(tmp_path / "p")
    parts.open()
    write(parts, plain((200, 30, 90), 50))
    parts.finish()
    assembled(parts.done, tmp_path / "out.mp4", rate=RATE, comment="made by hand", companions=Companions(source))
    before, after = packets(source, "audio"), packets(tmp_path / "out.mp4", "audio")
    assert [p[0] for p in after] == [p[0] for p in before]
    assert max(abs(a[1] - b[1]) for a, b in zip(after, before, strict=True)) < Fraction(1, 1000)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.metadata["comment"] == "made by hand"
        titles = {chapter["metadata"]["title"]: chapter["start"] * chapter["time_base"] for chapter in file.chapters()}
    assert titles == {"one": 0, "two": 1}


def test_sound_of_a_part_begins_with_it(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", plain((9, 9, 9), 50), sound_s=2.0)
    parts = parts_in(tmp_path / "p")
    parts.open()
    write(parts, plain((200, 30, 90), 10))  # 0.4 s
    parts.finish()
    assembled(parts.done, tmp_path / "out.mp4", rate=RATE, companions=Companions(source, start_s=Fraction(1)))
    before = [p for p in packets(source, "audio") if 1 <= p[1] < Fraction(14, 10)]
    after = packets(tmp_path / "out.mp4", "audio")
    assert [p[0] for p in after] == [p[0] for p in before]
    assert max(abs(a[1] - b[1] + 1) for a, b in zip(after, before, strict=True)) < Fraction(2, 1000)


def test_a_stream_that_does_not_fit_is_told_before_painting(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", plain((9, 9, 9), 5), sound_s=0.2)
    with pytest.raises(VideoUnwritable, match=r"audio is aac, which \.webm cannot hold.*`audio=False`"):
        Companions(source).check(tmp_path / "out.webm")
    Companions(source).check(tmp_path / "out.mkv")
    Companions(source, kinds=("subtitle",)).check(tmp_path / "out.webm")


# What cannot be written


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: codec_for(Path("a.avi")), UnknownName, "ending of a film"),
        (lambda: codec_for(Path("a.mp4"), "h246"), UnknownName, "Did you mean 'h26"),
        (lambda: codec_for(Path("a.mp4"), "prores"), OptionError, r"\.mp4 cannot hold prores; \.mov, \.mkv can"),
        (lambda: CODECS["h264"].options_with(60), OptionError, "takes 0 .best. to 51"),
        (lambda: CODECS["prores"].options_with(20), OptionError, "prores has no `crf`"),
    ],
)
def test_wrong_choices_are_told(call: Any, kind: type[ImpastoError], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_the_rate_factor_matters(tmp_path: Path) -> None:
    sizes = [whole(tmp_path / f"{crf}.mp4", panned(10, size_hw=(48, 64)), crf=crf).stat().st_size for crf in (10, 40)]
    assert sizes[0] > 2 * sizes[1]


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VideoUnwritable, match="the film cannot be written to"):
        parts_in(tmp_path / "file" / "p").open()
    parts = parts_in(tmp_path / "p")
    parts.open()
    write(parts, plain((1, 2, 3), 5))
    parts.finish()
    with pytest.raises(VideoUnwritable, match="cannot be written"):
        assembled(parts.done, tmp_path / "file" / "a.mp4", rate=RATE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    parts = parts_in(tmp_path / "p", crf=0)
    parts.open()
    (tmp_path / "p" / "00000.part").symlink_to("/dev/full")
    noise = [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(90)]
    with pytest.raises(VideoUnwritable, match="No space left"):
        write(parts, noise)
    parts.abandon()
    assert parts.frames == 0


def test_subtitles_are_copied(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(
        "1\n00:00:00,200 --> 00:00:00,600\nHello\n\n2\n00:00:00,800 --> 00:00:01,200\nagain\n"
    )
    bare = film(tmp_path / "bare.mkv", plain((9, 9, 9), 50))
    source = tmp_path / "in.mkv"
    with av.open(str(bare)) as one, av.open(str(tmp_path / "a.srt")) as two, av.open(str(source), "w") as file:
        targets = [file.add_stream_from_template(read.streams[0], opaque=True) for read in (one, two)]
        for read, target in zip((one, two), targets, strict=True):
            for packet in read.demux(read.streams[0]):
                if packet.pts is not None:
                    packet.stream = target
                    file.mux(packet)
    parts = parts_in(tmp_path / "p")
    parts.open()
    write(parts, plain((200, 30, 90), 50))
    parts.finish()
    assembled(parts.done, tmp_path / "out.mkv", rate=RATE, companions=Companions(source))
    assert packets(tmp_path / "out.mkv", "subtitle") == packets(source, "subtitle")
    assert [text for text, _ in packets(source, "subtitle")] == [b"Hello", b"again"]
    with pytest.raises(VideoUnwritable, match=r"subtitle is subrip, which \.mp4 cannot hold"):
        Companions(source).check(tmp_path / "out.mp4")
