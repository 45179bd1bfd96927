from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from clips import panned, tensor
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.flow.estimators import estimator
from impasto.flow.warping import warped
from impasto.metrics.temporal import sharpness_of, steadiness, warping_error
from impasto.nets.shared import shared
from impasto.video import motion
from impasto.video.ahead import Ahead
from impasto.video.frames import Frame, Stored
from impasto.video.motion import Motion, Tracker, at_rest, is_cut
from impasto.video.painting import Before, Following, Painted, Start, painted_film, with_durations
from impasto.video.steady import Steadier

SIZE = (96, 128)


def textured(frame: Frame, index: int) -> Tensor:
    """A painter whose strokes differ from frame to frame: the content and smooth noise."""
    noise = torch.rand(1, 3, *frame.size_hw, generator=torch.Generator().manual_seed(index))
    smooth = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    return (frame.pixels + 0.6 * (smooth - 0.5)).clamp(0, 1)


def stored(frames: list[Tensor]) -> list[Stored]:
    made = [Frame(pixels, Fraction(i, 25)) for i, pixels in enumerate(frames)]
    return [Stored(frame.time_s, lambda frame=frame: frame) for frame in made]  # type: ignore[misc]


def outputs(frames: list[Tensor], *, steadier: Steadier | None = None, **options: object) -> list[Tensor]:
    tracker = Tracker.named() if steadier else None
    film = painted_film(
        stored(frames),
        textured,
        size_hw=frames[0].shape[-2:],
        tracker=tracker,
        steadier=steadier,
        **options,  # type: ignore[arg-type]
    )
    return [item.frame.pixels for item in film]


PAN = [tensor(levels) for levels in panned(14, size_hw=SIZE)]


def test_a_steadied_film_is_steady_and_sharp() -> None:
    plain, steady = outputs(PAN), outputs(PAN, steadier=Steadier())
    measures = [steadiness(zip(PAN, film, strict=True), lags=(1, 5)) for film in (plain, steady)]
    assert measures[1].warping[1] < 0.25 * measures[0].warping[1]
    assert measures[1].warping[5] < 0.6 * measures[0].warping[5]
    assert measures[1].sharpness > 0.85 * measures[0].sharpness
    assert measures[1].edges > 0.9 * measures[0].edges
    assert abs(measures[1].drift) < 0.01


def test_plain_blending_costs_sharpness_that_steadying_keeps() -> None:
    """What the local energy of the bands is for."""
    flow = torch.zeros(1, 2, *SIZE)
    motion = Motion(flow, torch.ones(1, 1, *SIZE))
    grey = torch.full((1, 3, *SIZE), 0.5)
    one, two = (textured(Frame(grey, Fraction(0)), seed) for seed in (1, 2))
    plain = one + 0.7 * (two - one)
    steady = Steadier(low=0.7, middle=0.7, high=0.7)(one, two, motion)
    detail = [sharpness_of(image)[0] for image in (one, plain, steady)]
    assert detail[1] < 0.8 * detail[0]
    assert detail[2] > 0.93 * detail[0]


def test_nothing_adds_up_over_many_frames() -> None:
    still = [PAN[0]] * 60
    film = outputs(still, steadier=Steadier())
    plain = textured(Frame(PAN[0], Fraction(0)), 59)
    assert abs(film[-1].mean() - plain.mean()) < 0.01
    assert sharpness_of(film[-1])[0] == pytest.approx(sharpness_of(plain)[0], rel=0.15)


def test_equal_frames_come_back_unchanged() -> None:
    image = textured(Frame(PAN[0], Fraction(0)), 1)
    motion = Motion(torch.zeros(1, 2, *SIZE), torch.ones(1, 1, *SIZE))
    assert (Steadier()(image, image, motion) - image).abs().max() < 1e-3


def test_where_flow_is_not_trusted_the_painted_frame_stays() -> None:
    one, two = (textured(Frame(PAN[0], Fraction(0)), seed) for seed in (1, 2))
    flow = torch.zeros(1, 2, *SIZE)
    assert (Steadier()(one, two, Motion(flow, torch.zeros(1, 1, *SIZE))) - one).abs().max() < 1e-5
    assert Steadier()(one, two, None) is one


@pytest.mark.parametrize("options", [{"low": 1.0}, {"middle": 1.5}, {"high": -0.1}])
def test_wrong_parts_are_told(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="0 or more, below 1"):
        Steadier(**options)


# Motion and cuts


def test_no_state_crosses_a_cut() -> None:
    other = [tensor(np.ascontiguousarray(255 - levels[::-1])) for levels in panned(3, size_hw=SIZE)]
    frames = [*PAN[:4], *other]
    items = list(painted_film(stored(frames), textured, size_hw=SIZE, tracker=Tracker.named(), steadier=Steadier()))
    assert [item.cut for item in items] == [True, False, False, False, True, False, False]
    assert torch.equal(items[4].frame.pixels, textured(Frame(other[0], Fraction(0)), 4))


def test_fast_pans_and_changes_of_light_are_no_cuts() -> None:
    search = estimator("dis")
    fast = [tensor(levels) for levels in panned(3, size_hw=SIZE, step_px=9)]
    for now in (fast[1], fast[0] * 0.9):
        assert not is_cut(now, fast[0], moved=warped(fast[0], search(now, fast[0]), mode="linear"))


def test_flat_areas_stand_still() -> None:
    """Any flow explains a flat area; its noise must not carry strokes about."""
    flat = torch.full((1, 3, *SIZE), 0.5)
    noise = torch.randn(1, 2, *SIZE)
    assert at_rest(flat, flat, noise).abs().max() < 1e-6
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0] = 2
    kept = at_rest(PAN[1], PAN[0], flow)[..., 8:-8, 8:-8]
    assert (kept - flow[..., 8:-8, 8:-8]).abs().median() < 0.05


# The pipeline


def toned(frame: Frame, index: int) -> Tensor:
    """A painter that looks at a statistic of the whole frame, as networks do."""
    return (textured(frame, index) - shared(frame.pixels.mean((2, 3), keepdim=True)) + 0.5).clamp(0, 1)


def test_a_resumed_film_is_the_film() -> None:
    frames = [frame * (1 - 0.05 * index) for index, frame in enumerate(PAN[:8])]
    options: dict[str, Any] = {"size_hw": SIZE, "tracker": Tracker.named(), "steadier": Steadier(shares=True)}
    whole = list(painted_film(stored(frames), toned, **options))
    before = Before.of({key: value.clone() for key, value in whole[4].before.tensors().items()})
    rest = list(painted_film(stored(frames[5:]), toned, before=before, first=5, **options))
    assert before.statistics
    assert all(torch.equal(a.frame.pixels, b.frame.pixels) for a, b in zip(whole[5:], rest, strict=True))


def test_the_frames_of_a_shot_share_their_statistics() -> None:
    """Of a film that grows dark at once, the statistics follow slowly; after a cut they are the frame's own."""
    other = [tensor(np.ascontiguousarray(255 - levels[::-1])) for levels in panned(2, size_hw=SIZE)]
    frames = [PAN[0], PAN[0] * 0.9, PAN[0] * 0.9, *other]
    seen = list[Tensor]()

    def paint(frame: Frame, index: int) -> Tensor:
        seen.append(shared(frame.pixels.mean()))
        return frame.pixels

    steadier = Steadier(shares=True)
    items = painted_film(stored(frames), paint, size_hw=SIZE, tracker=Tracker.named(), steadier=steadier)
    assert [item.cut for item in items] == [True, False, False, True, False]
    own = [frame.mean() for frame in frames]
    assert seen[0] == own[0]
    assert own[0] > seen[1] > seen[2] > own[2]
    assert seen[3] == own[3]
    seen.clear()
    list(painted_film(stored(frames), paint, size_hw=SIZE, tracker=Tracker.named(), steadier=Steadier()))
    assert seen == own


def test_frames_are_painted_in_order_and_memory_does_not_grow() -> None:
    opened: list[int] = []
    threads_before = threading.active_count()

    def frame(index: int) -> Frame:
        opened.append(index)
        return Frame(PAN[0], Fraction(index, 25))

    items = (Stored(Fraction(i, 25), lambda i=i: frame(i)) for i in range(100))  # type: ignore[misc]
    film = painted_film(items, lambda frame, index: frame.pixels, size_hw=SIZE)
    for index in range(5):
        assert next(film).frame.time_s == Fraction(index, 25)
    time.sleep(0.3)
    assert len(opened) <= 5 + 12
    film.close()
    assert threading.active_count() <= threads_before


def test_a_following_painter_begins_with_the_output_before() -> None:
    """On the first frame of a shot there is no start; elsewhere it is the carried output, the content at the border."""
    other = [tensor(np.ascontiguousarray(255 - levels[::-1])) for levels in panned(2, size_hw=SIZE)]
    frames, starts = [*PAN[:3], *other], list[Start | None]()

    def paint(frame: Frame, start: Start | None) -> Tensor:
        starts.append(start)
        return (frame.pixels * 0 + 0.25) if start is None else start.over(frame.pixels)

    film = painted_film(stored(frames), Following(paint), size_hw=SIZE, tracker=Tracker.named())
    items = list(film)
    assert [start is None for start in starts] == [True, False, False, True, False]
    assert [item.cut for item in items] == [True, False, False, True, False]
    assert starts[1] is not None
    carried = starts[1].over(PAN[1])
    assert (carried[..., 16:-16, 16:-16] - 0.25).abs().median() < 1e-3
    assert (carried[..., -1:] - PAN[1][..., -1:]).abs().mean() < 1e-3  # what came into view


def test_an_error_while_painting_arrives_after_the_frames_before() -> None:
    def paint(frame: Frame, index: int) -> Tensor:
        if index == 3:
            raise OptionError("no more paint")
        return frame.pixels

    found: list[Painted] = []
    with pytest.raises(OptionError, match="no more paint"):
        found.extend(painted_film(stored(PAN), paint, size_hw=SIZE))
    assert len(found) == 3


def test_working_ahead_stops_when_it_is_closed() -> None:
    closed = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    with Ahead(numbers()) as ahead:
        assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    assert closed.is_set()
    assert list(ahead) == []
    assert list(Ahead(iter("abc"))) == ["a", "b", "c"]


def test_each_frame_lasts_until_the_next() -> None:
    film = painted_film(stored(PAN[:3]), lambda frame, index: frame.pixels, size_hw=SIZE)
    assert [length for _, length in with_durations(film, Fraction(1, 10))] == [Fraction(1, 25)] * 2 + [Fraction(1, 10)]


# The measures


def test_the_error_of_a_film_that_moves_with_its_source_is_small() -> None:
    own = steadiness(zip(PAN, PAN, strict=True))
    assert own.warping[1] < 0.002
    assert set(own.warping) == {1, 5, 10}
    assert own.frames == len(PAN)
    assert own.drift == 0


def test_the_warping_error_is_the_squared_distance_of_all_channels() -> None:
    search = estimator("dis")
    found = warping_error((PAN[0], PAN[0] * 0 + 0.5), (PAN[0], PAN[0] * 0 + 0.4), flow=search)
    assert found == pytest.approx(3 * 0.1**2, rel=1e-4)


def test_flicker_is_measured_where_the_source_stands_still() -> None:
    half = PAN[0].clone()
    half[..., 64:] = 0.2
    frames = [half, half]
    blink = [frames[0], frames[0].clone()]
    blink[1][..., :64] += 0.05
    assert steadiness(zip(frames, frames, strict=True)).flicker == 0
    assert steadiness(zip(frames, blink, strict=True)).flicker == pytest.approx(0.025, rel=0.01)
    noise = [torch.rand(1, 3, *SIZE) for _ in range(2)]
    assert steadiness(zip(noise, blink, strict=True)).flicker is None


def test_drift_is_the_outputs_less_the_sources() -> None:
    frames = [PAN[0] * (1 - 0.01 * i) for i in range(10)]
    film = [PAN[0] * 0 + 0.5 + 0.01 * i for i in range(10)]
    luma = float(0.09 * (PAN[0] * torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)).sum(1).mean())
    assert steadiness(zip(frames, film, strict=True)).drift == pytest.approx(0.09 + luma, abs=1e-3)


def test_a_film_of_one_frame_is_told() -> None:
    with pytest.raises(OptionError, match="has 1 frames; steadiness needs 2"):
        steadiness([(PAN[0], PAN[0])])


def test_a_fade_is_not_carried_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the light of the source changes everywhere, an output that is carried lags behind."""
    painted = textured(Frame(PAN[0], Fraction(0)), 0)
    tracker, steadier, lags = Tracker.named(), Steadier(), []
    for lit in (motion.LIT, 1e6):
        monkeypatch.setattr(motion, "LIT", lit)
        output = painted
        for index in range(1, 8):
            moved = tracker((1 - index / 8) * PAN[0], (1 - (index - 1) / 8) * PAN[0])
            output = steadier((1 - index / 8) * painted, output, moved)
        lags.append(float(output.mean() - painted.mean() / 8))
    assert lags[0] < 0.02 < 0.06 < lags[1]


def test_detail_that_was_resampled_many_times_keeps_its_sharpness() -> None:
    painted = textured(Frame(PAN[0], Fraction(0)), 0)
    flow, output = torch.full((1, 2, *SIZE), 0.5), painted
    for index in range(20):
        output = Steadier()(painted, output, Motion(flow if index % 2 else -flow, torch.ones(1, 1, *SIZE)))
    assert sharpness_of(output)[0] > 0.9 * sharpness_of(painted)[0]
