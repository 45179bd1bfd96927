"""Beginning, pausing and repeating jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from impasto import api
from impasto.api import Job, JobCache, OptimiseOptions, PaintOptions
from impasto.config.job import StyleSource
from impasto.config.optimise import LossOptions
from impasto.config.pictures import SizeOptions
from impasto.core.errors import StateError
from impasto.image import files
from impasto.methods.optimise import LoadedEncoder
from impasto.stylizers.optimised import Optimised

MakeJob = Callable[..., Job]


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


def saved(job: Job, path: Path) -> api.Painting:
    begun = api.open_session(job, output=path)
    *_, last = begun.steps()
    finished = begun.painting(last)
    finished.save(path)
    return finished


@pytest.mark.parametrize("init", ["content", "noise"])
def test_redo_is_equal_bit_for_bit(init: str, small_job: MakeJob, there: Path) -> None:
    job = small_job(optimise=OptimiseOptions(steps=(3,), scales=1, init=init, seed=4))
    saved(job, there / "a.png")
    again = api.redo(there / "a.png", output=there / "b.png")
    *_, last = again.steps()
    again.painting(last).save(there / "b.png")
    assert (there / "a.png").read_bytes() == (there / "b.png").read_bytes()


@pytest.mark.parametrize("method", ["arbitrary", "fast", "optimise"])
def test_every_method_paints_the_rest_and_paints_it_again(
    method: str, small_job: MakeJob, quick_job: MakeJob, learned_job: MakeJob, save_learned: Any, there: Path
) -> None:
    left = torch.zeros(1, 1, 48, 48)
    left[..., :24] = 1
    files.write(there / "left.png", left)
    files.write(there / "right.png", 1 - left)
    job = {"arbitrary": quick_job, "fast": learned_job, "optimise": small_job}[method](
        size=SizeOptions(exact=(48, 48)), paint=PaintOptions(feather=0.0)
    )
    other = save_learned(there / "other.safetensors", seed=2) if method == "fast" else there / "content.png"
    sources = (job.styles[0].source, str(other))

    def with_masks(*masks: Path) -> Job:
        pairs = zip(sources, masks, strict=True)
        return dataclasses.replace(job, styles=tuple(StyleSource(source=name, mask=mask) for name, mask in pairs))

    saved(with_masks(there / "left.png", Path("rest")), there / "a.png")
    saved(with_masks(there / "left.png", there / "right.png"), there / "whole.png")
    assert torch.equal(files.read(there / "a.png").pixels, files.read(there / "whole.png").pixels)
    again = api.redo(there / "a.png", output=there / "b.png")
    *_, last = again.steps()
    again.painting(last).save(there / "b.png")
    assert (there / "a.png").read_bytes() == (there / "b.png").read_bytes()


def test_redo_computes_with_the_threads_it_was_made_with(small_job: MakeJob, there: Path) -> None:
    torch.set_num_threads(2)
    saved(small_job(), there / "a.png")
    torch.set_num_threads(1)
    again = api.redo(there / "a.png")
    assert (again.threads, torch.get_num_threads()) == (2, 1)
    assert again.recipe is not None
    assert again.recipe.to_json() == api.recipe_of(there / "a.png").to_json()
    assert api.redo(there / "a.png", threads=3).threads == 3


def test_threads_are_set_within_steps_only(small_job: MakeJob, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    paint = Optimised.paint

    def watched(*args: Any, **named: Any) -> Iterator[object]:
        for step in paint(*args, **named):
            seen.append(torch.get_num_threads())
            yield step

    monkeypatch.setattr(Optimised, "paint", watched)
    begun = dataclasses.replace(api.open_session(small_job(), output=there / "a.png"), threads=2)
    for _ in begun.steps():
        assert torch.get_num_threads() == 1
    assert seen == [2, 2, 2]
    steps = begun.steps()
    next(steps)
    steps.close()  # type: ignore[attr-defined]


def test_threads_are_set_back_when_painting_fails(small_job: MakeJob, there: Path) -> None:
    begun = api.open_session(small_job(), output=there / "a.png")
    broken = dataclasses.replace(begun.plan, job=dataclasses.replace(begun.job, losses=LossOptions(style_loss="none")))
    with pytest.raises(api.ImpastoError, match="unknown style loss"):
        next(dataclasses.replace(begun, plan=broken, threads=2).steps())


def others(plan: api.Plan) -> LoadedEncoder:
    """The method of the plan with other weights of the same name."""
    loaded = plan.method.load(plan.job, plan.styles, device=torch.device("cpu"))
    assert isinstance(loaded, LoadedEncoder)
    return LoadedEncoder(dataclasses.replace(loaded.encoder, sha256="0" * 64))


def test_other_weights_are_refused(small_job: MakeJob, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(small_job(), there / "a.png")
    monkeypatch.setattr(JobCache, "loaded", lambda self, plan, progress=None: others(plan))
    with pytest.raises(StateError, match="the weights of narrow are not those"):
        api.redo(there / "a.png")


def test_what_cannot_be_repeated(small_job: MakeJob, there: Path) -> None:
    with pytest.raises(StateError, match="carries no recipe"):
        api.redo(there / "content.png")
    with pytest.raises(StateError, match=r"none\.json cannot be read"):
        api.redo(there / "none.json")
    (there / "odd.json").write_bytes(b"\xff\xfe")
    with pytest.raises(StateError, match=r"odd\.json cannot be read"):
        api.redo(there / "odd.json")
    saved(small_job(), there / "a.png")
    (there / "style.png").unlink()
    with pytest.raises(StateError, match=r"style\.png is missing"):
        api.redo(there / "a.png")


def test_pausing_and_going_on(small_job: MakeJob, there: Path) -> None:
    whole = saved(small_job(), there / "whole.png")
    output = there / "o.png"
    assert api.paused_path(output) is None
    begun = api.open_session(small_job(), output=output)
    state = begun.pause(next(begun.steps()), output)
    assert state == api.paused_path(output)
    resumed = api.open_session(small_job(), output=output, resume=True)
    steps = list(resumed.steps())
    assert [step.index for step in steps] == [2, 3]
    assert torch.equal(resumed.painting(steps[-1]).pixels, whole.pixels)
    resumed.forget(output)
    resumed.forget(output)
    assert api.paused_path(output) is None
    with pytest.raises(StateError, match="nothing was stopped"):
        api.open_session(small_job(), output=output, resume=True)


def test_what_has_no_state(small_job: MakeJob, there: Path) -> None:
    output = there / "o.png"
    begun = api.open_session(small_job(paint=PaintOptions(strength=0.0)), output=output)
    (only,) = begun.steps()
    assert begun.pause(only, output) is None
    unnamed = dataclasses.replace(api.open_session(small_job(), output=output), recipe=None)
    assert unnamed.pause(next(unnamed.steps()), output) is None
    assert api.paused_path(output) is None


def test_a_picture_at_any_step_has_the_outputs_size(small_job: MakeJob, there: Path) -> None:
    options = OptimiseOptions(steps=(1,), scale_factor=1.3, smallest_px=32)
    begun = api.open_session(small_job(optimise=options), output=there / "o.png")
    steps = list(begun.steps())
    assert steps[0].size_hw != steps[-1].size_hw
    assert len(steps) == sum(count for _, count in begun.work())
    for step in steps:
        assert begun.painting(step).pixels.shape == begun.inputs.content.shape


def test_weights_that_are_loaded_already(small_job: MakeJob, there: Path) -> None:
    cache = api.JobCache()
    first, second = (api.open_session(small_job(), output=there / f"{n}.png", cache=cache) for n in (1, 2))
    assert first.loaded is second.loaded
    assert first.inputs.content is second.inputs.content


def test_a_sweep_into_a_file(small_job: MakeJob, there: Path) -> None:
    with pytest.raises(api.OptionError, match="is not a folder"):
        api.sweep(small_job(), ["strength=0,1"], folder=there / "style.png")
    assert files.read(there / "style.png").size_hw == (64, 76)
