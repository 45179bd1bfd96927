"""The axes of a sweep: paths, values, combinations."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.analysis.axes import Axis, axis_from, job_with, known_paths, path_of, points
from impasto.config.job import Job, StyleSource
from impasto.core.errors import OptionError, UnknownName

JOB = Job(content="c.png", styles=(StyleSource(source="a.png"), StyleSource(source="b.png")))
ALONE = Job(content="c.png", styles=(StyleSource(source="a.png"),))


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("strength=0.25,1,2", "paint.strength", (0.25, 1.0, 2.0)),
        ("--strength=1e-1", "paint.strength", (0.1,)),
        ("optimise.steps=60+40,100", "optimise.steps", ((60, 40), (100,))),
        ("style-layers=relu1_1,relu1_1+relu2_1", "losses.style_layers", (("relu1_1",), ("relu1_1", "relu2_1"))),
        ("init=noise, content", "optimise.init", ("noise", "content")),
        ("styles.2.scale=0.5,2", "styles.2.scale", (0.5, 2.0)),
        ("megapixels=none,0.1", "size.megapixels", (None, 0.1)),
        ("exact=64+48", "size.exact", ((64, 48),)),
        ("content=x.png,y.png", "content", ("x.png", "y.png")),
        ("mix=0,0.5,1", "mix", (0.0, 0.5, 1.0)),
    ],
)
def test_an_axis_is_read_by_the_type_of_its_option(text: str, path: str, values: tuple[object, ...]) -> None:
    axis = axis_from(text, JOB)
    assert (axis.path, axis.values) == (path, values)
    assert len(points(JOB, [axis])) == len(values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("strength", "not an axis"),
        ("strength=", "not an axis"),
        ("strength=1,,2", "not an axis"),
        ("=1", "not an axis"),
        ("strength=strong", "a number is needed"),
        ("strength=1,1", "twice"),
        ("optimise.steps=1.5", "a whole number"),
        ("exact=64", "2 numbers"),
        ("exact=64+48+3", "2 numbers"),
    ],
)
def test_what_is_no_axis_is_refused(text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        axis_from(text, JOB)


@pytest.mark.parametrize(
    ("name", "near"),
    [("strengt", "strength"), ("optimise.step", "optimise.steps"), ("styles.3.weight", "styles.2.weight")],
)
def test_an_unknown_path_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"Did you mean '{near}'"):
        path_of(name, JOB)


def test_a_mix_needs_two_styles() -> None:
    with pytest.raises(OptionError, match="Name a second"):
        path_of("mix", ALONE)


@pytest.mark.parametrize("text", ["strength=20", "mix=1.5", "init=nois", "styles.1.scale=-1"])
def test_a_value_out_of_range_is_refused_before_anything_is_painted(text: str) -> None:
    with pytest.raises(OptionError):
        points(JOB, [axis_from(text, JOB)])


def test_every_known_path_can_be_set_to_what_it_is() -> None:
    data = JOB.to_dict()
    for path in known_paths(JOB):
        if path == "mix":
            continue
        place = data
        for part in path.split("."):
            place = place[int(part) - 1] if isinstance(place, list) else place[part]
        assert job_with(JOB, {path: place}) == JOB, path


def test_the_last_axis_changes_fastest() -> None:
    axes = [axis_from("strength=1,2", JOB), axis_from("seed=3,4", JOB)]
    found = [(p.job.paint.strength, p.job.optimise.seed) for p in points(JOB, axes)]
    assert found == [(1, 3), (1, 4), (2, 3), (2, 4)]


def test_one_option_is_varied_once() -> None:
    axis = Axis("paint.strength", ("1",), (1.0,))
    with pytest.raises(OptionError, match="two axes"):
        points(JOB, [axis, axis])


def test_a_mix_blends_the_first_style_into_the_second() -> None:
    three = Job(content="c.png", styles=(*JOB.styles, StyleSource(source="d.png", weight=5)))
    weights = [s.weight for s in job_with(three, {"mix": 0.25}).styles]
    assert weights == [0.75, 0.25, 0.0]


def test_paths_stay_paths() -> None:
    (point,) = points(JOB, [axis_from("styles.1.mask=m.png", JOB)])
    assert point.job.styles[0].mask == Path("m.png")


def test_the_job_itself_is_left_alone() -> None:
    before = JOB.to_dict()
    points(JOB, [axis_from("strength=2,3", JOB)])
    assert JOB.to_dict() == before


def test_an_unclear_name_asks_for_the_whole_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.analysis.axes.known_paths", lambda job: {"a.x": int, "b.x": int})
    with pytest.raises(OptionError, match=r"a\.x or b\.x"):
        path_of("x", JOB)
