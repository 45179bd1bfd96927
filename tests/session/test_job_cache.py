"""What the jobs of a batch share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.config.job import Job, StyleSource
from impasto.config.pictures import ColourOptions, SizeOptions
from impasto.core.errors import ImageUnreadable
from impasto.image import files
from impasto.session.inputs import read_inputs
from impasto.session.job_cache import JobCache
from impasto.session.opened import open_session
from impasto.session.plan import plan_job

MakeJob = Callable[..., Job]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that are read."""
    seen: list[str] = []
    read = files.read

    def watched(path: str | Path, **more: Any) -> files.Picture:
        seen.append(Path(path).name)
        return read(path, **more)

    monkeypatch.setattr(files, "read", watched)
    return seen


def painted(job: Job, cache: JobCache) -> Tensor:
    *_, last = open_session(job, cache=cache).steps()
    return last.picture()


def test_styles_and_the_content_are_read_once(quick_job: MakeJob, reads: list[str], there: Path) -> None:
    cache = JobCache(codes=True)
    files.write(there / "wave.png", files.read(there / "style.png").pixels.flip(1))
    reads.clear()
    styles = [StyleSource(source=str(there / name)) for name in ("style.png", "wave.png")]
    for content in ("content.png", "style.png"):
        for style in styles:
            read_inputs(plan_job(quick_job(content=str(there / content), styles=(style,))), cache=cache)
    assert reads == ["content.png", "style.png", "wave.png", "style.png"]


def test_a_shared_code_paints_the_same(quick_job: MakeJob) -> None:
    cache = JobCache(codes=True)
    apart, first, second = (painted(quick_job(), s) for s in (JobCache(), cache, cache))
    assert torch.equal(apart, first)
    assert torch.equal(apart, second)
    (style,) = read_inputs(plan_job(quick_job()), cache=cache).mix.styles
    assert style.picture is None


@pytest.mark.parametrize(
    "change",
    [
        {"size": SizeOptions(size=40)},
        {"colour": ColourOptions(match_style="covariance")},
        {"styles": "scaled"},
    ],
    ids=["size", "match-style", "scale"],
)
def test_what_changes_the_code_is_not_shared(
    change: dict[str, Any], quick_job: MakeJob, reads: list[str], there: Path
) -> None:
    cache = JobCache(codes=True)
    if change.get("styles"):
        change = {"styles": (StyleSource(source=str(there / "style.png"), scale=2.0),)}
    read_inputs(plan_job(quick_job()), cache=cache)
    reads.clear()
    again = quick_job(**change)
    shared, alone = painted(again, cache), painted(again, JobCache())
    assert "style.png" in reads
    assert torch.equal(shared, alone)


def test_files_that_change_are_read_again(quick_job: MakeJob, there: Path) -> None:
    cache = JobCache(codes=True)
    before = painted(quick_job(), cache)
    for name in ("style.png", "content.png"):
        files.write(there / name, files.read(there / name).pixels.flip(1, 3)[..., :60])
        after = painted(quick_job(), cache)
        assert after.shape != before.shape or not torch.equal(after, before)
        assert torch.equal(after, painted(quick_job(), JobCache()))
        before = after


def test_there_is_an_end_to_its_memory(quick_job: MakeJob, reads: list[str], there: Path) -> None:
    cache = JobCache(codes=True, codes_bytes=100)  # the code of relu4_1 has 64 bytes
    files.write(there / "wave.png", files.read(there / "style.png").pixels.flip(1))
    reads.clear()
    for _ in range(2):
        for name in ("style.png", "wave.png"):
            read_inputs(plan_job(quick_job(styles=(StyleSource(source=str(there / name)),))), cache=cache)
    assert reads == ["content.png", "style.png", "wave.png", "wave.png"]


def test_pictures_stay_where_no_codes_are_wanted(quick_job: MakeJob, small_job: MakeJob) -> None:
    for job, cache in ((quick_job(), JobCache()), (small_job(), JobCache(codes=True))):
        (style,) = read_inputs(plan_job(job), cache=cache).mix.styles
        assert style.picture is not None


def test_other_weights_take_the_place(quick_job: MakeJob, small_job: MakeJob) -> None:
    cache = JobCache()
    first = cache.loaded(plan_job(quick_job()))
    assert cache.loaded(plan_job(quick_job(size=SizeOptions(size=32)))) is first
    rough = dataclasses.replace(quick_job(), paint=dataclasses.replace(quick_job().paint, precision="bfloat16"))
    assert cache.loaded(plan_job(rough)).dtype == torch.bfloat16
    assert cache.loaded(plan_job(small_job())).weights.keys() == {"narrow"}


def test_a_bad_style_is_told_each_time(quick_job: MakeJob, there: Path) -> None:
    cache = JobCache(codes=True)
    for _ in range(2):
        with pytest.raises(ImageUnreadable, match="none"):
            read_inputs(plan_job(quick_job(styles=(StyleSource(source=str(there / "none.png")),))), cache=cache)
