"""Names of trained styles: of networks of one style and of many, by name and by file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.config.job import Job, StyleSource
from impasto.core.errors import OptionError, StateError, UnknownName, WeightsError
from impasto.rendering import learned, recipe
from impasto.rendering.families import checked, method_of
from impasto.rendering.inputs import gathered
from impasto.rendering.job_cache import JobCache
from impasto.rendering.learned import Place, place_of, split
from impasto.weights.catalogue import CATALOGUE, Entry
from impasto.weights.readers import import_weights

Save = Callable[..., Path]
MakeJob = Callable[..., Job]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    for name in list(CATALOGUE):  # other bundled networks have names of their own
        if CATALOGUE[name].kind == learned.KIND:
            monkeypatch.delitem(CATALOGUE, name)
    return tmp_path


@pytest.fixture
def row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A row of the catalogue for a network of styles, which is not on this machine."""
    entry = Entry(
        name="compact-styles",
        kind=learned.KIND,
        checkpoint_format="impasto",
        urls=("https://example.invalid/compact-styles.safetensors",),
        licence="MIT",
        about="styles",
    )
    monkeypatch.setitem(CATALOGUE, entry.name, entry)
    return entry


@pytest.fixture
def here(folder: Path, row: Entry, save_learned: Save) -> Path:
    """`wave`, `scream` and `muse` in the catalogue's network; `scream` and `fair` in `mine`; `candy` by itself."""
    (folder / "cache").mkdir()
    save_learned(folder / "cache" / row.file_name, styles=("wave", "scream", "muse"))
    import_weights(save_learned(folder / "mine.safetensors", seed=2, styles=("scream", "fair")))
    import_weights(save_learned(folder / "candy.safetensors", seed=3))
    return folder


def job_of(*sources: str) -> Job:
    return Job(content="c.png", styles=tuple(StyleSource(source=source) for source in sources))


def test_every_style_has_its_name(here: Path) -> None:
    assert learned.names() == ["candy", "fair", "muse", "scream", "wave"]
    assert learned.networks() == {
        "compact-styles": ("wave", "scream", "muse"),
        "candy": ("candy",),
        "mine": ("scream", "fair"),
    }


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("wave", Place("compact-styles", "wave")),
        ("fair", Place("mine", "fair")),
        ("compact-styles#wave", Place("compact-styles", "wave")),
        ("mine#scream", Place("mine", "scream")),
        ("mine.safetensors#scream", Place("mine.safetensors", "scream")),
        ("candy", Place("candy")),
        ("candy#candy", Place("candy")),
        ("candy.safetensors", Place("candy.safetensors")),
        ("none.pth#x", Place("none.pth", "x")),
    ],
)
def test_where_a_style_is(here: Path, source: str, place: Place) -> None:
    assert place_of(source) == place
    assert method_of(job_of(source)) == "fast"


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
        checked(job_of(source))


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
        gathered(checked(job))


def test_a_network_of_one_style_keeps_its_name(here: Path, save_learned: Save) -> None:
    """What somebody imports by a name is that name's, whatever a network of many has."""
    import_weights(save_learned(here / "wave.safetensors", seed=4))
    assert place_of("wave") == Place("wave")
    assert place_of("compact-styles#wave") == Place("compact-styles", "wave")


def test_files_win(here: Path) -> None:
    for name in ("wave", "compact-styles#wave", "photo#1.jpg", "in#a"):
        (here / name).write_bytes(b"a picture, perhaps")
        assert method_of(job_of(name)) != "fast"
        assert split(name) == Place(name)
    for other in ("in#b/photo", "gone#1.jpg", "a#b/x.pth", "x#", "#x", "dir/photo#2"):
        assert split(other) == Place(other)


def test_names_for_new_styles(here: Path) -> None:
    learned.check_new("mine-too")
    for taken in ("candy", "wave", "mine"):
        with pytest.raises(OptionError, match=f"{taken} names a style or a network already"):
            learned.check_new(taken)
        learned.check_new(taken, replace=True)
    for wrong in ("compact-styles", "a/b", "x.pth"):
        with pytest.raises(OptionError):
            learned.check_new(wrong, replace=True)


def test_what_must_be_fetched(row: Entry, save_learned: Save) -> None:
    """Its styles are not known yet."""
    assert learned.names() == ["compact-styles"]
    assert place_of("compact-styles#wave") == Place("compact-styles", "wave")
    assert learned.sources() == []
    with pytest.raises(UnknownName, match="Known: compact-styles"):
        place_of("wave")
    with pytest.raises(WeightsError, match="IMPASTO_OFFLINE"):
        learned.loaded(["compact-styles"], precision="float32")


def test_sources_are_short_where_that_is_clear(here: Path) -> None:
    every = ["wave", "compact-styles#scream", "muse", "candy", "mine#scream", "fair"]
    assert sorted(learned.sources()) == sorted(every)
    assert learned.sources(["mine", "wave"]) == ["mine#scream", "fair", "wave"]
    assert learned.sources(["mine.safetensors"]) == ["mine.safetensors#scream", "mine.safetensors#fair"]
    assert [str(place_of(name)) for name in learned.sources(["candy", "candy.safetensors"])] == [
        "candy",
        "candy.safetensors",
    ]
    with pytest.raises(UnknownName, match="'wav'"):
        learned.sources(["wav"])


def test_a_network_is_read_once(here: Path) -> None:
    found = learned.loaded(["wave", "compact-styles#muse", "compact-styles#wave", "candy"], precision="float32")
    assert found["wave"] is found["compact-styles#wave"]
    assert [network.styles for network in found.values()] == [("wave",), ("muse",), ("wave",), ("candy",)]
    assert found["wave"].base == found["compact-styles#muse"].base != found["candy"].base
    one, other = (found[name].net.state_dict()["last.conv.weight"] for name in ("wave", "compact-styles#muse"))
    assert one.data_ptr() == other.data_ptr()
    assert learned.digests(list(found.values())).keys() == {"compact-styles", "candy"}


def test_recipes_find_networks_again(here: Path, learned_job: MakeJob, save_learned: Save) -> None:
    sources = ("wave", "compact-styles#muse", f"{here}/mine.safetensors#fair")
    job = checked(learned_job(styles=tuple(StyleSource(source=source) for source in sources)))
    made = recipe.of(job, JobCache().loaded(job), folder=here / "out")
    assert [style.source for style in made.job.styles] == ["wave", "compact-styles#muse", "../mine.safetensors#fair"]
    assert made.inputs.keys() == {"../in/content.png", "../mine.safetensors"}
    assert made.weights.keys() == {"compact-styles", "mine"}
    assert recipe.job_again(made, folder=here / "out") == job
    assert made.moved(here / "out", here) == recipe.of(job, JobCache().loaded(job), folder=here)
    save_learned(here / "mine.safetensors", seed=5, styles=("scream", "fair"))
    with pytest.raises(StateError, match=r"mine\.safetensors has changed"):
        recipe.job_again(made, folder=here / "out")


def test_a_shelf_sees_that_a_file_has_changed(here: Path, learned_job: MakeJob, save_learned: Save) -> None:
    job, shelf = checked(learned_job(styles=(StyleSource(source=f"{here}/mine.safetensors#fair"),))), JobCache()
    before = shelf.loaded(job)
    assert shelf.loaded(job) is before
    save_learned(here / "mine.safetensors", seed=5, styles=("scream", "fair", "and more"))
    assert shelf.loaded(job).weights != before.weights
