"""Stopped paintings on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.config.job import Job
from impasto.core.errors import StateError
from impasto.session import pause
from impasto.session.job_cache import JobCache
from impasto.session.opened import open_session
from impasto.session.plan import plan_job
from impasto.session.recipe import Recipe, recipe_for
from impasto.stylizers.optimised import PaintedStep

MakeJob = Callable[..., Job]


@pytest.fixture
def made(small_job: MakeJob, tmp_path: Path) -> Recipe:
    job = small_job()
    return recipe_for(plan_job(job), JobCache().loaded(plan_job(job)), folder=tmp_path)


@pytest.fixture
def state_file(made: Recipe, small_job: MakeJob, tmp_path: Path) -> Path:
    """The state after the first of three steps."""
    job = small_job()
    step = next(open_session(job).steps())
    assert isinstance(step, PaintedStep)
    assert step.pause is not None
    path = pause.path_for(tmp_path / "o.png")
    pause.save_state(step.pause(), made, path=path)
    return path


def test_it_lies_beside_its_output(tmp_path: Path) -> None:
    assert pause.path_for(tmp_path / "o.png") == tmp_path / "o.png.paused"
    assert pause.path_for(tmp_path / "o.jpg") != pause.path_for(tmp_path / "o.png")


def test_going_on_is_as_if_never_stopped(small_job: MakeJob, made: Recipe, state_file: Path) -> None:
    job = small_job()
    whole = list(open_session(job).steps())
    rest = list(dataclasses.replace(open_session(job), resume=pause.load_state(state_file, made)).steps())
    assert [step.index for step in rest] == [2, 3]
    assert torch.equal(rest[-1].image, whole[-1].image)


def test_none_there(made: Recipe, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nothing was stopped"):
        pause.load_state(tmp_path / "o.png.paused", made)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_cut_short(share: float, made: Recipe, state_file: Path) -> None:
    data = state_file.read_bytes()
    state_file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(StateError, match="is damaged") as caught:
        pause.load_state(state_file, made)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"hello", b"\x80\x04K\x01.", b"PK\x03\x04", bytes(range(256))])
def test_something_else(data: bytes, made: Recipe, state_file: Path) -> None:
    state_file.write_bytes(data)
    with pytest.raises(StateError, match="is damaged"):
        pause.load_state(state_file, made)


@pytest.mark.parametrize("content", [{}, [1], {"recipe": "x", "paused": {}}, {"recipe": None, "paused": None}])
def test_a_file_of_torch_that_is_no_state(content: object, made: Recipe, state_file: Path) -> None:
    torch.save(content, state_file)
    with pytest.raises(StateError, match="is damaged"):
        pause.load_state(state_file, made)


def test_a_state_without_its_parts(made: Recipe, state_file: Path) -> None:
    torch.save({"recipe": made.to_json(), "paused": {"scale": 0}}, state_file)
    with pytest.raises(StateError, match="is damaged"):
        pause.load_state(state_file, made)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("scale",), "x"),
        (("scale",), -1),
        (("scale",), 99),
        (("step",), 1.5),
        (("step",), 10**9),
        (("begin",), [1]),
        (("state",), []),
        (("state",), {}),
        (("state", "canvas"), 3),
        (("state", "canvas"), torch.zeros(3)),
        (("state", "rate"), "fast"),
        (("state", "stalls"), None),
        (("state", "good"), "x"),
        (("state", "pairs"), 7),
    ],
)
def test_edited_states(
    place: tuple[str, ...], value: object, made: Recipe, small_job: MakeJob, state_file: Path
) -> None:
    stored = torch.load(state_file, weights_only=True)
    part = stored["paused"]
    for name in place[:-1]:
        part = part[name]
    assert place[-1] in part
    part[place[-1]] = value
    torch.save(stored, state_file)
    with pytest.raises(StateError, match=r"damaged|saved state") as caught:
        list(dataclasses.replace(open_session(small_job()), resume=pause.load_state(state_file, made)).steps())
    assert "\n" not in str(caught.value)


def test_another_jobs(made: Recipe, state_file: Path) -> None:
    other = dataclasses.replace(
        made, job=dataclasses.replace(made.job, paint=dataclasses.replace(made.job.paint, strength=2.0))
    )
    with pytest.raises(StateError, match=r"of another job: job\.paint\.strength differ"):
        pause.load_state(state_file, other)
    threads = dataclasses.replace(made, made_with={**made.made_with, "threads": 99})
    with pytest.raises(StateError, match=r"made_with\.threads differ"):
        pause.load_state(state_file, threads)
