"""Key frames and masks that are films."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import film, panned, plain
from torch import Tensor

from impasto.config.job import Job, StyleSource
from impasto.config.pictures import SizeOptions
from impasto.config.video import Keyframe, VideoOptions
from impasto.core.errors import OptionError, VideoUnreadable
from impasto.image import files
from impasto.session.device import with_threads
from impasto.video import film_session
from impasto.video.film_session import FilmSession, open_film
from impasto.video.frames import Held, Selection, Stored
from impasto.video.keyframes import Timeline, read_keyframes
from impasto.video.look import Looks
from impasto.video.painting import Following, Several, sized
from impasto.video.source import opened

Make = Callable[..., Job]
RATE = Fraction(25)


def paintings(session: FilmSession) -> list[Tensor]:
    paint = session.alone().painter()
    assert not isinstance(paint, Several)
    film = session.recording.film
    size_hw = session.recording.output_hw
    frames = [sized(item, size_hw) for item in Selection(start_s=session.options.start).frames(film.stored())]
    if isinstance(paint, Following):
        return [paint.paint(frame, None) for i, frame in enumerate(frames)]
    return [paint(frame, i) for i, frame in enumerate(frames)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return film(tmp_path / "in.mp4", panned(6, size_hw=(48, 64)))


@pytest.fixture
def two_styles(there: Path, draw_photo: Callable[[int, int], Tensor]) -> tuple[StyleSource, ...]:
    files.write(there / "other.png", draw_photo(64, 64).flip(1))
    return tuple(StyleSource(source=str(there / name)) for name in ("style.png", "other.png"))


def job_for(make: Make, source: Path, styles: tuple[StyleSource, ...]) -> Job:
    return make(content=str(source), styles=styles, size=SizeOptions(size=0))


# Time


def test_values_pass_through_the_key_frames_and_stay_between_them() -> None:
    frames = tuple(Keyframe(time=t, strength=s) for t, s in ((1.0, 0.0), (2.0, 1.0), (4.0, 0.25), (5.0, 0.25)))
    line = Timeline(frames, strength=9.0, weights=(1.0,))
    for frame in frames:
        assert line.at(frame.time)[0] == pytest.approx(frame.strength)
    assert line.at(0.0)[0] == 0
    assert line.at(99.0)[0] == 0.25
    assert line.at(4.5)[0] == pytest.approx(0.25)  # no overshoot
    rising = [line.at(1 + i / 20)[0] for i in range(21)]
    assert rising == sorted(rising)
    steps = np.abs(np.diff([line.at(i / 50)[0] for i in range(300)]))
    assert steps.max() < 0.05  # no jump


def test_weights_and_strength_are_kept_apart() -> None:
    frames = (Keyframe(time=0, weights=(1, 0)), Keyframe(time=1, strength=0.5), Keyframe(time=2, weights=(0, 1)))
    line = Timeline(frames, strength=1.0, weights=(3.0, 4.0))
    assert line.at(0.3)[0] == 0.5
    weights = line.at(1.0)[1]
    assert weights == pytest.approx((0.5, 0.5))
    assert Timeline((), strength=0.7, weights=(3.0, 4.0)).at(5) == (0.7, (3.0, 4.0))
    assert all(min(line.at(i / 10)[1]) >= 0 for i in range(30))


def test_a_file_of_key_frames(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("[[keyframe]]\ntime = 0\nweights = [1, 0]\n[[keyframe]]\ntime = 2.5\nstrength = 0.5\n")
    assert read_keyframes(path) == (Keyframe(time=0.0, weights=(1.0, 0.0)), Keyframe(time=2.5, strength=0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains nothing; it needs key frames"),
        ("keyframe = 3", "it needs key frames"),
        ("[[keyframes]]\ntime = 1", "contains keyframes; it needs key frames"),
        ("[[keyframe]\ntime = 1", "is not TOML"),
        ("[[keyframe]]\nstrength = 1", "key frame 1 of .* has no time"),
        ("[[keyframe]]\ntime = -1", "`time` is -1"),
        ("[[keyframe]]\ntime = 1\nstregnth = 2", "Did you mean 'strength'"),
        ("[[keyframe]]\ntime = 1\nweights = 2", "a list is needed"),
    ],
)
def test_wrong_files_of_key_frames(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "keys.toml").write_text(text)
    with pytest.raises(OptionError, match=message):
        read_keyframes(tmp_path / "keys.toml")


def test_a_missing_file_of_key_frames(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"keys\.toml cannot be read"):
        read_keyframes(tmp_path / "keys.toml")


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([Keyframe(time=2), Keyframe(time=1)], "times must increase"),
        ([Keyframe(time=2, weights=(1, 2, 3))], "has 3 weights; each style needs one: 2"),
        ([Keyframe(time=2, weights=(0, 0))], "add up to 0"),
    ],
)
def test_key_frames_that_do_not_fit(
    source: Path, quick_job: Make, two_styles: tuple[StyleSource, ...], frames: list[Keyframe], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        open_film(job_for(quick_job, source, two_styles), "o.mp4", options=VideoOptions(keyframes=tuple(frames)))


def frames_of(path: Path) -> list[Tensor]:
    return [item.open().pixels for item in opened(path).stored()]


@pytest.mark.parametrize("steady", [0.0, 0.8])
def test_several_devices_paint_the_same_film(
    source: Path, tmp_path: Path, quick_job: Make, two_styles: tuple[StyleSource, ...], steady: float
) -> None:
    job, options = job_for(quick_job, source, two_styles), VideoOptions(steady=steady, codec="ffv1")
    options = dataclasses.replace(options, keyframes=(Keyframe(time=0, strength=0.5), Keyframe(time=1, strength=1.0)))
    films = []
    for count in (1, 3):
        session = open_film(job, tmp_path / f"{count}.mkv", options=options, gpus=(None,) * count)
        session = session.alone() if count == 1 else session
        painter = session.painter()
        assert not isinstance(painter, Following)
        assert len(painter.paints if isinstance(painter, Several) else (painter,)) == count
        assert session.record()
        films.append(frames_of(tmp_path / f"{count}.mkv"))
    assert len(films[0]) > 3
    assert all(torch.equal(one, other) for one, other in zip(*films, strict=True))


def test_each_thread_paints_a_frame_with_the_same_result(
    source: Path, tmp_path: Path, quick_job: Make, two_styles: tuple[StyleSource, ...]
) -> None:
    """On the processor; frames that share statistics are painted one by one."""
    job, before, films = job_for(quick_job, source, two_styles), torch.get_num_threads(), []
    for threads in (1, 3):
        with with_threads(threads):
            session = open_film(job, tmp_path / f"{threads}.mkv", options=VideoOptions(codec="ffv1"))
            assert len(session.sessions) == threads
            assert len({id(one.loaded) for one in session.sessions}) == 1
            assert session.record()
            assert torch.get_num_threads() == threads
            films.append(frames_of(tmp_path / f"{threads}.mkv"))
            shared = open_film(job, "o.mp4", options=VideoOptions(share_statistics=True))
            assert not isinstance(shared.painter(), Several)
    assert all(torch.equal(one, other) for one, other in zip(*films, strict=True))
    assert torch.get_num_threads() == before


def test_frames_that_do_not_fit_into_memory_are_painted_one_by_one(
    source: Path, quick_job: Make, two_styles: tuple[StyleSource, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(quick_job, source, two_styles)
    with with_threads(4):
        monkeypatch.setattr(film_session, "available_bytes", lambda: 2 * film_session.FRAME_BYTES * 48 * 64)
        assert len(open_film(job, "o.mp4").sessions) == 2
        monkeypatch.setattr(film_session, "available_bytes", lambda: 1)
        assert len(open_film(job, "o.mp4").sessions) == 1


def test_frames_that_begin_with_the_one_before_have_one_device(
    source: Path, small_job: Make, two_styles: tuple[StyleSource, ...]
) -> None:
    job = job_for(small_job, source, two_styles)
    with pytest.raises(OptionError, match="Use one device, or `steady=0`"):
        open_film(job, "o.mp4", gpus=(None, None))
    assert isinstance(open_film(job, "o.mp4", options=VideoOptions(steady=0.0), gpus=(None, None)).painter(), Several)


def test_frames_that_share_statistics_have_one_device(
    source: Path, quick_job: Make, two_styles: tuple[StyleSource, ...], tmp_path: Path
) -> None:
    job, films = job_for(quick_job, source, two_styles), []
    with pytest.raises(OptionError, match="leave `share_statistics` out"):
        open_film(job, "o.mp4", options=VideoOptions(share_statistics=True), gpus=(None, None))
    for shares in (False, True):
        session = open_film(
            job, tmp_path / f"{shares}.mkv", options=VideoOptions(share_statistics=shares, codec="ffv1")
        )
        assert session.record()
        films.append(frames_of(tmp_path / f"{shares}.mkv"))
    assert torch.allclose(films[0][0], films[1][0], atol=0.02)
    assert not torch.equal(films[0][-1], films[1][-1])


def test_films_do_not_wrap(source: Path, quick_job: Make, two_styles: tuple[StyleSource, ...]) -> None:
    job = dataclasses.replace(job_for(quick_job, source, two_styles), size=SizeOptions(size=64, tileable="x"))
    with pytest.raises(OptionError, match="`tileable=x` is for pictures"):
        open_film(job, "o.mp4")


@pytest.mark.parametrize("method", ["arbitrary", "fast", "optimise"])
def test_key_frames_lead_from_one_style_to_the_other(
    source: Path, tmp_path: Path, quick_job: Make, small_job: Make, learned_job: Make,
    save_learned: Callable[..., Path], two_styles: tuple[StyleSource, ...], method: str,
) -> None:  # fmt: skip
    """The first and last frame are those of the styles by themselves, and with strength 0 those of the source."""
    make = {"arbitrary": quick_job, "fast": learned_job, "optimise": small_job}[method]
    if method == "fast":
        network = save_learned(tmp_path / "two.safetensors", styles=("one", "two"))
        two_styles = tuple(StyleSource(source=f"{network}#{name}") for name in ("one", "two"))
    keys = (
        Keyframe(time=0.0, weights=(1, 0)), Keyframe(time=0.12, weights=(0, 1), strength=1.0),
        Keyframe(time=0.2, strength=0.0),
    )  # fmt: skip
    options = VideoOptions(keyframes=keys, start=0.04, steady=0.0)
    found = paintings(open_film(job_for(make, source, two_styles), tmp_path / "o.mp4", options=options))
    ends = [
        paintings(open_film(job_for(make, source, (style,)), tmp_path / "o.mp4", options=VideoOptions(start=0.04)))
        for style in two_styles
    ]
    assert torch.allclose(found[2], ends[1][2], atol=1e-5)
    assert not torch.allclose(found[0], ends[0][0], atol=1e-3)  # it begins at 0.04 s, after the first key frame
    assert not torch.allclose(found[0], ends[1][0], atol=1e-3)
    content = list(opened(source).stored())[5].open().pixels
    assert torch.allclose(found[4], content, atol=1e-5)


def test_frames_that_other_networks_paint_share_no_statistics(
    quick_job: Make, source: Path, tmp_path: Path, two_styles: tuple[StyleSource, ...]
) -> None:
    keys = (
        Keyframe(time=0.0, weights=(1, 0), strength=1.0), Keyframe(time=1.0, weights=(1, 3)),
        Keyframe(time=2.0, weights=(3, 1), strength=1.0), Keyframe(time=3.0, strength=0.5),
        Keyframe(time=4.0, strength=2.0), Keyframe(time=5.0, strength=3.0)
    )  # fmt: skip
    made = open_film(job_for(quick_job, source, two_styles), tmp_path / "o.mp4", options=VideoOptions(keyframes=keys))
    looks = Looks(made.session, made.timeline)
    first, one, two, below, above, more = (look.part for t in range(6) if (look := looks.at(Fraction(t))) is not None)
    assert one == two
    assert above == more
    assert len({first, one, below, above}) == 4


# Masks


def half_covered(tmp_path: Path, name: str = "mask.mkv", *, frames: int = 6) -> Path:
    """White on the left in the even frames and on the right in the odd ones; the last is black."""
    made = []
    for i in range(frames):
        levels = plain((0, 0, 0), 1, size_hw=(48, 64))[0]
        if i < frames - 1:
            levels[:, 32 * (i % 2) : 32 + 32 * (i % 2)] = 255
        made.append(levels)
    return film(tmp_path / name, made, codec="ffv1", layout="bgr0")


@pytest.mark.parametrize("method", ["arbitrary", "fast", "optimise"])
@pytest.mark.parametrize("kind", ["film", "folder"])
def test_a_mask_may_be_a_film(
    source: Path, tmp_path: Path, quick_job: Make, small_job: Make, learned_job: Make, method: str, kind: str
) -> None:
    mask = half_covered(tmp_path)
    if kind == "folder":
        (tmp_path / "masks").mkdir()
        for i, item in enumerate(opened(mask).stored()):
            files.write(tmp_path / "masks" / f"{i}.png", item.open().pixels)
        mask = tmp_path / "masks"
    job = {"arbitrary": quick_job, "fast": learned_job, "optimise": small_job}[method](content=str(source))
    job = dataclasses.replace(
        job,
        size=SizeOptions(size=0),
        styles=tuple(dataclasses.replace(style, mask=mask) for style in job.styles),
        paint=dataclasses.replace(job.paint, feather=0.0),
    )
    session = open_film(job, tmp_path / "o.mp4", options=VideoOptions(steady=0.0))
    assert (session.recipe is None) == (kind == "folder")
    contents = [item.open().pixels for item in opened(source).stored()]
    for i, (painting, content) in enumerate(zip(paintings(session), contents, strict=True)):
        changes = [(painting - content)[..., side].abs().max() for side in (slice(0, 32), slice(32, 64))]
        painted = [0 if i == 5 else 1 - i % 2, 0 if i == 5 else i % 2]
        assert [int(change > 0.01) for change in changes] == painted
        assert all(change < 1e-5 for change, is_painted in zip(changes, painted, strict=True) if not is_painted)


def test_a_film_and_a_picture_are_masks_of_two_styles(
    source: Path, tmp_path: Path, quick_job: Make, two_styles: tuple[StyleSource, ...]
) -> None:
    files.write(tmp_path / "all.png", torch.ones(1, 1, 48, 64))
    masks = (half_covered(tmp_path), tmp_path / "all.png")
    styles = tuple(dataclasses.replace(style, mask=mask) for style, mask in zip(two_styles, masks, strict=True))
    session = open_film(job_for(quick_job, source, styles), tmp_path / "o.mp4", options=VideoOptions(steady=0.0))
    assert session.recipe is not None
    assert len([name for name in session.recipe.inputs if "mask" in name or "all" in name]) == 2
    alone = open_film(job_for(quick_job, source, two_styles[1:]), tmp_path / "o.mp4", options=VideoOptions(steady=0.0))
    assert torch.allclose(paintings(session)[5], paintings(alone)[5], atol=1e-5)  # the film's mask is black there
    with pytest.raises(OptionError, match="some styles have a mask and some have none"):
        open_film(job_for(quick_job, source, (styles[0], two_styles[1])), tmp_path / "o.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_text("no film")
    with pytest.raises(VideoUnreadable, match="cannot be read as a film"):
        open_film(job_for(quick_job, source, (dataclasses.replace(two_styles[0], mask=broken),)), tmp_path / "o.mp4")


def test_the_rest_of_a_film_of_masks(
    source: Path, tmp_path: Path, quick_job: Make, two_styles: tuple[StyleSource, ...]
) -> None:
    masks = (half_covered(tmp_path), Path("rest"))
    styles = tuple(dataclasses.replace(style, mask=mask) for style, mask in zip(two_styles, masks, strict=True))
    made = [job_for(quick_job, source, of) for of in (styles, two_styles[:1], two_styles[1:])]
    hard = dataclasses.replace(made[0], paint=dataclasses.replace(made[0].paint, feather=0.0))
    options = VideoOptions(steady=0.0)
    sessions = [open_film(job, tmp_path / "o.mp4", options=options) for job in (hard, *made[1:])]
    assert sessions[0].recipe is not None
    assert not any("rest" in name for name in sessions[0].recipe.inputs)
    films = [paintings(session) for session in sessions]
    for i, (both, first, second) in enumerate(zip(*films, strict=True)):
        left, right = (second, second) if i == 5 else (first, second) if i % 2 == 0 else (second, first)
        torch.testing.assert_close(both[..., :24], left[..., :24], atol=1e-5, rtol=0)
        torch.testing.assert_close(both[..., 40:], right[..., 40:], atol=1e-5, rtol=0)


def test_what_is_shown_at_a_time() -> None:
    items = [Stored(Fraction(i, 10), lambda: None) for i in range(3)]  # type: ignore[arg-type, return-value]
    held = Held(iter(items))
    assert [held.at(t).time_s for t in (-1, 0, 0.05, 0.1, 0.5)] == [0, 0, 0, Fraction(1, 10), Fraction(2, 10)]
    with pytest.raises(VideoUnreadable, match="has no frames"):
        Held(iter([])).at(0)
