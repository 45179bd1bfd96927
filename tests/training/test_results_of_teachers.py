"""Which picture of a folder is the result of which content."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from impasto.core.errors import DataError
from impasto.training.pictures import Listed
from impasto.training.results import Results, results_in
from impasto.training.sources import listed_in


def drawn(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (200, 40, 10)).save(folder / name)
    return folder


def found(folder: Path, *contents: str) -> Results:
    named = [Listed(Path("photos", name), name) for name in contents]
    return results_in(folder, named, short_side_px=40, memory_gb=1)


def test_results_have_the_names_of_contents(tmp_path: Path) -> None:
    folder = drawn(tmp_path, "b.jpg", "a.png", "sub/a.png", "unknown.png")
    results = found(folder, "a.jpg", "b.jpg", "c.jpg", "sub/a.webp")
    names = sorted(["a.png", "b.jpg", "sub/a.png"])
    assert [None if place is None else names[place] for place in results.places] == [
        "a.png",
        "b.jpg",
        None,
        "sub/a.png",
    ]
    assert len(results) == 3


def test_results_of_painting_into_a_folder_name_the_style_too(tmp_path: Path) -> None:
    folder = drawn(tmp_path, "cat-wave.png", "cat-2-wave.png", "dog-2-wave.png")
    assert found(folder, "cat.jpg", "cat-2.jpg", "dog.jpg", "cow.jpg").places.count(None) == 1
    results = found(folder, "cat.jpg", "cat-2.jpg")
    assert len({*results.places}) == 2  # not the one for both


def test_the_very_name_comes_first(tmp_path: Path) -> None:
    folder = drawn(tmp_path, "a-wave.png", "a.png")
    (place,) = found(folder, "a.jpg").places
    assert place == 0
    Image.new("RGB", (40, 40)).save(folder / "a-wave.png")
    picture = found(folder, "a.jpg").dataset.at(0)
    assert picture is not None
    assert picture.max() > 0  # the coloured one


@pytest.mark.parametrize("names", [("a-wave.png", "a-scream.png"), ("a.png", "a.jpg")])
def test_two_results_of_one_content(names: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"are both results of a\. Give a folder of one style's results"):
        found(drawn(tmp_path, *names), "a.jpg")


def test_one_result_of_two_contents(tmp_path: Path) -> None:
    photos = [drawn(tmp_path / name, "a.jpg") for name in ("one", "two")]
    results = drawn(tmp_path / "results", "a.png")
    with pytest.raises(DataError, match=r"a\.png in .* may be a result of .*one.* or of .*two"):
        results_in(results, listed_in("contents", photos), short_side_px=40, memory_gb=1)
    twice = results_in(results, listed_in("contents", photos[:1] * 2), short_side_px=40, memory_gb=1)
    assert twice.places == (0, 0)  # a content that is named twice is one


def test_a_folder_of_other_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 1 pictures in .* The first content is a\.jpg, .* picture x\.png"):
        found(drawn(tmp_path, "x.png"), "a.jpg")
