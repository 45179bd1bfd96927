"""Saving a painting and its sidecar."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from impasto.config.job import Job, PaintOptions, StyleSource
from impasto.config.pictures import OutputOptions
from impasto.image.files import read
from impasto.session.painting import Painting, recipe_of
from impasto.session.recipe import Recipe


def painting(name: str, grey: float) -> Painting:
    """A flat picture whose recipe has `name` as content."""
    job = Job(content=name, styles=(StyleSource(source="style.png"),), paint=PaintOptions(method="optimise"))
    return Painting(torch.full((1, 3, 8, 8), grey), recipe=Recipe(job, {}, {}, {"threads": 1}))


@pytest.mark.parametrize(("suffix", "sidecar"), [(".bmp", False), (".png", True)])
def test_of_two_saves_at_once_picture_and_sidecar_are_of_one(tmp_path: Path, suffix: str, sidecar: bool) -> None:
    options = OutputOptions(sidecar=sidecar)
    paintings = painting("black", 0.0), painting("white", 1.0)
    with ThreadPoolExecutor(2) as pool:
        for number in range(40):
            path = tmp_path / f"{number}{suffix}"
            list(pool.map(lambda made, path=path: made.save(path, options), paintings))
            seen = "white" if read(path).pixels.mean() > 0.5 else "black"
            assert recipe_of(path).job.content == seen
            assert recipe_of(Path(f"{path}.json")).job.content == seen
    assert {p.suffix for p in tmp_path.iterdir()} == {suffix, ".json"}, "no lock files are left"
