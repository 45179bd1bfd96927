"""Names of trained styles: of networks of one style and of many, by name and by file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.config.job import Job, StyleSource
from impasto.core.errors import OptionError, StateError, UnknownName, WeightsError
from impasto.methods.fast import LoadedStyles
from impasto.methods.one_pass import load_trained
from impasto.session.job_cache import JobCache
from impasto.session.plan import plan_job
from impasto.session.recipe import job_again, recipe_for
from impasto.styles.catalogue import StyleCatalogue
from impasto.styles.resolved import TrainedStyle
from impasto.styles.text import StyleName, split_name
from impasto.weights.catalogue import CATALOGUE, FAST, CatalogueEntry
from impasto.weights.readers import import_weights

Save = Callable[..., Path]
MakeJob = Callable[..., Job]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    for name in list(CATALOGUE):  # other bundled networks have names of their own
        if CATALOGUE[name].kind == FAST:
            monkeypatch.delitem(CATALOGUE, name)
    return tmp_path


@pytest.fixture
def row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> CatalogueEntry:
    """A row of the catalogue for a network of styles, which is not on this machine."""
    entry = CatalogueEntry(
        name="compact-styles",
        kind=FAST,
        checkpoint_format="impasto",
        urls=("https://example.invalid/compact-styles.safetensors",),
        licence="MIT",
        about="styles",
    )
    monkeypatch.setitem(CATALOGUE, entry.name, entry)
    return entry


@pytest.fixture
def here(folder: Path, row: CatalogueEntry, save_learned: Save) -> Path:
    """`wave`, `scream` and `muse` in the catalogue's network; `scream` and `fair` in `mine`; `candy` by itself."""
    (folder / "cache").mkdir()
    save_learned(folder / "cache" / row.file_name, styles=("wave", "scream", "muse"))
    import_weights(save_learned(folder / "mine.safetensors", seed=2, styles=("scream", "fair")))
    import_weights(save_learned(folder / "candy.safetensors", seed=3))
    return folder


def job_of(*sources: str) -> Job:
    return Job(content="c.png", styles=tuple(StyleSource(source=source) for source in sources))


def trained(sources: list[str]) -> LoadedStyles:
    """The networks of the styles."""
    catalogue = StyleCatalogue()
    styles = [TrainedStyle(source=StyleSource(source=text), at=catalogue.named(text)) for text in sources]
    return LoadedStyles(load_trained(styles, precision="float32"))


def test_every_style_has_its_name(here: Path) -> None:
    assert StyleCatalogue().names == ["candy", "fair", "muse", "scream", "wave"]
    assert StyleCatalogue().networks == {
        "compact-styles": ("wave", "scream", "muse"),
        "candy": ("candy",),
        "mine": ("scream", "fair"),
    }


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("wave", StyleName("compact-styles", "wave")),
        ("fair", StyleName("mine", "fair")),
        ("compact-styles#wave", StyleName("compact-styles", "wave")),
        ("mine#scream", StyleName("mine", "scream")),
        ("mine.safetensors#scream", StyleName("mine.safetensors", "scream")),
        ("candy", StyleName("candy")),
        ("candy#candy", StyleName("candy")),
        ("candy.safetensors", StyleName("candy.safetensors")),
        ("none.pth#x", StyleName("none.pth", "x")),
    ],
)
def test_where_a_style_is(here: Path, source: str, place: StyleName) -> None:
    assert StyleCatalogue().named(source) == place
    assert plan_job(job_of(source)).method.name == "fast"


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (
            "scream",
            OptionError,
            "of compact-styles and of mine. Name one of them: compact-styles#scream or mine#scream",
        ),
        ("compact-styles", OptionError, "has 3 styles: wave, scream, muse. Name one of them, as compact-styles#wave"),
        ("mine.safetensors", OptionError, "mine.safetensors has 2 styles: scream, fair. Name one"),
        ("compact-styles#wav", UnknownName, "style of compact-styles 'wav'. Did you mean 'wave'"),
        ("mine.safetensors#wave", UnknownName, "style of mine.safetensors 'wave'.* Known: fair, scream"),
    ],
)
def test_what_does_not_name_one_style(here: Path, source: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plan_job(job_of(source))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "wav",
            "no file wav: unknown trained style 'wav'. Did you mean 'wave'.* Known: candy, fair, muse, scream, wave",
        ),
        ("compact#wave", "no file compact#wave: unknown network 'compact'. Did you mean 'compact-styles'"),
    ],
)
def test_the_nearest_is_told(here: Path, there: Path, source: str, message: str) -> None:
    job = dataclasses.replace(job_of(source), content=str(there / "content.png"))
    with pytest.raises(UnknownName, match=message):
        plan_job(job)


def test_a_network_of_one_style_keeps_its_name(here: Path, save_learned: Save) -> None:
    """What somebody imports by a name is that name's, whatever a network of many has."""
    import_weights(save_learned(here / "wave.safetensors", seed=4))
    assert StyleCatalogue().named("wave") == StyleName("wave")
    assert StyleCatalogue().named("compact-styles#wave") == StyleName("compact-styles", "wave")


def test_files_win(here: Path) -> None:
    for name in ("wave", "compact-styles#wave", "photo#1.jpg", "in#a"):
        (here / name).write_bytes(b"a picture, perhaps")
        assert plan_job(job_of(name)).method.name != "fast"
        assert split_name(name) == StyleName(name)
    for other in ("in#b/photo", "gone#1.jpg", "a#b/x.pth", "x#", "#x", "dir/photo#2"):
        assert split_name(other) == StyleName(other)


def test_names_for_new_styles(here: Path) -> None:
    StyleCatalogue().check_new("mine-too")
    for taken in ("candy", "wave", "mine"):
        with pytest.raises(OptionError, match=f"{taken} is the name of a style or a network already"):
            StyleCatalogue().check_new(taken)
        StyleCatalogue().check_new(taken, replace=True)
    for wrong in ("compact-styles", "a/b", "x.pth"):
        with pytest.raises(OptionError):
            StyleCatalogue().check_new(wrong, replace=True)


def test_what_must_be_fetched(row: CatalogueEntry, save_learned: Save) -> None:
    """Its styles are not known yet."""
    assert StyleCatalogue().names == ["compact-styles"]
    assert StyleCatalogue().named("compact-styles#wave") == StyleName("compact-styles", "wave")
    assert StyleCatalogue().sources() == []
    with pytest.raises(UnknownName, match="Known: compact-styles"):
        StyleCatalogue().named("wave")
    with pytest.raises(WeightsError, match="IMPASTO_OFFLINE"):
        trained(["compact-styles"])


def test_sources_are_short_where_that_is_clear(here: Path) -> None:
    every = ["wave", "compact-styles#scream", "muse", "candy", "mine#scream", "fair"]
    assert sorted(StyleCatalogue().sources()) == sorted(every)
    assert StyleCatalogue().sources(["mine", "wave"]) == ["mine#scream", "fair", "wave"]
    assert StyleCatalogue().sources(["mine.safetensors"]) == ["mine.safetensors#scream", "mine.safetensors#fair"]
    assert [str(StyleCatalogue().named(name)) for name in StyleCatalogue().sources(["candy", "candy.safetensors"])] == [
        "candy",
        "candy.safetensors",
    ]
    with pytest.raises(UnknownName, match="'wav'"):
        StyleCatalogue().sources(["wav"])


def test_a_network_is_read_once(here: Path) -> None:
    loaded = trained(["wave", "compact-styles#muse", "compact-styles#wave", "candy"])
    found = loaded.networks
    assert found["wave"] is found["compact-styles#wave"]
    assert [network.styles for network in found.values()] == [("wave",), ("muse",), ("wave",), ("candy",)]
    assert found["wave"].base == found["compact-styles#muse"].base != found["candy"].base
    one, other = (found[name].net.state_dict()["last.conv.weight"] for name in ("wave", "compact-styles#muse"))
    assert one.data_ptr() == other.data_ptr()
    assert loaded.weights.keys() == {"compact-styles", "candy"}


def test_recipes_find_networks_again(here: Path, learned_job: MakeJob, save_learned: Save) -> None:
    sources = ("wave", "compact-styles#muse", f"{here}/mine.safetensors#fair")
    job = learned_job(styles=tuple(StyleSource(source=source) for source in sources))
    made = recipe_for(plan_job(job), JobCache().loaded(plan_job(job)), folder=here / "out")
    assert [style.source for style in made.job.styles] == ["wave", "compact-styles#muse", "../mine.safetensors#fair"]
    assert made.inputs.keys() == {"../in/content.png", "../mine.safetensors"}
    assert made.weights.keys() == {"compact-styles", "mine"}
    assert job_again(made, folder=here / "out") == job
    assert made.moved(here / "out", here) == recipe_for(plan_job(job), JobCache().loaded(plan_job(job)), folder=here)
    save_learned(here / "mine.safetensors", seed=5, styles=("scream", "fair"))
    with pytest.raises(StateError, match=r"mine\.safetensors has changed"):
        job_again(made, folder=here / "out")


def test_a_cache_sees_that_a_file_has_changed(here: Path, learned_job: MakeJob, save_learned: Save) -> None:
    job, cache = (learned_job(styles=(StyleSource(source=f"{here}/mine.safetensors#fair"),))), JobCache()
    before = cache.loaded(plan_job(job))
    assert cache.loaded(plan_job(job)) is before
    save_learned(here / "mine.safetensors", seed=5, styles=("scream", "fair", "and more"))
    assert cache.loaded(plan_job(job)).weights != before.weights
