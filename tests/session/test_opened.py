"""From a job to the stylizer and its steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.job import Job, PaintOptions, StyleSource
from impasto.config.optimise import OptimiseOptions
from impasto.config.pictures import ColourOptions, SizeOptions
from impasto.core.errors import OptionError
from impasto.image import files
from impasto.session.inputs import read_inputs
from impasto.session.opened import open_session, redo
from impasto.session.plan import plan_job
from impasto.stylizers.finished import Finished, covered, with_content_colours
from impasto.stylizers.optimised import Optimised

MakeJob = Callable[..., Job]


def test_wrappers_follow_from_the_options(small_job: MakeJob, there: Path) -> None:
    files.write(there / "mask.png", torch.ones(1, 1, 8, 8))
    masked = (StyleSource(source=str(there / "style.png"), mask=there / "mask.png"),)

    def finishes(job: Job) -> list[object]:
        stylizer, functions = open_session(job).stylizer, list[object]()
        while isinstance(stylizer, Finished):
            functions.append(stylizer.finish.func)
            stylizer = stylizer.inner
        assert isinstance(stylizer, Optimised)
        return functions

    assert finishes(small_job()) == []
    assert finishes(small_job(colour=ColourOptions(match_style="histogram"))) == []
    for name in ("keep_colours", "keep_luminance"):
        assert finishes(small_job(colour=ColourOptions(**{name: "yiq"}))) == [with_content_colours]
    assert finishes(small_job(colour=ColourOptions(match_output="covariance"))) == [with_content_colours]
    both = finishes(small_job(colour=ColourOptions(keep_colours="lab"), styles=masked))
    assert both == [covered, with_content_colours]


def test_the_work_is_what_is_painted(small_job: MakeJob) -> None:
    job = small_job(size=SizeOptions(size=80), optimise=OptimiseOptions(steps=(2, 1), scale_factor=1.5, smallest_px=40))
    planned = [size for size, count in open_session(job).work() for _ in range(count)]
    steps = list(open_session(job).steps())
    assert [step.size_hw for step in steps] == planned
    assert len(set(planned)) > 1
    assert steps[-1].index == steps[-1].total == len(planned)


def test_outside_the_mask_is_the_content(small_job: MakeJob, there: Path) -> None:
    mask = torch.zeros(1, 1, 72, 80)
    mask[..., :40] = 1
    files.write(there / "mask.png", mask)
    job = small_job(
        styles=(StyleSource(source=str(there / "style.png"), mask=there / "mask.png"),),
        paint=PaintOptions(feather=0.0),
        colour=ColourOptions(match_output="histogram"),
    )
    given = read_inputs(plan_job(job))
    *_, last = open_session(job).steps()
    picture = last.picture()
    assert torch.equal(picture[..., 26:], given.content[..., 26:])
    assert not torch.allclose(picture[..., :22], given.content[..., :22], atol=0.01)


def test_keeping_both_is_refused(small_job: MakeJob) -> None:
    job = small_job(colour=ColourOptions(keep_colours="yiq", keep_luminance="lab"))
    with pytest.raises(OptionError, match="together give the content back"):
        next(open_session(job).steps())


def test_a_time_budget_becomes_steps_that_redo_repeats(small_job: MakeJob, tmp_path: Path) -> None:
    job = small_job(optimise=OptimiseOptions(init="content", scales=1, steps=(1,), seconds=60.0))
    session = open_session(job, output=tmp_path / "o.png")
    assert session.recipe is not None
    planned = session.recipe.job.optimise
    assert (planned.seconds, len(planned.steps)) == (0.0, 1)
    steps = list(session.steps())
    assert len(steps) == steps[-1].total == planned.steps[0] == sum(count for _, count in session.work())
    session.painting(steps[-1]).save(tmp_path / "o.png")
    again = redo(tmp_path / "o.png")
    assert torch.equal(list(again.steps())[-1].image, steps[-1].image)


def test_a_paused_painting_keeps_its_planned_steps(small_job: MakeJob, tmp_path: Path) -> None:
    job = small_job(optimise=OptimiseOptions(init="content", scales=1, steps=(2,), seconds=60.0))
    session = open_session(job, output=tmp_path / "o.png")
    first = next(session.steps())
    assert session.pause(first, tmp_path / "o.png")
    resumed = open_session(job, output=tmp_path / "o.png", resume=True)
    assert resumed.job == session.job
    assert next(resumed.steps()).index == 2


def test_the_network_of_the_start_is_part_of_the_recipe(small_job: MakeJob, tmp_path: Path) -> None:
    job = small_job(optimise=OptimiseOptions(steps=(1,), scales=1), size=SizeOptions(size=64))
    session = open_session(job, output=tmp_path / "o.png")
    assert session.recipe is not None
    assert ArbitraryOptions().network in session.recipe.weights
    by_content = open_session(small_job(), output=tmp_path / "o.png")
    assert by_content.recipe is not None
    assert ArbitraryOptions().network not in by_content.recipe.weights
    assert not torch.equal(list(session.steps())[-1].image, list(by_content.steps())[-1].image)
