"""Photographs to repaint, from the installed scikit-image. Nothing is downloaded."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import ImageUnreadable, UnknownName
from impasto.image.files import Picture, read


@dataclass(frozen=True)
class Sample:
    """A photograph: `file` is its name in scikit-image, `credit` its source (public domain or CC0)."""

    name: str
    about: str
    file: str
    credit: str


SAMPLES: dict[str, Sample] = {
    row.name: row
    for row in (
        Sample("astronaut", "portrait of Eileen Collins", "astronaut.png", "NASA"),
        Sample("chelsea", "a cat's face", "chelsea.png", "Stéfan van der Walt"),
        Sample("coffee", "a cup on a table", "coffee.png", "Rachel Michetti"),
        Sample("rocket", "a launch pad at night", "rocket.jpg", "SpaceX"),
        Sample("motorcycle", "a motorcycle in a garage", "motorcycle_left.png", "Daniel Scharstein et al."),
        Sample("camera", "a man with a camera, in grey", "camera.png", "Lav Varshney"),
        Sample("hubble", "galaxies", "hubble_deep_field.jpg", "NASA"),
        Sample("text", "writing on a board, in grey", "text.png", "public domain, by way of Wikipedia"),
    )
}
"""The samples by name; the first is the demo's."""


def sample_path(name: str) -> Path:
    """The file of the photograph. Raises `UnknownName`, and `ImageUnreadable` where scikit-image does not have it."""
    if name not in SAMPLES:
        raise UnknownName.of("sample", name, known=SAMPLES)
    package = importlib.util.find_spec("skimage")  # skimage.data itself would look into its download cache, too
    folders = (package.submodule_search_locations if package else None) or []
    for folder in folders:
        path = Path(folder) / "data" / SAMPLES[name].file
        if path.is_file():
            return path
    raise ImageUnreadable(
        f"{SAMPLES[name].file} is missing from the installed scikit-image. Install it again: "
        "pip install --force-reinstall scikit-image"
    )


def sample(name: str) -> Picture:
    """The photograph `name`. Raises as `sample_path` does."""
    return read(sample_path(name))
