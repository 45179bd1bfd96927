"""What does not fit into memory is refused before anything large is read, with the size that fits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.config.job import Job
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import SizeOptions
from impasto.core.errors import ImageTooLarge
from impasto.encoders.table import Encoder
from impasto.session import memory
from impasto.session.job_cache import JobCache
from impasto.session.opened import open_session, redo
from impasto.session.plan import plan_job
from impasto.stylizers.curvature import KEEPS
from impasto.stylizers.footprint import Footprint

MakeJob = Callable[..., Job]
LAYERS = LossOptions(content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1"))


def sized(job: Job, long_side_px: int, *, memory_gb: float = 3.2) -> Job:
    paint = dataclasses.replace(job.paint, memory_gb=memory_gb)
    return dataclasses.replace(job, size=SizeOptions(size=long_side_px), paint=paint)


def check(job: Job) -> None:
    plan = plan_job(job)
    memory.check_memory(plan, JobCache().loaded(plan))


def test_a_canvas_that_is_too_large_is_refused_with_the_size_that_fits(
    small_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    with pytest.raises(ImageTooLarge, match=r"needs about [\d.]+ GB of memory, and `memory_gb` is 3\.2\.") as caught:
        open_session(sized(small_job(), 40000))
    fits = re.search(r"`size=(\d+)`", str(caught.value))
    needs = re.search(r"`memory_gb=([\d.]+)`", str(caught.value))
    assert fits is not None
    assert needs is not None
    check(sized(small_job(), int(fits[1])))
    check(sized(small_job(), 40000, memory_gb=float(needs[1])))
    with pytest.raises(ImageTooLarge):
        check(sized(small_job(), round(1.03 * int(fits[1]))))


@pytest.mark.parametrize("method", ["optimise", "arbitrary", "fast"])
def test_every_method_needs_the_memory_of_the_machine(
    method: str, small_job: MakeJob, quick_job: MakeJob, learned_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 2_000_000_000)
    job = {"optimise": small_job, "arbitrary": quick_job, "fast": learned_job}[method]()
    with pytest.raises(ImageTooLarge, match=r"and 2\.0 GB are free\. .* px fit \(`size=\d+`\); or give `force`"):
        open_session(sized(job, 30000, memory_gb=1000), force=False)
    check(sized(job, 256, memory_gb=0))  # little is never refused


def test_force_is_not_offered_where_there_is_no_such_option(
    small_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 2_000_000_000)
    with pytest.raises(ImageTooLarge, match=r"px fit \(`size=\d+`\)\.$"):
        open_session(sized(small_job(), 40000, memory_gb=1000))


def test_force_goes_on(small_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGE_BYTES", 0)
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    with pytest.raises(ImageTooLarge):
        open_session(sized(small_job(), 48))
    open_session(sized(small_job(), 48), force=True)


def test_redo_needs_the_memory_of_the_machine(small_job: MakeJob, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(sized(small_job(), 48, memory_gb=0.1))
    *_, last = session.steps()
    session.painting(last).save(there / "a.png")
    monkeypatch.setattr(memory, "LARGE_BYTES", 0)
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**12)
    redo(there / "a.png")  # it was painted with so little already
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    with pytest.raises(ImageTooLarge, match=r"about [\d.]+ GB of memory, and 0\.0 GB are free\. Close .* `force`"):
        redo(there / "a.png")
    redo(there / "a.png", force=True)


def test_more_memory_is_never_slower(encoder: Encoder) -> None:
    footprint = Footprint(encoder, LAYERS, OptimiseOptions(history=20))
    ways = [footprint.chosen((2000, 3000), round(room * 1e9)) for room in (0.1, 1, 2, 3, 4, 6, 9, 15)]
    order = [(way.block_px or 10**12, -list(KEEPS).index(way.keep)) for way in ways]
    assert order == sorted(order)
    assert ways[-1].whole
    assert ways[0].keep == "disk"
    assert footprint.chosen((2000, 3000), None).whole


def test_losses_that_are_not_sums_are_computed_whole(encoder: Encoder) -> None:
    sliced = dataclasses.replace(LAYERS, style_loss="sliced")
    assert Footprint(encoder, sliced, OptimiseOptions()).chosen((2000, 3000), 0).whole
    whole, blocks = (Footprint(encoder, losses, OptimiseOptions()).least((2000, 3000)) for losses in (sliced, LAYERS))
    assert whole > 2 * blocks
