"""The methods: one table, held by laws that walk over it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.fast import FastOptions
from impasto.config.job import DEFAULT_METHOD, METHODS, Job, PaintOptions, StyleSource
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import ColourOptions
from impasto.config.presets import PRESETS
from impasto.core.errors import OptionError, UnknownName, WeightsError
from impasto.core.options import Options, from_dict
from impasto.image import files
from impasto.methods.arbitrary import LoadedNetwork
from impasto.methods.table import METHODS as TABLE
from impasto.methods.table import own_groups
from impasto.nets.noise import SeededNoise
from impasto.session.inputs import read_inputs
from impasto.session.job_cache import JobCache
from impasto.session.opened import open_session
from impasto.session.plan import plan_job
from impasto.session.recipe import job_again, recipe_for
from impasto.stylizers.arbitrary import Arbitrary
from impasto.weights.readers import import_weights

MakeJob = Callable[..., Job]

CHANGED: dict[str, Options] = {
    "arbitrary": ArbitraryOptions(network="other"),
    "fast": FastOptions(noise_seed=7),
    "losses": LossOptions(tv_weight=7.0),
    "optimise": OptimiseOptions(seed=7),
}
"""A group of each kind with one option that is not the default."""


def planned(job: Job) -> Job:
    """The job as its plan has it."""
    return plan_job(job).job


def job_by(method: str, **options: object) -> Job:
    source = "s.pth" if method == "fast" else "s.png"
    return Job(content="c.png", styles=(StyleSource(source=source),), paint=PaintOptions(method=method), **options)  # type: ignore[arg-type]


@pytest.fixture
def predicted_job(quick_job: MakeJob, save_network: Callable[..., Path], there: Path) -> MakeJob:
    """`predicted_job(size=…)`: painted in one pass by a network that predicts rows."""
    path = save_network(there / "narrow.safetensors", encoder=there / "tiny.safetensors", variant="predicted")

    def made(**options: object) -> Job:
        return quick_job(**{"arbitrary": ArbitraryOptions(network=str(path)), **options})

    return made


@pytest.fixture(params=[*TABLE, "predicted"])
def any_job(
    request: pytest.FixtureRequest, small_job: MakeJob, quick_job: MakeJob, learned_job: MakeJob, predicted_job: MakeJob
) -> Job:
    """A small job of each family, and of each kind of network in it."""
    jobs = {"optimise": small_job, "arbitrary": quick_job, "fast": learned_job, "predicted": predicted_job}
    return jobs[request.param]()


def test_every_method_has_a_row_and_every_group_one_owner() -> None:
    assert tuple(TABLE) == METHODS
    groups = [group for row in TABLE.values() for group in row.groups]
    shared = {"fast"}  # learned and predicted styles are painted alike
    assert sorted(groups) == sorted([*set(groups), *shared])
    assert set(groups) == CHANGED.keys() <= {field.name for field in dataclasses.fields(Job)}
    assert all(row.name == name for name, row in TABLE.items())


def test_auto_is_spelt_out() -> None:
    assert plan_job(job_by("auto")).method.name == DEFAULT_METHOD == planned(job_by("auto")).paint.method == "arbitrary"
    for method in METHODS:
        assert planned(job_by(method)).paint.method == method
        assert planned(planned(job_by(method))) == planned(job_by(method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("group", CHANGED)
def test_options_of_another_family_are_no_use(method: str, group: str) -> None:
    job = job_by(method, **{group: CHANGED[group]})
    (option,) = (n for n in vars(CHANGED[group]) if getattr(CHANGED[group], n) != getattr(type(CHANGED[group])(), n))
    if group in TABLE[method].groups:
        assert planned(job) == job
        return
    with pytest.raises(OptionError, match=f"`{option}` is an option of `method=.* Add"):
        planned(job)


def test_all_that_is_of_no_use_is_named() -> None:
    losses = LossOptions(tv_weight=7.0, style_weight=7.0, style_loss="gram")
    with pytest.raises(
        OptionError, match="`style_loss`, `style_weight` and `tv_weight` are options of `method=optimise`"
    ):
        planned(job_by("auto", losses=losses))


def test_the_default_of_auto_is_told_the_way() -> None:
    with pytest.raises(OptionError, match=r"painted by `method=arbitrary`\. Add `method=optimise`, or leave it out"):
        planned(job_by("auto", optimise=OptimiseOptions(steps=(9,))))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_the_family_that_they_are_of(name: str) -> None:
    planned(from_dict(Job, {"content": "a", "styles": [], **PRESETS[name].options}))


@pytest.mark.parametrize("method", METHODS)
def test_own_groups_are_those_that_no_other_family_has(method: str) -> None:
    kept = own_groups(job_by(method).to_dict(), method)
    assert {"content", "styles", "paint", "size", "colour", *TABLE[method].groups} == kept.keys()


@pytest.mark.parametrize(
    ("style", "options", "message"),
    [
        ({}, {"paint": PaintOptions(method="optimise")}, "`method=optimise` needs the picture"),
        ({}, {"colour": ColourOptions(match_style="histogram")}, "`match_style` changes"),
        ({"scale": 2.0}, {}, "`style_scale` is 2 for s.safetensors, whose scale was fixed"),
    ],
)
def test_what_a_saved_style_cannot_follow(style: dict[str, float], options: dict[str, Options], message: str) -> None:
    source = StyleSource(source="s.safetensors", **style)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=message):
        planned(Job(content="c.png", styles=(source,), **options))  # type: ignore[arg-type]
    planned(Job(content="c.png", styles=(dataclasses.replace(source, scale=1.0),)))


def test_every_method_paints_the_work_that_it_says(any_job: Job) -> None:
    session = open_session(any_job)
    given, steps = session.inputs, list(session.steps())
    expected = [size for size, count in session.work() for _ in range(count)]
    assert [step.size_hw for step in steps] == expected
    picture = steps[-1].picture()
    assert picture.shape == given.content.shape
    assert bool(torch.isfinite(picture).all())
    assert not torch.allclose(picture, given.content, atol=0.02)


def test_every_method_says_its_weights(any_job: Job, there: Path) -> None:
    loaded = JobCache().loaded(plan_job(any_job))
    assert loaded.dtype == torch.float32
    assert loaded.weights.keys() & {"narrow", "learned"}
    assert all(len(digest) == 64 for digest in loaded.weights.values())
    assert [Path(name).parent for name in plan_job(any_job).weights] == [there]


def test_every_method_gives_the_content_back(any_job: Job) -> None:
    job = dataclasses.replace(any_job, paint=dataclasses.replace(any_job.paint, strength=0.0))
    given = read_inputs(plan_job(job))
    *_, last = open_session(job).steps()
    assert torch.equal(last.picture(), given.content)


def test_every_method_keeps_what_lies_outside_the_masks(any_job: Job, there: Path) -> None:
    mask = torch.zeros(1, 1, 72, 80)
    mask[..., :40] = 1
    files.write(there / "mask.png", mask)
    styles = tuple(dataclasses.replace(style, mask=there / "mask.png") for style in any_job.styles)
    job = dataclasses.replace(any_job, styles=styles, paint=dataclasses.replace(any_job.paint, feather=0.0))
    given = read_inputs(plan_job(job))
    *_, last = open_session(job).steps()
    assert torch.equal(last.picture()[..., 26:], given.content[..., 26:])
    assert not torch.allclose(last.picture()[..., :22], given.content[..., :22], atol=0.01)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_seed_of_the_noise_reaches_the_picture(predicted_job: MakeJob, seed: int) -> None:
    session = open_session(predicted_job(fast=FastOptions(noise_seed=seed)))
    assert isinstance(session.loaded, LoadedNetwork)
    network = session.loaded.network
    with torch.no_grad():
        for name, parameter in network.net.named_parameters():  # type: ignore[attr-defined]
            if name.endswith(".noise"):
                parameter.fill_(0.1)
    *_, last = session.steps()
    expected = Arbitrary(network, noise=SeededNoise(seed))
    *_, wanted = expected.paint(session.inputs.content, expected.prepare(session.inputs.mix))
    assert torch.equal(last.picture(), wanted.picture())


def test_only_optimisation_grows() -> None:
    assert [name for name in METHODS if TABLE[name].gradual] == ["optimise"]


# Trained styles


@pytest.fixture
def names(there: Path, learned_file: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two trained styles by name: `candy` and `mosaic`."""
    monkeypatch.setenv("IMPASTO_CACHE", str(there / "cache"))
    for name in ("candy", "mosaic"):
        import_weights(learned_file, name=name)
    return ["candy", "mosaic"]


def of_styles(*sources: str, method: str = "auto", **options: object) -> Job:
    styles = tuple(StyleSource(source=source) for source in sources)
    return Job(content="c.png", styles=styles, paint=PaintOptions(method=method), **options)  # type: ignore[arg-type]


def test_learned_styles_choose_the_method(names: list[str], learned_file: Path, network_file: Path) -> None:
    for source in (*names, str(learned_file), "s.pth", "s.model"):
        assert planned(of_styles(source)).paint.method == "fast"
        assert planned(of_styles(source, method="fast")) == planned(of_styles(source))
    for source in ("s.png", "s.safetensors", str(network_file)):
        assert plan_job(of_styles(source)).method.name == DEFAULT_METHOD


def test_what_is_a_file_is_not_a_name(names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "candy").write_bytes(b"a picture, perhaps")
    assert plan_job(of_styles("candy")).method.name == DEFAULT_METHOD
    assert plan_job(of_styles("mosaic")).method.name == "fast"


def test_fast_networks_paint_no_pictures(names: list[str]) -> None:
    with pytest.raises(OptionError, match=r"s\.png is not a trained style, and `method=fast` paints trained"):
        planned(of_styles("candy", "s.png", method="fast"))


def test_pictures_are_needed_by_optimisation(names: list[str]) -> None:
    with pytest.raises(OptionError, match=r"candy is a trained style, .*, and `method=optimise`"):
        planned(of_styles("candy", method="optimise"))


def test_trained_styles_with_pictures_are_for_arbitrary_networks(names: list[str]) -> None:
    plan = plan_job(of_styles("candy", "s.png"))
    assert (plan.method.name, plan.weights) == ("arbitrary", ("compact-any", "candy"))


def test_unknown_names_are_told_the_nearest(names: list[str], there: Path) -> None:
    for method in ("auto", "fast"):
        job = dataclasses.replace(of_styles("cndy", method=method), content=str(there / "content.png"))
        with pytest.raises(UnknownName, match=r"no file cndy: .* mean 'candy'\? Known: .*candy.*mosaic"):
            read_inputs(plan_job(job))


@pytest.mark.parametrize(
    ("scale", "options", "message"),
    [
        (2.0, {}, "`style_scale` is 2 for candy, whose strokes have the size"),
        (1.0, {"colour": ColourOptions(match_style="histogram")}, "candy is a trained style, and `match_style`"),
    ],
)
def test_what_a_learned_style_cannot(names: list[str], scale: float, options: dict[str, Options], message: str) -> None:
    job = of_styles("candy", **options)
    job = dataclasses.replace(job, styles=(StyleSource(source="candy", scale=scale),))
    with pytest.raises(OptionError, match=message):
        planned(job)


def test_recipes_keep_names_and_find_files(
    names: list[str], learned_job: MakeJob, learned_file: Path, tmp_path: Path
) -> None:
    styles = tuple(StyleSource(source=source) for source in ("candy", str(learned_file)))
    job = planned(learned_job(styles=styles))
    made = recipe_for(plan_job(job), JobCache().loaded(plan_job(job)), folder=tmp_path)
    assert [style.source for style in made.job.styles] == ["candy", "in/learned.safetensors"]
    assert made.inputs.keys() == {"in/content.png", "in/learned.safetensors"}
    assert made.weights.keys() == {"candy", "learned"}
    assert job_again(made, folder=tmp_path) == job
    assert (
        recipe_for(plan_job(job), JobCache().loaded(plan_job(job)), folder=tmp_path / "b").moved(
            tmp_path / "b", tmp_path
        )
        == made
    )


def test_weights_that_are_no_learned_style(there: Path, network_file: Path, learned_job: MakeJob) -> None:
    with pytest.raises(WeightsError, match=r"none\.pth does not exist"):
        JobCache().loaded(plan_job(learned_job(styles=(StyleSource(source=str(there / "none.pth")),))))
    torch.save(torch.zeros(3), there / "x.pth")
    with pytest.raises(WeightsError, match="holds a Tensor"):
        JobCache().loaded(plan_job(learned_job(styles=(StyleSource(source=str(there / "x.pth")),))))
