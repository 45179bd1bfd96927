"""The network that paints frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from clips import film, panned

from impasto.config.arbitrary import AUTO, SMALL_NETWORK, FrameNetworkOptions
from impasto.config.job import Job, StyleSource
from impasto.image.files import Picture
from impasto.video.film_session import film_again, open_film
from impasto.video.frame_plan import frame_plan
from impasto.weights import catalogue

Make = Callable[..., Job]


WAVE, SMALL_WAVE = "wave", "compact-styles-half#wave"


def planned(job: Job, network: str = AUTO) -> tuple[str, list[str]]:
    """The network for pictures and the style texts that frames of the job are painted with."""
    frames = dataclasses.replace(job, arbitrary=FrameNetworkOptions(network=network))
    plan = frame_plan(frames, content=Picture(torch.full((1, 3, 48, 64), 0.5)))
    assert [style.source for style in plan.styles] == list(plan.job.styles)
    return plan.job.arbitrary.network, [style.source for style in plan.job.styles]


def in_styles(job: Job, *texts: str) -> Job:
    """The job with these trained styles, and its own style where the text is empty."""
    (own,) = job.styles
    paint = dataclasses.replace(job.paint, method="auto")
    styles = tuple(StyleSource(source=text, weight=0.5, mask=own.mask) if text else own for text in texts)
    return dataclasses.replace(job, styles=styles, paint=paint)


def test_auto_is_the_small_networks_where_every_style_has_one(quick_job: Make, learned_job: Make) -> None:
    picture, file = (make().styles[0].source for make in (quick_job, learned_job))
    found = {texts: planned(in_styles(quick_job(), *texts)) for texts in (("",), (WAVE,), (WAVE, ""), (WAVE, file))}
    assert found == {
        ("",): (SMALL_NETWORK, [picture]),
        (WAVE,): ("compact-any", [SMALL_WAVE]),
        (WAVE, ""): (SMALL_NETWORK, [SMALL_WAVE, picture]),
        (WAVE, file): ("compact-any", [WAVE, file]),
    }
    assert planned(in_styles(quick_job(), WAVE, ""), "compact-any") == ("compact-any", [WAVE, picture])


def test_a_weight_stays_with_the_small_network(quick_job: Make) -> None:
    job = dataclasses.replace(in_styles(quick_job(), WAVE, ""), arbitrary=FrameNetworkOptions())
    plan = frame_plan(job, content=Picture(torch.full((1, 3, 48, 64), 0.5)))
    assert [style.weight for style in plan.job.styles] == [style.weight for style in job.styles]


@pytest.mark.parametrize("missing", [SMALL_NETWORK, "compact-styles-half"])
def test_auto_is_the_full_network_where_a_small_one_is_missing(
    missing: str, quick_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row for row in catalogue.installed() if row.name != missing]
    monkeypatch.setattr(catalogue, "installed", lambda: rows)
    job = in_styles(quick_job(), WAVE, "")
    assert planned(job) == ("compact-any", [style.source for style in job.styles])


def test_the_recipe_of_a_film_names_the_network_that_auto_was(tmp_path: Path, quick_job: Make) -> None:
    source = film(tmp_path / "in.mp4", panned(3, size_hw=(48, 64)))
    job = dataclasses.replace(quick_job(content=str(source)), arbitrary=FrameNetworkOptions())
    session = open_film(job, tmp_path / "out.mkv")
    assert session.session.job.arbitrary.network == SMALL_NETWORK
    assert session.record()
    again, _ = film_again(tmp_path / "out.mkv")
    assert again.arbitrary.network == SMALL_NETWORK
