"""The default family, as a program calls it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto import api
from impasto.api import ArbitraryOptions, Job, JobCache, PaintOptions
from impasto.config.analysis import SweepOptions
from impasto.core.errors import OptionError, StateError
from impasto.image import files
from impasto.metrics.table import METRICS

MakeJob = Callable[..., Job]
Stylize = Callable[..., api.Painting]


@pytest.fixture
def stylize(network_file: Path) -> Stylize:
    def painted(content: Any, style: Any, **more: Any) -> api.Painting:
        options = {"size": 48, "arbitrary": ArbitraryOptions(network=str(network_file)), **more}
        return api.stylize(content, style, **options)

    return painted


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


def test_one_pass_is_the_default(stylize: Stylize, there: Path) -> None:
    painted = stylize(there / "content.png", there / "style.png")
    assert painted.recipe is not None
    assert painted.recipe.job.paint.method == "arbitrary"
    assert painted.pixels.shape == (1, 3, 43, 48)
    assert not torch.allclose(painted.pixels, stylize(there / "content.png", there / "content.png").pixels, atol=0.01)


def test_pictures_in_memory_and_saved_styles(stylize: Stylize, there: Path, network_file: Path) -> None:
    content, style = (files.read(there / f"{name}.png").pixels for name in ("content", "style"))
    by_name = stylize(there / "content.png", there / "style.png").pixels
    assert torch.equal(stylize(content, style).pixels, by_name)
    assert torch.equal(stylize(there / "content.png", style).pixels, by_name)
    kept = there / "kept.safetensors"
    card = api.save_style(style, kept, size=48, network=str(network_file))
    assert card.source == "(in memory)"
    precise = {"paint": PaintOptions(precision="float32")}
    exact = stylize(content, style, **precise).pixels
    assert torch.equal(stylize(content, kept, **precise).pixels, exact)
    assert torch.equal(stylize(there / "content.png", str(kept), **precise).pixels, exact)
    mixed = stylize(content, [(kept, 0.5), (content, 0.5)], **precise).pixels
    assert not torch.allclose(mixed, exact, atol=1e-3)


def test_a_weight_below_0_leads_away(stylize: Stylize, photo: Tensor, painting: Tensor) -> None:
    alone = stylize(photo, painting).pixels
    assert torch.equal(stylize(photo, [(painting, 2), (photo, 0)]).pixels, alone)
    assert not torch.allclose(stylize(photo, [(painting, 1.5), (photo, -0.5)]).pixels, alone, atol=1e-3)
    with pytest.raises(OptionError, match="add up to"):
        stylize(photo, [(painting, 1), (photo, -1)])


def test_the_method_is_a_parameter(stylize: Stylize, photo: Tensor, painting: Tensor, small_job: MakeJob) -> None:
    job = small_job()
    options = {"size": 48, "losses": job.losses, "optimise": job.optimise}
    named = api.stylize(photo, painting, method="optimise", paint=PaintOptions(precision="float32"), **options)
    assert torch.equal(named.pixels, api.stylize(photo, painting, paint=job.paint, **options).pixels)
    with pytest.raises(OptionError, match="are options of `method=optimise`"):
        api.stylize(photo, painting, **options)
    with pytest.raises(OptionError, match="`network` is an option of `method=arbitrary`"):
        stylize(photo, painting, method="optimise")


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_redo_is_equal_bit_for_bit(strength: float, quick_job: MakeJob, there: Path) -> None:
    job = quick_job(paint=PaintOptions(strength=strength))
    cache = JobCache(codes=True)
    for name in ("a", "b"):  # with a code that is made and one that is kept
        begun = api.open_session(job, output=there / f"{name}.png", cache=cache)
        *_, last = begun.steps()
        begun.painting(last).save(there / f"{name}.png")
    again = api.redo(there / "b.png", output=there / "c.png")
    *_, last = again.steps()
    again.painting(last).save(there / "c.png")
    assert (there / "a.png").read_bytes() == (there / "b.png").read_bytes() == (there / "c.png").read_bytes()


@pytest.mark.parametrize("name", ["net", "tiny"])
def test_redo_checks_network_and_encoder(
    name: str, quick_job: MakeJob, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = api.open_session(quick_job(), output=there / "a.png")
    *_, last = begun.steps()
    begun.painting(last).save(there / "a.png")
    found = api.recipe_of(there / "a.png")
    card = {"net": "net", "tiny": "narrow"}[name]
    monkeypatch.setattr(
        "impasto.session.opened.recipe_of",
        lambda path: dataclasses.replace(found, weights={**found.weights, card: "0" * 64}),
    )
    with pytest.raises(StateError, match=f"the weights of {card} are not those"):
        api.redo(there / "a.png")


def test_there_is_nothing_to_go_on_with(quick_job: MakeJob, there: Path) -> None:
    with pytest.raises(OptionError, match="`resume` continues a stopped painting of `method=optimise`"):
        api.open_session(quick_job(), output=there / "a.png", resume=True)
    begun = api.open_session(quick_job(), output=there / "a.png")
    assert begun.pause(next(begun.steps()), there / "a.png") is None


def test_a_sweep_of_one_pass(quick_job: MakeJob, there: Path) -> None:
    options = SweepOptions(measure_with=str(there / "tiny.safetensors"))
    results = api.sweep(quick_job(), ["strength=0.5,1"], folder=there / "s", options=options)
    assert [run.record.error for run in results] == ["", ""]
    assert all(run.record.measures for run in results)
    assert all(
        result.kept for result in api.sweep(quick_job(), ["strength=0.5,1"], folder=there / "s", options=options)
    )
    with pytest.raises(OptionError, match="`seed` is an option of `method=optimise`"):
        api.sweep(quick_job(), ["seed=1,2"], folder=there / "t", options=options)
    assert not (there / "t").exists()


def test_a_sweep_of_a_saved_style_has_no_style_measures(quick_job: MakeJob, there: Path, network_file: Path) -> None:
    api.save_style(there / "style.png", there / "kept.safetensors", size=48, network=str(network_file))
    styles = (api.StyleSource(source=str(there / "kept.safetensors")),)
    (result,) = api.sweep(quick_job(styles=styles), ["strength=1"], folder=there / "s")
    assert "ssim" in result.record.measures
    assert not [name for name in result.record.measures if METRICS[name].of == "style"]
    assert "no style measures for kept.safetensors: name its picture" in result.record.note
    assert "name its picture with `style_picture`" in (there / "s" / "report.html").read_text()


def test_a_picture_named_for_a_saved_style_gives_its_measures(
    quick_job: MakeJob, there: Path, network_file: Path
) -> None:
    api.save_style(there / "style.png", there / "kept.safetensors", size=48, network=str(network_file))
    options = SweepOptions(style_picture=(there / "style.png",))
    saved = quick_job(styles=(api.StyleSource(source=str(there / "kept.safetensors")),))
    (from_code,) = api.sweep(saved, ["strength=1"], folder=there / "s", options=options)
    (from_picture,) = api.sweep(quick_job(), ["strength=1"], folder=there / "t")
    assert from_code.record.note == ""
    assert from_code.record.measures == pytest.approx(from_picture.record.measures)
    with pytest.raises(OptionError, match="2 `style_picture` for 1 styles"):
        api.sweep(
            saved,
            ["strength=1"],
            folder=there / "u",
            options=SweepOptions(style_picture=(there / "style.png",) * 2),
        )
