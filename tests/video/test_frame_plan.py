"""The network that paints frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from clips import film, panned

from impasto.config.arbitrary import SMALL_NETWORK, FrameNetworkOptions
from impasto.config.job import Job
from impasto.image.files import Picture
from impasto.video.film_session import film_again, open_film
from impasto.video.frame_plan import frame_plan
from impasto.weights.catalogue import Installed

Make = Callable[..., Job]


def test_auto_is_the_small_network_where_every_style_is_a_picture(
    quick_job: Make, learned_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = Picture(torch.full((1, 3, 48, 64), 0.5))
    small = Installed(name=SMALL_NETWORK, path=Path("small"), origin="bundled", size_bytes=1)
    found = []
    for there in ([], [small]):
        monkeypatch.setattr("impasto.video.frame_plan.installed", lambda there=there: there)
        for make in (quick_job, learned_job):
            job = dataclasses.replace(make(), arbitrary=FrameNetworkOptions())
            found.append(frame_plan(job, content=grey).job.arbitrary.network)
    assert found == ["compact-any", "compact-any", SMALL_NETWORK, "compact-any"]


def test_the_recipe_of_a_film_names_the_network_that_auto_was(tmp_path: Path, quick_job: Make) -> None:
    source = film(tmp_path / "in.mp4", panned(3, size_hw=(48, 64)))
    job = dataclasses.replace(quick_job(content=str(source)), arbitrary=FrameNetworkOptions())
    session = open_film(job, tmp_path / "out.mkv")
    assert session.session.job.arbitrary.network == SMALL_NETWORK
    assert session.record()
    again, _ = film_again(tmp_path / "out.mkv")
    assert again.arbitrary.network == SMALL_NETWORK
