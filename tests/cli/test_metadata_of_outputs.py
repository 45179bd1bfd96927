"""Date, camera and copyright of the content in what is painted from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_process import Run

from impasto import api
from impasto.image import files

KEPT = {"Model": "X 100", "Copyright": "© 2024 Zoë", "DateTimeOriginal": "2024:05:06 07:08:09"}


@pytest.fixture(autouse=True)
def photo_jpg(here: Path) -> None:
    files.write("photo.jpg", files.read("content.png").pixels, exif=KEPT)


@pytest.mark.parametrize("name", ["o.jpg", "o.png"])
def test_exif_is_kept_and_redo_is_exact(name: str, run: Run, quick: list[str], here: Path) -> None:
    assert run("stylize", "photo.jpg", "--style", "style.png", *quick, "-o", name).code == 0
    assert files.read(name).exif == KEPT
    assert run("redo", name, "-o", f"again-{name}").code == 0
    assert (here / f"again-{name}").read_bytes() == (here / name).read_bytes()


def test_exif_is_kept_in_folders(run: Run, quick: list[str], here: Path) -> None:
    (here / "in").mkdir()
    for name in ("a.jpg", "b.png"):
        exif = KEPT if name == "a.jpg" else {}
        files.write(here / "in" / name, files.read("content.png").pixels, exif=exif)
    assert run("stylize", "in", "--style", "style.png", *quick, "-o", "out").code == 0
    assert files.read("out/a-style.png").exif == KEPT
    assert files.read("out/b-style.png").exif == {}


@pytest.mark.parametrize("name", ["o.jpg", "o.bmp"])
def test_strip_leaves_no_metadata(name: str, run: Run, quick: list[str], here: Path) -> None:
    words = ["stylize", "photo.jpg", "--style", "style.png", *quick, "-o", name]
    assert run(*words).code == 0
    assert run(*words, "--strip").code == 0
    assert files.read(name).exif == {}
    with pytest.raises(api.ImpastoError, match="no recipe"):
        api.recipe_of(name)
    assert not api.sidecar_path(here / name).exists()


def test_redo_of_a_stripped_picture_by_its_sidecar(run: Run, quick: list[str], here: Path) -> None:
    words = ["--strip", "--sidecar", "-o", "o.jpg"]
    assert run("stylize", "photo.jpg", "--style", "style.png", *quick, *words).code == 0
    assert run("redo", "o.jpg.json", "-o", "again.jpg").code == 0
    assert (here / "again.jpg").read_bytes() == (here / "o.jpg").read_bytes()
    assert not api.sidecar_path(here / "again.jpg").exists()
