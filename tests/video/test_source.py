from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import film, panned, plain, tensor
from PIL import Image

from impasto.core.errors import OptionError, VideoUnreadable
from impasto.image.pixels import to_bytes
from impasto.video.frames import Frame, Selection, Stored
from impasto.video.planes import HDR, to_tensor
from impasto.video.source import natural_key, opened

RATE = Fraction(25)


def colour_of(path: Path) -> list[float]:
    frame = next(iter(opened(path).stored())).open()
    return [round(255 * float(value)) for value in frame.pixels[0, :, 20:-20, 20:-20].mean(dim=(1, 2))]


@pytest.mark.parametrize(("matrix", "colour_range"), [(1, 1), (1, 2), (5, 1), (5, 2)])
def test_a_known_colour_comes_back(tmp_path: Path, matrix: int, colour_range: int) -> None:
    layout = "yuv420p"
    path = film(tmp_path / "a.mp4", plain((200, 30, 90), 3), matrix=matrix, colour_range=colour_range, layout=layout)
    assert np.abs(np.subtract(colour_of(path), (200, 30, 90))).max() <= 3


def test_a_small_film_without_tags_is_bt601_and_a_large_one_bt709(tmp_path: Path) -> None:
    small = film(tmp_path / "a.mkv", plain((200, 30, 90), 2), matrix=None)
    assert np.abs(np.subtract(colour_of(small), (200, 30, 90))).max() <= 3


def test_ten_bits_are_kept(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 48, 0).repeat(3, 2)
    path = film(tmp_path / "a.mkv", [ramp] * 2, codec="ffv1", layout="yuv444p10le", matrix=1)
    pixels = next(iter(opened(path).stored())).open().pixels
    assert (pixels - tensor(ramp)).abs().max() < 2 / 255
    levels = pixels * 255
    assert (levels - levels.round()).abs().max() > 0.2  # finer than 8 bits


def test_times_of_a_constant_rate_are_exact(tmp_path: Path) -> None:
    rate = Fraction(30_000, 1001)
    path = film(tmp_path / "a.mp4", plain((9, 9, 9), 7), rate=rate)
    assert [item.time_s for item in opened(path).stored()] == [i / rate for i in range(7)]
    assert opened(path).rate == rate


def test_times_of_a_variable_rate_are_kept(tmp_path: Path) -> None:
    times = [Fraction(t, 1000) for t in (0, 40, 100, 500, 520, 900)]
    path = film(tmp_path / "a.mp4", plain((9, 9, 9), 6), times=times)
    found = [item.time_s for item in opened(path).stored()]
    assert max(abs(a - b) for a, b in zip(found, times, strict=True)) < Fraction(1, 10_000)


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_a_turned_film_is_upright(tmp_path: Path, angle: int) -> None:
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:24, :32] = (255, 0, 0)  # red at the top left
    lying = np.ascontiguousarray(np.rot90(upright, -angle // 90))
    path = film(tmp_path / "a.mp4", [lying] * 2, rotation=angle)
    found = opened(path)
    pixels = next(iter(found.stored())).open().pixels
    assert found.size_hw == (48, 64) == tuple(pixels.shape[-2:])
    assert (pixels - tensor(upright)).abs()[..., 4:20, 4:28].max() < 0.03


@pytest.mark.parametrize(("aspect", "size_hw"), [(Fraction(2), (48, 128)), (Fraction(1, 2), (96, 64))])
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, size_hw: tuple[int, int]) -> None:
    path = film(tmp_path / "a.mp4", plain((200, 30, 90), 2), aspect=aspect)
    assert opened(path).size_hw == size_hw
    assert next(iter(opened(path).stored())).open().size_hw == size_hw


@pytest.mark.parametrize("options", [{}, {"rotation": 90}, {"aspect": Fraction(2)}])
def test_levels_are_the_frame_with_8_bits(tmp_path: Path, options: dict[str, Any]) -> None:
    path = film(tmp_path / "a.mp4", panned(2, size_hw=(48, 64)), **options)
    stored = next(iter(opened(path).stored()))
    assert stored.levels is not None
    assert np.array_equal(stored.levels(), to_bytes(stored.open().pixels)[0])


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for index in (10, 9, 1, 2):
        Image.new("RGB", (20, 16), (index * 20, 0, 0)).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").touch()
    film_of_pictures = opened(tmp_path, folder_rate=Fraction(5))
    frames = [item.open() for item in film_of_pictures.stored()]
    assert [round(255 * float(f.pixels[0, 0, 0, 0])) for f in frames] == [20, 40, 180, 200]
    assert [f.time_s for f in frames] == [Fraction(i, 5) for i in range(4)]
    assert film_of_pictures.duration_s == pytest.approx(0.8)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animated_pictures_are_read_with_alpha_and_times(tmp_path: Path, suffix: str) -> None:
    frames = []
    for i in range(3):
        levels = np.full((24, 32, 4), (60 * i, 200, 30, 255), np.uint8)
        levels[:8, :, 3] = 0
        frames.append(Image.fromarray(levels))
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 300, 50], disposal=2, lossless=True)
    read = [item.open() for item in opened(path).stored()]
    assert opened(path).alpha
    assert [f.time_s for f in read] == [Fraction(0), Fraction(1, 10), Fraction(4, 10)]
    for i, frame in enumerate(read):
        assert frame.alpha is not None
        assert frame.alpha[0, 0, 4, 4] == 0
        assert frame.alpha[0, 0, 20, 4] == 1
        assert np.abs(frame.pixels[0, :, 20, 4].numpy() * 255 - (60 * i, 200, 30)).max() <= 3


def test_names_sort_as_people_count() -> None:
    assert sorted(["f10", "f9", "F1", "f1b"], key=natural_key) == ["F1", "f1b", "f9", "f10"]


# What cannot be read


def test_what_is_no_film_is_told(tmp_path: Path) -> None:
    with pytest.raises(VideoUnreadable, match="does not exist"):
        opened(tmp_path / "no.mp4")
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(VideoUnreadable, match="cannot be read as a film"):
        opened(tmp_path / "text.mp4")
    (tmp_path / "text.webp").write_text("no picture")
    with pytest.raises(VideoUnreadable, match="cannot be read as an animated picture"):
        opened(tmp_path / "text.webp")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoUnreadable, match="contains no pictures"):
        opened(tmp_path / "empty")


def test_a_file_with_sound_only_is_told(tmp_path: Path) -> None:
    from clips import write_sound

    with av.open(str(tmp_path / "a.m4a"), "w") as file:
        write_sound(file, file.add_stream("aac", rate=48_000), 0.2)
    with pytest.raises(VideoUnreadable, match="contains audio but no video"):
        opened(tmp_path / "a.m4a")


@pytest.mark.parametrize(("suffix", "part"), [(".mkv", 0.5), (".ts", 0.5)])
def test_a_file_cut_in_the_middle_gives_its_frames_and_an_error(tmp_path: Path, suffix: str, part: float) -> None:
    whole = film(tmp_path / f"whole{suffix}", panned(100), options={"g": "10"})
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(part * whole.stat().st_size)])
    if suffix == ".ts":  # it states no length: what is there is the film
        assert 5 < len(list(opened(cut).stored())) < 95
        return
    found: list[Frame] = []
    with pytest.raises(VideoUnreadable, match=r"truncated or damaged|cannot be read"):
        found.extend(item.open() for item in opened(cut).stored())
    assert 5 < len(found) < 95


def test_an_mp4_without_its_index_is_told(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", panned(20))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(VideoUnreadable, match="cannot be read as a film"):
        opened(cut)


def test_a_frame_of_another_size_is_told(tmp_path: Path) -> None:
    for index, size in enumerate([(20, 16), (20, 16), (22, 16)]):
        Image.new("RGB", size).save(tmp_path / f"{index}.png")
    items = list(opened(tmp_path).stored())
    with pytest.raises(VideoUnreadable, match=r"22×16 px, the first frame 20×16"):
        [item.open() for item in items]
    streams = [film(tmp_path / f"{w}.ts", plain((9, 9, 9), 5, size_hw=(48, w))) for w in (64, 80)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(path.read_bytes() for path in streams))
    with pytest.raises(VideoUnreadable, match=r"frame 5 of .* has 80×48 px, those before 64×48"):
        list(opened(joined).stored())


def test_times_that_do_not_rise_are_mended_and_told(tmp_path: Path) -> None:
    one = film(tmp_path / "one.ts", plain((9, 9, 9), 5))
    twice = tmp_path / "twice.ts"
    twice.write_bytes(one.read_bytes() * 2)
    notes: list[str] = []
    times = [item.time_s for item in opened(twice).stored(on_note=notes.append)]
    assert len(times) == 10
    assert all(b > a for a, b in pairwise(times))
    assert "non-increasing time" in notes[0]


# Which frames are taken


def stored(times: list[float]) -> list[Stored]:
    def frame(time: float) -> Stored:
        made = Frame(tensor(np.full((1, 1, 3), round(time * 10), np.uint8)), Fraction(time).limit_denominator(1000))
        return Stored(made.time_s, lambda: made)

    return [frame(time) for time in times]


def taken(selection: Selection, times: list[float]) -> list[tuple[float, int]]:
    items = selection.frames(stored(times))
    return [(float(i.time_s), round(255 * float(i.open().pixels[0, 0, 0, 0]))) for i in items]


def test_start_end_and_every() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert taken(Selection(), times) == [(t, round(10 * t)) for t in times]
    assert taken(Selection(start_s=0.2, end_s=0.5), times) == [(0.0, 2), (0.1, 3), (0.2, 4)]
    assert taken(Selection(every=2), times) == [(0.0, 0), (0.2, 2), (0.4, 4)]


def test_another_rate_repeats_and_leaves_out() -> None:
    assert taken(Selection(rate=Fraction(10)), [0.0, 0.25, 0.3]) == [(0.0, 0), (0.1, 0), (0.2, 0), (0.3, 3)]
    found = taken(Selection(rate=Fraction(5)), [i / 10 for i in range(10)])
    assert found == [(0.0, 0), (0.2, 2), (0.4, 4), (0.6, 6), (0.8, 8)]


def test_frames_that_are_not_taken_are_never_opened() -> None:
    def fails() -> Frame:
        raise AssertionError

    items = [Stored(Fraction(0), fails), *stored([0.1, 0.2])]
    assert [item.open().time_s for item in Selection(start_s=0.1).frames(items)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_s": -1.0}, "`start` is -1"),
        ({"start_s": 2.0, "end_s": 1.0}, "the end must be later"),
        ({"every": 0}, "`every` is 0"),
        ({"rate": Fraction(0)}, "`fps` is 0"),
        ({"rate": Fraction(5), "every": 2}, "give one of them"),
    ],
)
def test_selections_that_cannot_be_are_told(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Selection(**options)  # type: ignore[arg-type]


def test_the_number_of_frames_is_foretold() -> None:
    assert Selection().count(250, 10.0) == 250
    assert Selection(start_s=2, end_s=4, every=5).count(250, 10.0) == 10
    assert Selection(rate=Fraction(12)).count(250, 10.0) == 120


@pytest.mark.parametrize("transfer", HDR)
def test_hdr_is_refused(transfer: int) -> None:
    frame = av.VideoFrame.from_ndarray(plain((9, 9, 9), 1)[0], format="rgb24").reformat(format="yuv420p")
    frame.color_trc = transfer
    with pytest.raises(VideoUnreadable, match="is HDR"):
        to_tensor(frame)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".gif", ".webp", ""])
def test_frames_are_found_by_their_time(tmp_path: Path, suffix: str) -> None:
    frames = [plain((5 * i, 0, 0), 1)[0] for i in range(40)]
    path = tmp_path / f"a{suffix}"
    if suffix == ".webp":
        first, *rest = (Image.fromarray(levels) for levels in frames)
        first.save(path, save_all=True, append_images=rest, duration=40, lossless=True)
    elif suffix == "":
        path.mkdir()
        for i, levels in enumerate(frames):
            Image.fromarray(levels).save(path / f"{i}.png")
    else:
        film(
            path,
            frames,
            codec="gif" if suffix == ".gif" else "libx264",
            layout="rgb8" if suffix == ".gif" else "yuv420p",
        )
    found = list(opened(path, folder_rate=RATE).shown_at([0.0, 0.5, 0.51, 1.59, 9.0]))
    assert [round(item.time_s * RATE) for item in found] == [0, 12, 12, 39, 39]
    for item in found:
        index = round(item.time_s * RATE)
        shade = float(item.open().pixels[:, 0].mean()) * 255
        assert abs(shade - 5 * index) <= (20 if suffix == ".gif" else 3)
