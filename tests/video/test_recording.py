from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from clips import film, packets, panned, plain, seen
from PIL import Image
from torch import Tensor

from impasto.core.errors import ImpastoError, OptionError, UnknownName, VideoUnreadable, VideoUnwritable
from impasto.video.frames import Frame, Selection
from impasto.video.motion import Tracker
from impasto.video.parts import Parts
from impasto.video.recording import Recording
from impasto.video.source import opened
from impasto.video.steady import Steadier

RATE = Fraction(25)


def swapped(frame: Frame, index: int) -> Tensor:
    """A painter that can be checked: red and blue change places."""
    return frame.pixels.flip(1)


def textured(frame: Frame, index: int) -> Tensor:
    noise = torch.rand(1, 3, *frame.size_hw, generator=torch.Generator().manual_seed(index))
    return (frame.pixels + 0.3 * (noise - 0.5)).clamp(0, 1)


def recording(source: Path, output: Path, **options: Any) -> Recording:
    found = opened(source)
    return Recording(found, output, options.pop("size_hw", found.size_hw), **options)


def colour(path: Path) -> np.ndarray[Any, Any]:
    """The levels of the plain area of the first frame; chroma bleeds a little from the marks."""
    pixels = next(iter(opened(path).stored())).open().pixels
    return (255 * pixels[0, :, 8:-8, 8:-8]).round().flatten(1).median(1).values.numpy()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov", ".gif", ".webp", ""])
def test_a_film_is_painted_into_every_container(tmp_path: Path, suffix: str) -> None:
    frames = plain((200, 30, 90), 10)
    for index, levels in enumerate(frames):  # equal frames would become one in a WebP
        levels[:6, 6 * index : 6 * index + 6] = 0
    source = film(tmp_path / "in.mp4", frames)
    made = recording(source, tmp_path / f"out{suffix}", comment="recipe", copied=())
    assert made.record(swapped, job={})
    found = opened(made.path, folder_rate=RATE)
    assert np.abs(colour(made.path) - (90, 30, 200)).max() <= 3
    times = [item.time_s for item in found.stored()]
    assert len(times) == 10
    assert max(abs(t - i / RATE) for i, t in enumerate(times)) <= Fraction(1, 1000)
    beside = {path.name for path in tmp_path.iterdir()} - {"in.mp4", made.path.name}
    assert beside == ({f"{made.path.name}.json"} if suffix in (".gif", ".webp", "") else set())
    if not beside:
        with av.open(str(made.path)) as file:
            tags = {key.lower(): value for key, value in file.metadata.items()}
        assert tags["comment"] == "recipe"


@pytest.mark.parametrize("suffix", [".gif", ".webp", ""])
def test_alpha_goes_through(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "in.webp"
    frames = []
    for i in range(3):
        levels = np.full((24, 32, 4), (60 * i, 200, 30, 255), np.uint8)
        levels[:8, :, 3] = 0
        frames.append(Image.fromarray(levels))
    frames[0].save(source, save_all=True, append_images=frames[1:], duration=[100, 300, 50], lossless=True)
    made = recording(source, tmp_path / f"out{suffix}")
    assert made.record(swapped, job={})
    read = [item.open() for item in opened(made.path).stored()]
    assert len(read) == 3
    for frame in read:
        assert frame.alpha is not None
        assert frame.alpha[0, 0, 3, 4] < 0.1
        assert frame.alpha[0, 0, 20, 4] == 1
    if suffix:
        assert [f.time_s for f in read] == [Fraction(0), Fraction(1, 10), Fraction(4, 10)]


def test_sound_comes_along_and_variable_times_stay(tmp_path: Path) -> None:
    times = [Fraction(t, 1000) for t in (0, 40, 100, 500, 520, 900)]
    source = film(tmp_path / "in.mp4", plain((200, 30, 90), 6), times=times, sound_s=1.0)
    made = recording(source, tmp_path / "out.mp4")
    made.record(swapped, job={})
    assert max(abs(a - b) for a, b in zip(seen(made.path)[1], times, strict=True)) < Fraction(1, 1000)
    before = packets(source, "audio")
    assert [p[0] for p in packets(made.path, "audio")] == [p[0] for p in before if p[1] < seen_end(made.path)]


def seen_end(path: Path) -> Fraction:
    return seen(path)[1][-1] + 1 / opened(path).rate


def test_a_part_at_another_rate_and_size(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", panned(50, size_hw=(48, 64)))
    selection = Selection(start_s=0.4, end_s=1.4, rate=Fraction(10))
    made = recording(source, tmp_path / "out.mp4", selection=selection, size_hw=(25, 33))
    made.record(swapped, job={})
    frames, times = seen(made.path)
    assert times == [Fraction(i, 10) for i in range(10)]
    assert frames[0].shape == (24, 32, 3)  # even sides
    assert made.frames == 10


def test_a_stopped_film_can_be_played_and_resumed(tmp_path: Path) -> None:
    """What is resumed equals, but for the codec's own losses, what was painted at one go."""
    source = film(tmp_path / "in.mp4", panned(24, size_hw=(64, 96)), sound_s=0.96)
    options: dict[str, Any] = {"job": {"style": "a"}, "tracker": Tracker.named(), "steadier": Steadier()}
    whole = recording(source, tmp_path / "whole.mp4", crf=1)
    assert whole.record(textured, **options)
    made, painted = recording(source, tmp_path / "out.mp4", crf=1), []

    def counted(frame: Frame, index: int) -> Tensor:
        painted.append(index)
        return textured(frame, index)

    done: list[int] = []
    stops: dict[str, Any] = {"on_frame": lambda item, n, total: done.append(n), "stopping": lambda: len(done) == 10}
    assert not made.record(counted, **stops, **options)
    assert len(seen(made.path)[0]) == 10
    assert packets(made.path, "audio")[-1][1] < Fraction(10, 25)
    assert made.parts_folder.is_dir()
    painted.clear()
    assert made.record(counted, **options)
    assert painted == list(range(10, 24))
    assert not made.parts_folder.exists()
    (a, times), (b, expected) = seen(made.path), seen(whole.path)
    assert times == expected
    for one, other in zip(a, b, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 2
    assert [p[0] for p in packets(made.path, "audio")] == [p[0] for p in packets(whole.path, "audio")]


def test_another_job_begins_anew_and_loses_nothing_of_a_stopped_one(tmp_path: Path) -> None:
    """Stopped, stopped with other options, continued with the first ones, and then nothing is left over."""
    source = film(tmp_path / "in.mp4", plain((200, 30, 90), 10))
    made = recording(source, tmp_path / "out.mp4")
    done: list[int] = []
    notes: list[str] = []
    for job, last in (("a", 3), ("b", 5), ("a", 10)):
        options: dict[str, Any] = {"job": {"style": job}, "on_note": notes.append}
        on_frame, stopping = (lambda item, n, total: done.append(n)), (lambda last=last: done[-1] == last)
        made.record(swapped, on_frame=on_frame, stopping=stopping, **options)
    assert done == [1, 2, 3, *range(1, 6), *range(4, 11)]
    assert [note.split(" was stopped ")[1][:12] for note in notes] == ["with other o", "after 3 fram", "with other o"]
    assert made.parts_folder.is_dir()  # it was stopped after its last frame
    made.record(swapped, job={"style": "a"})
    assert not made.parts_folder.exists()


@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_a_restarted_job_begins_anew(tmp_path: Path, name: str) -> None:
    source = film(tmp_path / "in.mp4", plain((200, 30, 90), 6))
    made = recording(source, tmp_path / name)
    done: list[int] = []
    made.record(swapped, job={}, stopping=lambda: True)
    made.record(swapped, job={}, restart=True, on_frame=lambda item, n, total: done.append(n))
    assert done == list(range(1, 7))


def test_a_stopped_folder_continues(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", plain((200, 30, 90), 10))
    made = recording(source, tmp_path / "out")
    done: list[int] = []
    made.record(swapped, job={}, on_frame=lambda item, n, total: done.append(n), stopping=lambda: len(done) == 4)
    with pytest.raises(VideoUnwritable, match="has 4 frames of a job that was stopped, with other options"):
        made.record(swapped, job={"style": "b"})
    made.record(swapped, job={}, on_frame=lambda item, n, total: done.append(n))
    assert done == list(range(1, 11))
    assert sorted(path.name for path in made.path.iterdir()) == [f"{i:06d}.png" for i in range(1, 11)]


# What goes wrong


def test_what_was_painted_before_an_error_can_be_played(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", plain((200, 30, 90), 20), sound_s=0.8)

    def fails(frame: Frame, index: int) -> Tensor:
        if index == 12:
            raise OptionError("no more paint")
        return frame.pixels

    made = recording(source, tmp_path / "out.mp4")
    with pytest.raises(OptionError, match="no more paint"):
        made.record(fails, job={})
    assert len(seen(made.path)[0]) == 11  # the frame before the error waits for its duration


def test_a_source_cut_in_the_middle_is_painted_up_to_there(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mkv", panned(100, size_hw=(48, 64)), options={"g": "10"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    made = recording(cut, tmp_path / "out.mp4")
    with pytest.raises(VideoUnreadable, match=r"truncated or damaged|cannot be read"):
        made.record(swapped, job={})
    assert 5 < len(seen(made.path)[0]) < 95


def test_a_full_disk_keeps_the_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = film(tmp_path / "in.mp4", plain((200, 30, 90), 20))
    add = Parts.add

    def full(self: Parts, frame: Frame, **options: Any) -> None:
        if frame.time_s >= Fraction(14, 25):
            raise VideoUnwritable("no space left")
        self.part_frames = 5
        add(self, frame, **options)

    monkeypatch.setattr(Parts, "add", full)
    made = recording(source, tmp_path / "out.mp4")
    with pytest.raises(VideoUnwritable, match="no space left"):
        made.record(swapped, job={})
    assert len(seen(made.path)[0]) == 10
    assert next(json.loads(p.read_text())["parts"] for p in made.parts_folder.glob("*/parts.json"))


def test_a_selection_without_frames_is_told(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", plain((200, 30, 90), 5))
    with pytest.raises(VideoUnreadable, match="no frames between `start` and `end`"):
        recording(source, tmp_path / "out.mp4", selection=Selection(start_s=9.0)).record(swapped, job={})
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("name", "options", "kind", "message"),
    [
        ("out.avi", {}, UnknownName, "ending of a film"),
        ("out.mp4", {"codec": "prores"}, OptionError, "cannot hold prores"),
        ("out.mp4", {"crf": 77}, OptionError, "`crf` is 77"),
        ("out.webm", {}, VideoUnwritable, "audio is aac"),
    ],
)
def test_a_wrong_output_is_told_before_painting(
    tmp_path: Path, name: str, options: dict[str, Any], kind: type[ImpastoError], message: str
) -> None:
    source = film(tmp_path / "in.mp4", plain((200, 30, 90), 5), sound_s=0.2)
    with pytest.raises(kind, match=message):
        recording(source, tmp_path / name, **options).check()


def test_a_folder_of_other_pictures_is_not_written_into(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", plain((200, 30, 90), 5))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "holiday.png").touch()
    with pytest.raises(VideoUnwritable, match="is not empty"):
        recording(source, tmp_path / "out").record(swapped, job={})
